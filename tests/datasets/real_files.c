/* Real files with real tokenizers: totals and hashes over ids and labels, recorded from an independent rendering with the Python package `tokenizers` (its
 * character offsets decide what is trained). Skipped, saying so, where the files are absent.
 */
#include "tests/datasets/world.h"

#include "common/files.h"

#define DATA       SHARED_FOLDER "/data/"
#define LLAMA      DATA "tokenizers/llama2/tokenizer.json"
#define NEOX       DATA "tokenizers/gpt_neox_20b/20B_tokenizer.json"
#define DOLLY      DATA "dolly15k/databricks-dolly-15k.jsonl"
#define ALPACA     DATA "alpaca/gumbelsoft_alpaca_data.json"
#define ALPACA_100 DATA "alpaca/alpaca_tiny.json"

/* The first `records` of a file. The whole of Dolly is left to builds without sanitizers, where it takes two seconds instead of ten. */
static const struct {
    const char *tokenizer, *path, *format;
    int32_t eos;
    int64_t records, over_length, tokens, trained;
    const char *hash;
} recorded[] = {
    { LLAMA, ALPACA, "alpaca", 2, 2000, 2, 627396, 512868, "db85ad934b4b152c990a882dc39899d93a643c83ab9ab163a0d640c0107dc60a" },
    { LLAMA, ALPACA_100, "alpaca", 2, 100, 0, 13603, 7549, "60d7f7c94da432df176859422b36eb95ead94b8e23eec22375c9d1de1bc558e9" },
    { NEOX, ALPACA_100, "alpaca", 0, 100, 0, 11809, 6643, "36503298b5db66064e220fd1c73289230be017b0a266cb12253f2284c15be5e7" },
    { NEOX, DOLLY, "dolly", 0, 2000, 66, 519816, 140274, "8369385f644096f153e84efb1387d18b37d04ac8d2bd79461c96d6253d3da287" },
#ifndef GRAFT_SANITIZE
    { NEOX, ALPACA, "alpaca", 0, 2000, 1, 553780, 456877, "8e428db305634aab93022fdaadded3a1ae3c36eeafaf2e324b4786b81c5cae96" },
    { LLAMA, DOLLY, "dolly", 2, 15011, 296, 3174905, 1318567, "7a88f30240546716335131ab74eadd26dd4a7db13fafea3489400893c0af4e6d" },
    { NEOX, DOLLY, "dolly", 0, 15011, 208, 2820264, 1181829, "02cf26c5cd08ebf775dab89ede0304c6db0a9f0e355bb9f21b2012af93f45b8c" },
#endif
};

static enum status read_real(struct scratch *s, const char *tokenizer_path, int32_t eos, const char *path, const char *format, int64_t limit,
                             struct dataset *dataset)
{
    struct tokenizer *tokenizer = NULL;
    struct source source = { .path = path, .format = format, .limit = limit, .where = "run.yaml:1:1" };
    struct data_settings settings = { .max_length = 1024, .over_length = OVER_LENGTH_DROP };
    if (!file_exists(path) || !file_exists(tokenizer_path)) {
        print_message("no %s or %s here\n", path, tokenizer_path);
        skip();
    }
    /* Read apart from the settings beside it: those of some folders here are no tokenizer_config.json of that file. */
    char *bytes;
    size_t size;
    assert_fine(s, file_read(s->arena, tokenizer_path, 1 << 26, &bytes, &size, &s->err));
    assert_fine(s, tokenizer_open(&tokenizer, s->arena, scratch_write(s, "tokenizer.json", bytes, size), &s->err));
    enum status status = dataset_read(dataset, s->arena, &source, 1, &settings, tokenizer, eos, tokenizer_size(tokenizer), &s->err);
    tokenizer_close(tokenizer);
    return status;
}

static void ids_and_masks_are_those_recorded(void **state)
{
    for (size_t i = 0; i < COUNT(recorded); i++) {
        struct dataset d;
        assert_fine(*state, read_real(*state, recorded[i].tokenizer, recorded[i].eos, recorded[i].path, recorded[i].format, recorded[i].records, &d));
        assert_int_equal(d.records, recorded[i].records);
        assert_int_equal(d.count, recorded[i].records - recorded[i].over_length);
        assert_int_equal(d.finding[OVER_LENGTH].count, recorded[i].over_length);
        assert_int_equal(d.finding[EMPTY_RESPONSE].count + d.finding[UNKNOWN_FIELD].count + d.finding[NOTHING_TRAINED].count, 0);
        assert_int_equal(d.tokens, recorded[i].tokens);
        assert_int_equal(d.trained, recorded[i].trained);
        assert_string_equal(d.hash, recorded[i].hash);
    }
}

static void gsm8k_is_not_dolly_and_the_message_says_why(void **state)
{
    struct scratch *s = *state;
    struct dataset d;
    enum status status = read_real(s, LLAMA, 2, DATA "gsm8k/train.jsonl", "dolly", 0, &d);
    assert_failed(s, status, BAD_DATA, "train.jsonl:1: field 'instruction' of format dolly is missing; the record has 'question', 'answer'");
}

static void rendered_prompts_are_prompt_completion(void **state)
{
    struct scratch *s = *state;
    struct dataset d;
    assert_fine(s, read_real(s, LLAMA, 2, DATA "dolly_hhrlhf/dolly_hhrlhf_train_small.jsonl", "prompt_completion", 0, &d));
    assert_int_equal(d.records, 1000);
    assert_int_equal(d.finding[UNKNOWN_FIELD].count, 0);
}

static void the_embedded_example_reads_without_findings(void **state)
{
    struct scratch *s = *state;
    struct tokenizer *tokenizer = NULL;
    struct dataset d;
    struct data_settings settings = { .max_length = 512 };
    struct source source = { .path = TESTS_FOLDER "/../examples/tiny_world/train.jsonl",
                             .format = "dolly",
                             .prompt = "{context}\nQuestion: {instruction}\nAnswer:",
                             .response = " {response}",
                             .where = "run.yaml:1:1" };
    assert_fine(s, tokenizer_open(&tokenizer, s->arena, TESTS_FOLDER "/../examples/base", &s->err));
    assert_fine(s, dataset_read(&d, s->arena, &source, 1, &settings, tokenizer, tokenizer_eos(tokenizer), tokenizer_size(tokenizer), &s->err));
    assert_fine(s, dataset_gate(&d, &settings, &s->err));
    assert_int_equal(d.count, 2000);
    struct text out = text_new(s->arena);
    assert_fine(s, sequence_show(&d.sequence[0], tokenizer, SHOW_PLAIN, &out, &s->err));
    assert_holds(out.bytes, "\nQuestion: How did Dora feel in the end?\nAnswer:[[ hungry</s>]]");
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(ids_and_masks_are_those_recorded),
        SCRATCH_TEST(gsm8k_is_not_dolly_and_the_message_says_why),
        SCRATCH_TEST(rendered_prompts_are_prompt_completion),
        SCRATCH_TEST(the_embedded_example_reads_without_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
