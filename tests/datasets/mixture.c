/* Whole datasets: what each epoch takes of sources with weights, duplicates, what eval shares with train, and the findings of conversations. */
#include "tests/datasets/world.h"

enum { A_COUNT = 10, B_COUNT = 7 };

/* Sources a and b of ids {0, i} and {1, i}, with weights. */
static void read_two(struct world *w, struct source source[2], double a, double b)
{
    const int count[2] = { A_COUNT, B_COUNT };
    for (int s = 0; s < 2; s++) {
        struct text lines = text_new(w->scratch->arena);
        for (int i = 0; i < count[s]; i++)
            text_print(&lines, "{\"ids\": [%d, %d]}\n", s, i);
        source[s] = (struct source){ .path = scratch_write(w->scratch, s ? "b.jsonl" : "a.jsonl", lines.bytes, lines.length),
                                     .format = "tokens",
                                     .weight = s ? b : a,
                                     .where = "run.yaml:1:1" };
    }
    assert_fine(w->scratch, dataset_read(&w->dataset, w->scratch->arena, source, 2, &w->settings, NULL, -1, BYTE_VOCAB, &w->scratch->err));
}

/* How often epochs [0, epochs) take each sequence. */
static void count_epochs(struct world *w, int64_t epochs, bool shuffle, int64_t taken[A_COUNT + B_COUNT])
{
    const int64_t length = dataset_epoch_length(&w->dataset);
    int64_t *order = NEW_ARRAY(w->scratch->arena, length, int64_t);
    memset(taken, 0, (A_COUNT + B_COUNT) * sizeof *taken);
    for (int64_t epoch = 0; epoch < epochs; epoch++) {
        dataset_epoch(&w->dataset, w->scratch->arena, order, 5, epoch, shuffle);
        for (int64_t i = 0; i < length; i++)
            taken[order[i]]++;
    }
}

static void without_weights_an_epoch_is_the_order_of_ever(void **state)
{
    struct world w = world_new(*state);
    struct source source[2];
    int64_t order[A_COUNT + B_COUNT], plain[A_COUNT + B_COUNT];
    read_two(&w, source, 0, 1);
    assert_int_equal(dataset_epoch_length(&w.dataset), A_COUNT + B_COUNT);
    for (int64_t epoch = 0; epoch < 4; epoch++) {
        dataset_epoch(&w.dataset, w.scratch->arena, order, 9, epoch, epoch < 3);
        dataset_order(plain, A_COUNT + B_COUNT, 9, epoch, epoch < 3);
        assert_memory_equal(order, plain, sizeof order);
    }
    tokenizer_close(w.tokenizer);
}

static void sources_are_taken_by_weight_and_evenly(void **state)
{
    static const struct {
        double a, b;
        int64_t of_a, of_b;
    } weights[] = { { 2, 1, 20, 7 }, { 0.5, 1, 5, 7 }, { 0.3, 3, 3, 21 }, { 1.5, 0.01, 15, 1 } };
    for (size_t i = 0; i < COUNT(weights); i++)
        for (int shuffle = 0; shuffle < 2; shuffle++)
            for (int64_t epochs = 1; epochs <= 9; epochs++) {
                struct world w = world_new(*state);
                struct source source[2];
                int64_t taken[A_COUNT + B_COUNT];
                read_two(&w, source, weights[i].a, weights[i].b);
                assert_int_equal(dataset_epoch_length(&w.dataset), weights[i].of_a + weights[i].of_b);
                count_epochs(&w, epochs, shuffle, taken);
                for (int s = 0; s < A_COUNT + B_COUNT; s++) {
                    const int64_t all = epochs * (s < A_COUNT ? weights[i].of_a : weights[i].of_b), count = s < A_COUNT ? A_COUNT : B_COUNT;
                    assert_true(taken[s] == all / count || taken[s] == (all + count - 1) / count); /* none twice before all once */
                }
                tokenizer_close(w.tokenizer);
            }
}

static void a_fraction_is_another_one_each_epoch(void **state)
{
    struct world w = world_new(*state);
    struct source source[2];
    int64_t taken[A_COUNT + B_COUNT], first[5 + B_COUNT], again[5 + B_COUNT];
    read_two(&w, source, 0.5, 1);
    count_epochs(&w, 2, true, taken);
    for (int s = 0; s < A_COUNT; s++)
        assert_int_equal(taken[s], 1);
    dataset_epoch(&w.dataset, w.scratch->arena, first, 5, 3, true);
    dataset_epoch(&w.dataset, w.scratch->arena, again, 5, 3, true);
    assert_memory_equal(first, again, sizeof first);
    tokenizer_close(w.tokenizer);
}

static void duplicates_are_named_and_can_be_left_out(void **state)
{
    struct world w = world_new(*state);
    static const char lines[] = "{\"ids\": [3, 4]}\n{\"ids\": [3, 5]}\n{\"ids\": [3, 4]}\n{\"ids\": [3, 4], \"labels\": [-100, 4]}\n{\"ids\": [3, 4, 4]}\n"
                                "{\"ids\": [3, 4, 4], \"labels\": [-100, -100, 4]}\n";
    for (int drop = 0; drop < 2; drop++) {
        w.settings.deduplicate = drop;
        assert_fine(*state, read_text(&w, "tokens", lines));
        assert_int_equal(w.dataset.finding[DUPLICATE].count, 2); /* what is trained counts, and the last one is trained less */
        assert_holds(w.dataset.finding[DUPLICATE].first[0], "data.jsonl:3: as ");
        assert_holds(w.dataset.finding[DUPLICATE].first[0], "data.jsonl:1");
        assert_int_equal(w.dataset.count, drop ? 4 : 6);
        assert_int_equal(w.dataset.source[0].dropped, drop ? 2 : 0);
        assert_fine(*state, dataset_gate(&w.dataset, &w.settings, &w.scratch->err));
    }
    tokenizer_close(w.tokenizer);
}

