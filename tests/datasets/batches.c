/* Order, micro-batches and batches: what training relies on to be the same on any number of ranks, and after a restart. */
#include "common/random.h"
#include "tests/datasets/world.h"

#include <stdlib.h>

enum { MANY = 1000 };

static void every_epoch_is_a_permutation(void **state)
{
    (void)state;
    static const int64_t counts[] = { 1, 2, 3, 64, MANY };
    int64_t order[MANY];
    for (size_t c = 0; c < COUNT(counts); c++)
        for (int64_t epoch = 0; epoch < 5; epoch++) {
            bool seen[MANY] = { 0 };
            dataset_order(order, counts[c], 17, epoch, true);
            for (int64_t i = 0; i < counts[c]; i++) {
                assert_true(order[i] >= 0 && order[i] < counts[c] && !seen[order[i]]);
                seen[order[i]] = true;
            }
        }
}

static void order_depends_on_seed_and_epoch_alone(void **state)
{
    (void)state;
    int64_t a[MANY], b[MANY];
    dataset_order(a, MANY, 5, 2, true);
    dataset_order(b, MANY, 5, 1, true);
    assert_memory_not_equal(a, b, sizeof a);
    dataset_order(b, MANY, 6, 2, true);
    assert_memory_not_equal(a, b, sizeof a);
    dataset_order(b, MANY, 5, 2, true);
    assert_memory_equal(a, b, sizeof a);
}

static void without_shuffling_the_order_is_that_of_the_file(void **state)
{
    (void)state;
    int64_t order[MANY];
    dataset_order(order, MANY, 5, 3, false);
    for (int64_t i = 0; i < MANY; i++)
        assert_int_equal(order[i], i);
}

static void an_order_is_not_the_file_nor_its_neighbours(void **state)
{
    (void)state;
    int64_t order[MANY], fixed = 0, followed = 0;
    dataset_order(order, MANY, 1, 0, true);
    for (int64_t i = 0; i < MANY; i++) {
        fixed += order[i] == i;
        followed += i > 0 && order[i] == order[i - 1] + 1;
    }
    assert_true(fixed < 8 && followed < 8); /* each is Poisson with mean 1 */
}

static const struct {
    int64_t bound, count, length[8], batches, first[9];
} cuts[] = {
    { 10, 5, { 3, 4, 3, 1, 9 }, 2, { 0, 3, 5 } },
    { 10, 3, { 10, 10, 10 }, 3, { 0, 1, 2, 3 } },
    { 10, 4, { 2, 50, 2, 2 }, 3, { 0, 1, 2, 4 } },
    { 1, 3, { 5, 5, 5 }, 3, { 0, 1, 2, 3 } },
    { 100, 3, { 5, 5, 5 }, 1, { 0, 3 } },
    { 10, 0, { 0 }, 0, { 0 } },
    { 10, 1, { 4 }, 1, { 0, 1 } },
};

static void micro_batches_are_filled_up_to_their_bound(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(cuts); c++) {
        struct sequence sequence[8];
        const struct sequence *list[8];
        int64_t first[9];
        for (int64_t i = 0; i < cuts[c].count; i++) {
            sequence[i] = (struct sequence){ .count = cuts[c].length[i] };
            list[i] = &sequence[i];
        }
        assert_int_equal(micro_batches(list, cuts[c].count, cuts[c].bound, first), cuts[c].batches);
        for (int64_t b = 0; b <= cuts[c].batches; b++)
            assert_int_equal(first[b], cuts[c].first[b]);
    }
}

static void micro_batches_cover_all_sequences_within_the_bound(void **state)
{
    (void)state;
    struct sequence *sequence = calloc(MANY, sizeof *sequence);
    const struct sequence **list = calloc(MANY, sizeof *list);
    int64_t first[MANY + 1];
    for (int i = 0; i < MANY; i++) {
        sequence[i].count = 1 + (i * 7919) % 97;
        list[i] = &sequence[i];
    }
    for (int64_t bound = 1; bound < 400; bound += 13) {
        int64_t batches = micro_batches(list, MANY, bound, first);
        assert_int_equal(first[0], 0);
        assert_int_equal(first[batches], MANY);
        for (int64_t b = 0; b < batches; b++) {
            int64_t rows = 0;
            assert_true(first[b] < first[b + 1]);
            for (int64_t i = first[b]; i < first[b + 1]; i++)
                rows += sequence[i].count;
            assert_true(rows <= bound || first[b + 1] == first[b] + 1);
        }
    }
    free(sequence);
    free(list);
}

