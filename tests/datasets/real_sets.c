/* Every set of the shared data in its format: as many records as its authors say, and nothing found in them but what is listed here.
 * Skipped, saying so, where the files are absent.
 */
#include "tests/datasets/world.h"

#include "common/files.h"

#define DATA SHARED_FOLDER "/data/"

static const struct {
    const char *path, *format, *template_name;
    int64_t records, conversations, left_out;
    enum finding_kind kind;
    int64_t found; /* of that kind, and nothing of the others */
} sets[] = {
    { "oasst/en_100_tree.jsonl", "oasst", NULL, 100, 538, 0, OVER_LENGTH, 0 },
    { "oasst/en_100_tree.jsonl.gz", "oasst", "vicuna", 100, 538, 0, OVER_LENGTH, 0 },
    { "oasst/en_100_message.jsonl.gz", "oasst", NULL, 100, 538, 0, OVER_LENGTH, 0 },
    { "oasst/realistic_seed_data.1808043.json", "oasst", NULL, 5825, 2014, 34, OUT_OF_TURN, 34 },
    { "oasst/oasst2_en_ja_edited_flat.json", "oasst", NULL, 30, 10, 0, OVER_LENGTH, 0 },
    { "alpaca/alpaca_tiny.json", "alpaca", NULL, 100, 100, 0, OVER_LENGTH, 0 },
    { "dolly_hhrlhf/dolly_hhrlhf_train_small.jsonl", "dolly_hhrlhf", NULL, 1000, 1000, 0, OVER_LENGTH, 0 },
    { "guanaco_llama2_1k/train.jsonl", "text", NULL, 1000, 1000, 0, DOUBLE_BOS, 1000 },
    { "sharegpt/dummy_conversation.json", "sharegpt", NULL, 500, 500, 0, OVER_LENGTH, 0 },
    { "gsm8k/test.jsonl", "gsm8k", "chatml", 1319, 1319, 0, NO_EOS, 1319 },
#ifndef GRAFT_SANITIZE /* seconds there, half a minute here */
    { "dolly15k/databricks-dolly-15k.jsonl", "dolly", NULL, 15011, 15011, 0, DUPLICATE, 15 },
    { "alpaca/gumbelsoft_alpaca_data.json", "alpaca", NULL, 2000, 2000, 0, OVER_LENGTH, 0 },
    { "gsm8k/train.jsonl", "gsm8k", NULL, 7473, 7473, 0, OVER_LENGTH, 0 },
    { "math/math.jsonl", "competition_math", NULL, 5000, 5000, 0, OVER_LENGTH, 0 },
    { "esnli/s1.dev", "esnli", NULL, 9842, 9842, 0, DUPLICATE, 1 },
    { "lambada/lambada_test.jsonl", "lambada", NULL, 5153, 5153, 0, DUPLICATE, 2 },
#endif
};

static void every_set_has_as_many_records_as_its_authors_say(void **state)
{
    if (!folder_exists(DATA)) {
        print_message("no %s here\n", DATA);
        skip();
    }
    for (size_t i = 0; i < COUNT(sets); i++) {
        struct world w = world_new(*state);
        w.settings.max_length = 1 << 20;
        w.source.path = arena_print(w.scratch->arena, DATA "%s", sets[i].path);
        w.source.format = sets[i].format;
        w.source.template_name = sets[i].template_name;
        assert_fine(*state, dataset_read(&w.dataset, w.scratch->arena, &w.source, 1, &w.settings, w.tokenizer, w.eos, w.vocab, &w.scratch->err));
        assert_int_equal(w.dataset.records, sets[i].records);
        assert_int_equal(w.dataset.conversations, sets[i].conversations);
        assert_int_equal(w.dataset.count, sets[i].conversations - sets[i].left_out);
        for (int kind = 0; kind < FINDINGS; kind++)
            if (kind != SPLIT_MARKER) /* this tokenizer has none */
                assert_int_equal(w.dataset.finding[kind].count, kind == (int)sets[i].kind ? sets[i].found : 0);
        tokenizer_close(w.tokenizer);
    }
}

/* Parquet is refused with the line that converts it. */
static void parquet_is_refused_with_a_cure(void **state)
{
    struct world w = world_new(*state);
    w.source.path = DATA "guanaco_llama2_1k/train.parquet";
    w.source.format = "text";
    if (!file_exists(w.source.path)) {
        print_message("no %s here\n", w.source.path);
        skip();
    }
    enum status status = dataset_read(&w.dataset, w.scratch->arena, &w.source, 1, &w.settings, w.tokenizer, w.eos, w.vocab, &w.scratch->err);
    assert_holds(w.scratch->err.cure, "pandas.read_parquet");
    assert_failed(*state, status, BAD_FILE, "a file of Parquet, not JSON");
    tokenizer_close(w.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(every_set_has_as_many_records_as_its_authors_say),
        SCRATCH_TEST(parquet_is_refused_with_a_cure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