static void what_eval_shares_with_train_stops_at_the_gate(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"a\"}\n{\"text\": \"b\"}"));
    const struct dataset train = w.dataset;
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"c\"}\n{\"text\": \"b\"}"));
    dataset_compare(&train, &w.dataset, w.scratch->arena);
    assert_failed(*state, dataset_gate(&w.dataset, &w.settings, &w.scratch->err), BAD_DATA, "1 eval_in_train (");
    assert_holds(w.dataset.source[0].finding[EVAL_IN_TRAIN].first[0], "data.jsonl:2: also in train, as ");
    tokenizer_close(w.tokenizer);
}

static const struct {
    const char *format, *template_name, *json;
    enum finding_kind kind;
    int64_t count, kept;
    const char *first;
} found[] = {
    { "text", NULL, "{\"text\": \"<s>a\"}\n{\"text\": \"a<s>\"}", DOUBLE_BOS, 1, 2, "data.jsonl:1: the text begins with the <s> that" },
    { "text", NULL, "{\"text\": \"<s>\"}", DOUBLE_BOS, 1, 1, "data.jsonl:1" },
    { "dolly", "chatml", "{\"instruction\": \"a\", \"response\": \"b\"}", NO_EOS, 1, 1, "data.jsonl:1: nothing that is trained ends with </s>" },
    { "dolly", "chatml", "{\"instruction\": \"a\", \"response\": \"b\"}", SPLIT_MARKER, 2, 1, "run.yaml:3:5: '<|im_start|>' of template chatml is 12 tokens" },
    { "dolly", "vicuna", "{\"instruction\": \"a\", \"response\": \" \"}", EMPTY_RESPONSE, 1, 1, "data.jsonl:1: the response is empty" },
    { "messages", "vicuna", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\", \"train\": false}]}",
      NOTHING_TRAINED, 1, 0, "none of them trained" },
    { "messages", "vicuna", "{\"messages\": []}", NOTHING_TRAINED, 1, 0, "no answer in the conversation" },
    { "messages", "vicuna", "{\"messages\": [{\"role\": \"assistant\", \"content\": \"b\"}]}", OUT_OF_TURN, 1, 0,
      "turn 1 is the assistant's, where the user's belongs" },
};

static void conversations_have_their_findings(void **state)
{
    for (size_t i = 0; i < COUNT(found); i++) {
        struct world w = world_new(*state);
        w.source.template_name = found[i].template_name;
        assert_fine(*state, read_text(&w, found[i].format, found[i].json));
        assert_int_equal(w.dataset.finding[found[i].kind].count, found[i].count);
        assert_holds(w.dataset.finding[found[i].kind].first[0], found[i].first);
        assert_int_equal(w.dataset.count, found[i].kept);
        assert_int_equal(w.dataset.conversations, w.dataset.count + w.dataset.source[0].dropped);
        assert_failed(*state, dataset_gate(&w.dataset, &w.settings, &w.scratch->err), BAD_DATA, finding_name[found[i].kind]);
        tokenizer_close(w.tokenizer);
    }
}

static void the_report_says_what_became_of_each_source(void **state)
{
    struct world w = world_new(*state);
    struct text report = text_new(w.scratch->arena);
    w.settings.max_length = 8;
    w.settings.over_length = OVER_LENGTH_TRUNCATE;
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"ab\"}\n{\"text\": \"longer than that\"}\n{\"text\": \"\"}"));
    dataset_report(&w.dataset, "train", &report);
    assert_holds(report.bytes, "data.jsonl (text): 3 records, 3 conversations, 3 kept (1 of them cut), 0 dropped; 13 tokens, 10 trained (76.9 %)\n");
    assert_holds(report.bytes, "  over_length      1\n    ");
    assert_holds(report.bytes, "data.jsonl:2: 18 tokens\n");
    assert_holds(report.bytes, "  empty_response   1\n");
    tokenizer_close(w.tokenizer);
}

/* More than one block, so that what is taken in between is seen: order, places, groups. */
static void many_records_keep_their_order(void **state)
{
    struct world w = world_new(*state);
    struct text lines = text_new(w.scratch->arena);
    for (int i = 0; i < 3000; i++)
        text_print(&lines, "{\"text\": \"%d\"}\n", i);
    assert_fine(*state, read_text(&w, "text", lines.bytes));
    assert_int_equal(w.dataset.count, 3000);
    for (int i = 0; i < 3000; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        assert_string_equal(w.dataset.sequence[i].response, number);
        snprintf(number, sizeof number, ":%d", i + 1);
        assert_holds(w.dataset.sequence[i].where, number);
        assert_int_equal(w.dataset.sequence[i].group, i);
    }
    tokenizer_close(w.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(without_weights_an_epoch_is_the_order_of_ever), SCRATCH_TEST(sources_are_taken_by_weight_and_evenly),
        SCRATCH_TEST(a_fraction_is_another_one_each_epoch),          SCRATCH_TEST(duplicates_are_named_and_can_be_left_out),
        SCRATCH_TEST(what_eval_shares_with_train_stops_at_the_gate), SCRATCH_TEST(conversations_have_their_findings),
        SCRATCH_TEST(the_report_says_what_became_of_each_source),    SCRATCH_TEST(many_records_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