static const struct sequence two[] = {
    { .ids = (int32_t[]){ 10, 11, 12, 13 }, .labels = (int32_t[]){ 10, NOT_TRAINED, 12, 13 }, .count = 4 },
    { .ids = (int32_t[]){ 20, 21, 22 }, .labels = (int32_t[]){ NOT_TRAINED, 21, NOT_TRAINED }, .count = 3 },
};

static void a_batch_lays_sequences_end_to_end(void **state)
{
    struct scratch *s = *state;
    struct batch *batch = batch_new(s->arena, 8, 2);
    const struct sequence *const list[] = { &two[0], &two[1] };
    batch_fill(batch, list, 2, (const int64_t[]){ 100, 204 });
    assert_int_equal(batch->sequences, 2);
    assert_ids(batch->ids, batch->rows, (const int32_t[]){ 10, 11, 12, 13, 20, 21, 22 }, 7);
    assert_ids(batch->positions, batch->rows, (const int32_t[]){ 0, 1, 2, 3, 0, 1, 2 }, 7);
    assert_ids(batch->row_key, batch->rows, (const int32_t[]){ 100, 101, 102, 103, 204, 205, 206 }, 7);
    assert_ids(batch->spans, 8, (const int32_t[]){ 0, 4, 0, 4, 4, 3, 4, 3 }, 8);
    /* The row that predicts a token is the one before it; the first token of a sequence is predicted by none. */
    assert_ids(batch->select, batch->selected, (const int32_t[]){ 1, 2, 4 }, 3);
    assert_ids(batch->labels, batch->selected, (const int32_t[]){ 12, 13, 21 }, 3);
    batch_fill(batch, list + 1, 1, NULL);
    assert_ids(batch->ids, batch->rows, (const int32_t[]){ 20, 21, 22 }, 3);
    assert_ids(batch->select, batch->selected, (const int32_t[]){ 0 }, 1);
    assert_ids(batch->spans, 4, (const int32_t[]){ 0, 3, 0, 3 }, 4);
}

static void cutting_a_step_changes_no_row_and_no_label(void **state)
{
    struct scratch *s = *state;
    struct batch *whole = batch_new(s->arena, 21, 6), *part = batch_new(s->arena, 21, 6);
    const struct sequence *const list[] = { &two[0], &two[1], &two[1], &two[0], &two[1], &two[0] };
    struct packing packing = packing_new(s->arena, 6);
    int64_t rows = 0, selected = 0;
    batch_fill(whole, list, 6, NULL);
    int64_t batches = packing_fill(&packing, list, 6, 8);
    assert_int_equal(batches, 3);
    for (int64_t b = 0; b < batches; b++) {
        const int64_t first = packing.first[b], count = packing.first[b + 1] - first;
        batch_fill(part, packing.sequence + first, count, packing.row + first);
        for (int64_t i = 0; i < part->rows; i++) { /* a row's key is its number in the step */
            const int32_t key = part->row_key[i];
            assert_int_equal(whole->row_key[key], key);
            assert_int_equal(part->ids[i], whole->ids[key]);
            assert_int_equal(part->positions[i], whole->positions[key]);
        }
        for (int64_t i = 0; i < part->selected; i++) {
            int64_t at = 0;
            while (whole->select[at] != part->row_key[part->select[i]])
                assert_true(++at < whole->selected);
            assert_int_equal(part->labels[i], whole->labels[at]);
        }
        rows += part->rows;
        selected += part->selected;
    }
    assert_int_equal(rows, whole->rows);
    assert_int_equal(selected, whole->selected);
}

static const struct {
    int64_t bound, count, length[8], batches, first[9], place[8];
} packed[] = {
    { 10, 4, { 3, 3, 3, 1 }, 1, { 0, 4 }, { 0, 1, 2, 3 } },              /* one micro-batch: the step as it is */
    { 10, 4, { 4, 7, 6, 3 }, 2, { 0, 2, 4 }, { 0, 2, 1, 3 } },           /* in order there would be three */
    { 10, 5, { 2, 9, 1, 8, 10 }, 3, { 0, 2, 4, 5 }, { 0, 3, 1, 2, 4 } }, /* each pair fits exactly */
    { 10, 3, { 20, 5, 5 }, 2, { 0, 1, 3 }, { 0, 1, 2 } },                /* longer than the bound */
    { 10, 3, { 5, 20, 5 }, 2, { 0, 2, 3 }, { 0, 2, 1 } },                /* by the first sequence of each */
    { 10, 5, { 6, 7, 3, 3, 4 }, 3, { 0, 2, 4, 5 }, { 0, 4, 1, 2, 3 } },  /* 4 with 6, then the least room */
    { 10, 4, { 6, 6, 4, 4 }, 2, { 0, 2, 4 }, { 0, 2, 1, 3 } },           /* equal room: the one begun first */
    { 1, 3, { 1, 1, 1 }, 3, { 0, 1, 2, 3 }, { 0, 1, 2 } },
    { 10, 0, { 0 }, 0, { 0 }, { 0 } },
};

