/* Order, micro-batches and batches: what training relies on to be the same on any number of ranks, and after a restart. */
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
    batch_fill(batch, list, 2, 100);
    assert_int_equal(batch->sequences, 2);
    assert_ids(batch->ids, batch->rows, (const int32_t[]){ 10, 11, 12, 13, 20, 21, 22 }, 7);
    assert_ids(batch->positions, batch->rows, (const int32_t[]){ 0, 1, 2, 3, 0, 1, 2 }, 7);
    assert_ids(batch->row_key, batch->rows, (const int32_t[]){ 100, 101, 102, 103, 104, 105, 106 }, 7);
    assert_ids(batch->spans, 8, (const int32_t[]){ 0, 4, 0, 4, 4, 3, 4, 3 }, 8);
    /* The row that predicts a token is the one before it; the first token of a sequence is predicted by none. */
    assert_ids(batch->select, batch->selected, (const int32_t[]){ 1, 2, 4 }, 3);
    assert_ids(batch->labels, batch->selected, (const int32_t[]){ 12, 13, 21 }, 3);
    batch_fill(batch, list + 1, 1, 0);
    assert_ids(batch->ids, batch->rows, (const int32_t[]){ 20, 21, 22 }, 3);
    assert_ids(batch->select, batch->selected, (const int32_t[]){ 0 }, 1);
    assert_ids(batch->spans, 4, (const int32_t[]){ 0, 3, 0, 3 }, 4);
}

static void cutting_a_step_changes_no_row_and_no_label(void **state)
{
    struct scratch *s = *state;
    struct batch *whole = batch_new(s->arena, 21, 6), *part = batch_new(s->arena, 21, 6);
    const struct sequence *const list[] = { &two[0], &two[1], &two[1], &two[0], &two[1], &two[0] };
    int64_t first[7], rows = 0, selected = 0;
    batch_fill(whole, list, 6, 0);
    int64_t batches = micro_batches(list, 6, 8, first);
    assert_true(batches > 1);
    for (int64_t b = 0; b < batches; b++) {
        batch_fill(part, list + first[b], first[b + 1] - first[b], rows);
        assert_memory_equal(part->ids, whole->ids + rows, (size_t)part->rows * 4);
        assert_memory_equal(part->positions, whole->positions + rows, (size_t)part->rows * 4);
        assert_memory_equal(part->row_key, whole->row_key + rows, (size_t)part->rows * 4);
        assert_memory_equal(part->labels, whole->labels + selected, (size_t)part->selected * 4);
        for (int64_t i = 0; i < part->selected; i++)
            assert_int_equal(part->select[i] + rows, whole->select[selected + i]);
        rows += part->rows;
        selected += part->selected;
    }
    assert_int_equal(rows, whole->rows);
    assert_int_equal(selected, whole->selected);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
