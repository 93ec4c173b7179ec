/* Published tokenizers, some of them in their older files too, and synthetic ones that make pre-tokenizer mistakes visible, against ids and texts recorded from
 * the Python package `tokenizers`. The records lie outside the project; without them this test is skipped.
 */
#include "common/files.h"
#include "recorded.h"

#define DATA SHARED_FOLDER "/data/tokenizers/"

/* Differences that are known: a row of 79 hyphens, where many paths are equally good and rounding decides. The scores of T5's tokenizer.json are
 * those of its spiece.model but for the last digit; the Python package, given the latter, splits as graft does. */
static const struct published {
    const char *name, *file;
    int64_t differences;
} published[] = {
    { "gpt2", "gpt2", 0 },
    { "codegen_phi1_5", "codegen_phi1_5", 0 },
    { "gpt_neox_20b", "gpt_neox_20b/20B_tokenizer.json", 0 },
    { "mpt", "mpt", 0 },
    { "falcon", "falcon", 0 },
    { "starcoder", "starcoder", 0 },
    { "maykeye_tinyllama_v0", "maykeye_tinyllama_v0", 0 },
    { "llama2", "llama2", 0 },
    { "t5", "t5", 0 },
    { "llama2", "llama2/tokenizer.model", 0 },
    { "t5", "t5/spiece.model", 2 },
    { "codegen_phi1_5", "codegen_phi1_5/vocab.json", 0 },
    { "probe_gpt2", "probe_gpt2", 0 },
    { "probe_neox", "probe_neox", 0 },
    { "probe_falcon", "probe_falcon", 0 },
    { "probe_starcoder", "probe_starcoder", 0 },
};

struct opened {
    struct arena *arena;
    struct tokenizer *tokenizer[COUNT(published)];
};

static int open_all(void **state)
{
    struct opened *opened = calloc(1, sizeof *opened);
    opened->arena = arena_create(NULL);
    for (size_t i = 0; i < COUNT(published); i++) {
        struct error err = { 0 };
        const char *path = path_join(opened->arena, DATA, published[i].file);
        if (tokenizer_open(&opened->tokenizer[i], opened->arena, path, &err) != OK) {
            fprintf(stderr, "%s (%s)\n", err.what, err.cure);
            return -1;
        }
    }
    *state = opened;
    return 0;
}

static int close_all(void **state)
{
    struct opened *opened = *state;
    for (size_t i = 0; opened && i < COUNT(published); i++)
        tokenizer_close(opened->tokenizer[i]);
    if (opened)
        arena_destroy(opened->arena);
    free(opened);
    return 0;
}

/* Calls `compare` for every record of a tokenizer of the table; returns how many there were. */
static int64_t replay(const struct opened *opened, const char *file, struct tally *tally,
                      void (*compare)(struct tally *, const struct tokenizer *, const json_t *))
{
    char command[1200], *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int64_t records = 0;
    snprintf(command, sizeof command, "gzip -dc '%s%s'", DATA, file);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while ((length = getline(&line, &capacity, pipe)) > 0) {
        json_error_t json_err;
        json_t *record = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, &json_err);
        assert_non_null(record);
        const char *name = json_string_value(json_object_get(record, "tokenizer"));
        for (size_t i = 0; i < COUNT(published); i++)
            if (strcmp(published[i].name, name) == 0) {
                compare(&tally[i], opened->tokenizer[i], record);
                records++;
            }
        json_decref(record);
    }
    free(line);
    assert_int_equal(pclose(pipe), 0);
    return records;
}

static void compare_record(struct tally *tally, const struct tokenizer *tokenizer, const json_t *record)
{
    const json_t *text = json_object_get(record, "text");
    compare_ids(tally, tokenizer, text, false, json_object_get(record, "ids"));
    compare_ids(tally, tokenizer, text, true, json_object_get(record, "ids_special"));
    compare_text(tally, tokenizer, json_object_get(record, "ids"), false, json_object_get(record, "decoded"));
    compare_text(tally, tokenizer, json_object_get(record, "ids_special"), true, json_object_get(record, "decoded_skip"));
}

static void compare_sequence(struct tally *tally, const struct tokenizer *tokenizer, const json_t *record)
{
    compare_text(tally, tokenizer, json_object_get(record, "ids"), false, json_object_get(record, "decoded"));
    compare_text(tally, tokenizer, json_object_get(record, "ids"), true, json_object_get(record, "decoded_skip"));
}

static void check_tally(const struct tally *tally, bool with_known)
{
    int64_t unexpected = 0;
    for (size_t i = 0; i < COUNT(published); i++) {
        if (tally[i].compared > 0)
            fprintf(stderr, "%-22s %6d compared, %d different\n", tally[i].name, (int)tally[i].compared, (int)tally[i].different);
        assert_int_equal(tally[i].backward, 0);
        unexpected += tally[i].different != (with_known ? published[i].differences : 0);
    }
    assert_int_equal(unexpected, 0);
}

static void named(struct tally *tally)
{
    for (size_t i = 0; i < COUNT(published); i++)
        tally[i] = (struct tally){ .name = published[i].name };
}

static void ids_and_texts_are_those_recorded(void **state)
{
    struct tally tally[COUNT(published)];
    named(tally);
    assert_int_equal(replay(*state, "expected_ids.jsonl.gz", tally, compare_record), 12 * 405);
    assert_int_equal(replay(*state, "expected_ids_probe.jsonl.gz", tally, compare_record), 4 * 545);
    check_tally(tally, true);
}

static void cut_characters_decode_as_recorded_whole_and_streamed(void **state)
{
    struct tally tally[COUNT(published)];
    named(tally);
    assert_int_equal(replay(*state, "decode_sequences.jsonl.gz", tally, compare_sequence), 12 * 60);
    check_tally(tally, false);
}

static void special_ids_come_from_the_files_beside(void **state)
{
    static const struct {
        int place;
        int32_t bos, eos, pad;
        bool adds_bos, adds_eos;
    } expected[] = {
        { 0, 50256, 50256, -1, false, false },
        { 2, 0, 0, -1, false, false },
        { 7, 1, 2, -1, true, false },
        { 8, -1, 1, 0, false, true },
    };
    const struct opened *opened = *state;
    for (size_t i = 0; i < COUNT(expected); i++) {
        const struct tokenizer *tokenizer = opened->tokenizer[expected[i].place];
        assert_int_equal(tokenizer_bos(tokenizer), expected[i].bos);
        assert_int_equal(tokenizer_eos(tokenizer), expected[i].eos);
        assert_int_equal(tokenizer_pad(tokenizer), expected[i].pad);
        assert_int_equal(tokenizer_adds_bos(tokenizer), expected[i].adds_bos);
        assert_int_equal(tokenizer_adds_eos(tokenizer), expected[i].adds_eos);
        assert_int_equal(strlen(tokenizer_hash(tokenizer)), 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_texts_are_those_recorded),
        cmocka_unit_test(cut_characters_decode_as_recorded_whole_and_streamed),
        cmocka_unit_test(special_ids_come_from_the_files_beside),
    };
    if (!file_exists(DATA "expected_ids.jsonl.gz")) {
        printf("SKIP: no recorded ids in " DATA "\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, open_all, close_all);
}