static void the_best_fit_is_taken(void **state)
{
    struct scratch *s = *state;
    struct packing packing = packing_new(s->arena, 8);
    for (size_t c = 0; c < COUNT(packed); c++) {
        struct sequence sequence[8];
        const struct sequence *list[8];
        int64_t row[9] = { 0 };
        for (int64_t i = 0; i < packed[c].count; i++) {
            sequence[i] = (struct sequence){ .count = packed[c].length[i] };
            list[i] = &sequence[i];
            row[i + 1] = row[i] + sequence[i].count;
        }
        assert_int_equal(packing_fill(&packing, list, packed[c].count, packed[c].bound), packed[c].batches);
        for (int64_t b = 0; b <= packed[c].batches; b++)
            assert_int_equal(packing.first[b], packed[c].first[b]);
        for (int64_t i = 0; i < packed[c].count; i++) {
            assert_ptr_equal(packing.sequence[i], list[packed[c].place[i]]);
            assert_int_equal(packing.row[i], row[packed[c].place[i]]);
        }
    }
}

/* The rule in its plainest form: sequences by length, all micro-batches looked at for each. Returns how many there are; batch[i]: that of sequence i. */
static int64_t pack_plainly(const struct sequence *sequence, int64_t count, int64_t bound, int64_t *batch, int64_t *room)
{
    int64_t batches = 0;
    for (int64_t i = 0; i < count; i++)
        batch[i] = -1;
    for (int64_t n = 0; n < count; n++) {
        int64_t longest = -1, best = -1;
        for (int64_t i = 0; i < count; i++)
            if (batch[i] < 0 && (longest < 0 || sequence[i].count > sequence[longest].count))
                longest = i;
        for (int64_t b = 0; b < batches; b++)
            if (room[b] >= sequence[longest].count && (best < 0 || room[b] < room[best]))
                best = b;
        if (best < 0)
            room[best = batches++] = bound;
        room[best] -= sequence[longest].count;
        batch[longest] = best;
    }
    return batches;
}

static void any_step_is_packed_by_the_rule(void **state)
{
    enum { MOST = 60 };
    struct scratch *s = *state;
    struct packing packing = packing_new(s->arena, MOST);
    for (uint64_t draw = 0; draw < 400; draw++) {
        struct sequence sequence[MOST];
        const struct sequence *list[MOST];
        int64_t batch[MOST], room[MOST], packed_as[MOST], begun = 0;
        const int64_t count = 1 + (int64_t)random_below(draw, 1, 0, MOST), bound = 1 + (int64_t)random_below(draw, 1, 1, 100);
        for (int64_t i = 0; i < count; i++) {
            sequence[i] = (struct sequence){ .count = 1 + (int64_t)random_below(draw, 2, (uint64_t)i, draw % 2 ? 12 : 70) };
            list[i] = &sequence[i];
            packed_as[i] = -1;
        }
        const int64_t batches = packing_fill(&packing, list, count, bound);
        assert_int_equal(batches, pack_plainly(sequence, count, bound, batch, room));
        for (int64_t b = 0; b < batches; b++) {
            assert_true(packing.sequence[packing.first[b]] == &sequence[begun]); /* the first that is in no micro-batch yet */
            for (int64_t i = packing.first[b]; i < packing.first[b + 1]; i++) {
                assert_true(i == packing.first[b] || packing.sequence[i] > packing.sequence[i - 1]);
                assert_int_equal(batch[packing.sequence[i] - sequence], batch[begun]);
                packed_as[packing.sequence[i] - sequence] = b;
            }
            while (begun < count && packed_as[begun] >= 0)
                begun++;
        }
        assert_int_equal(begun, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_is_a_permutation),
        cmocka_unit_test(order_depends_on_seed_and_epoch_alone),
        cmocka_unit_test(without_shuffling_the_order_is_that_of_the_file),
        cmocka_unit_test(an_order_is_not_the_file_nor_its_neighbours),
        cmocka_unit_test(micro_batches_are_filled_up_to_their_bound),
        cmocka_unit_test(micro_batches_cover_all_sequences_within_the_bound),
        SCRATCH_TEST(a_batch_lays_sequences_end_to_end),
        SCRATCH_TEST(cutting_a_step_changes_no_row_and_no_label),
        SCRATCH_TEST(the_best_fit_is_taken),
        SCRATCH_TEST(any_step_is_packed_by_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
