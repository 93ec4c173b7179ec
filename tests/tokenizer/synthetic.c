/* Small tokenizers of every component, over difficult strings, against what the Python package makes of them
 * (records/synthetic.jsonl.gz, made by tests/reference/make_tokenizers.py; another file of that kind can be given as argument).
 */
#include "recorded.h"
#include "tiny.h"

static const char *records = TESTS_FOLDER "/tokenizer/records/synthetic.jsonl.gz";

static void compare_case(struct tally *tally, const struct tokenizer *tokenizer, const json_t *record)
{
    const json_t *text = json_object_get(record, "text");
    compare_ids(tally, tokenizer, text, false, json_object_get(record, "ids"));
    compare_ids(tally, tokenizer, text, true, json_object_get(record, "ids_special"));
    compare_text(tally, tokenizer, json_object_get(record, "ids"), false, json_object_get(record, "decoded"));
    compare_text(tally, tokenizer, json_object_get(record, "ids_special"), true, json_object_get(record, "decoded_skip"));
}

static void every_component_gives_the_recorded_ids_and_texts(void **state)
{
    (void)state;
    char command[1200], *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int64_t tokenizers = 0, compared = 0, different = 0;
    snprintf(command, sizeof command, "gzip -dc '%s'", records);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while ((length = getline(&line, &capacity, pipe)) > 0) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        json_error_t json_err;
        json_t *record = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, &json_err), *item;
        assert_non_null(record);
        struct tally tally = { .name = json_string_value(json_object_get(record, "name")) };
        struct tokenizer *tokenizer = open_text(arena, json_string_value(json_object_get(record, "file")), &err);
        size_t place;
        tokenizers++;
        if (!tokenizer) {
            fprintf(stderr, "%s: %s\n", tally.name, err.what);
            different++;
        }
        json_array_foreach(json_object_get(record, "cases"), place, item)
        {
            if (tokenizer)
                compare_case(&tally, tokenizer, item);
        }
        if (tally.different > 0)
            fprintf(stderr, "%s: %d of %d different\n", tally.name, (int)tally.different, (int)tally.compared);
        if (tally.backward > 0) {
            /* A template may repeat the text; bytes of a fallback overtake an unknown character. */
            const char *file = json_string_value(json_object_get(record, "file"));
            bool known = strstr(file, "\"byte_fallback\": true") || strcmp(tally.name, "template twice") == 0;
            fprintf(stderr, "%s: %d tokens out of order%s\n", tally.name, (int)tally.backward, known ? ", as they should" : "");
            different += !known;
        }
        compared += tally.compared;
        different += tally.different;
        tokenizer_close(tokenizer);
        json_decref(record);
        arena_destroy(arena);
    }
    free(line);
    assert_int_equal(pclose(pipe), 0);
    printf("%d tokenizers, %d comparisons, %d different\n", (int)tokenizers, (int)compared, (int)different);
    assert_true(tokenizers > 80 && compared > 20000);
    assert_int_equal(different, 0);
}

int main(int count, char **argument)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_component_gives_the_recorded_ids_and_texts) };
    if (count > 1)
        records = argument[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
