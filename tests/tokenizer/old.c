/* SentencePiece models, against what the Python package makes of the tokenizer that transformers converts them to (records/old.jsonl.gz, made by
 * tests/reference/make_tokenizers.py).
 */
#include "recorded.h"
#include "tiny.h"

static void put(const char *folder, const char *name, const char *bytes, size_t size, struct arena *arena)
{
    FILE *file = fopen(path_join(arena, folder, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static struct tokenizer *open_model(struct arena *arena, const json_t *record)
{
    char folder[] = "/tmp/graft_tokenizer_XXXXXX";
    struct error err = { 0 };
    struct tokenizer *tokenizer;
    const char *hex = json_string_value(json_object_get(record, "model")), *config = json_string_value(json_object_get(record, "config"));
    struct text model = text_new(arena);
    for (; *hex; hex += 2) {
        const char pair[] = { hex[0], hex[1], 0 };
        const char byte = (char)(uint8_t)strtoul(pair, NULL, 16);
        text_add(&model, &byte, 1);
    }
    assert_non_null(mkdtemp(folder));
    put(folder, "tokenizer.model", model.bytes, model.length, arena);
    put(folder, "tokenizer_config.json", config, strlen(config), arena);
    if (tokenizer_open(&tokenizer, arena, folder, &err) != OK)
        fail_msg("%s", err.what);
    unlink(path_join(arena, folder, "tokenizer.model"));
    unlink(path_join(arena, folder, "tokenizer_config.json"));
    rmdir(folder);
    return tokenizer;
}

static void models_give_the_ids_and_texts_of_their_conversion(void **state)
{
    (void)state;
    char *line = NULL;
    size_t capacity = 0, place;
    ssize_t length;
    int64_t compared = 0, different = 0;
    FILE *pipe = popen("gzip -dc '" TESTS_FOLDER "/tokenizer/records/old.jsonl.gz'", "r");
    assert_non_null(pipe);
    while ((length = getline(&line, &capacity, pipe)) > 0) {
        struct arena *arena = arena_create(NULL);
        json_error_t json_err;
        json_t *record = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, &json_err), *item;
        assert_non_null(record);
        struct tally tally = { .name = json_string_value(json_object_get(record, "name")) };
        struct tokenizer *tokenizer = open_model(arena, record);
        json_array_foreach(json_object_get(record, "cases"), place, item)
        {
            const json_t *text = json_object_get(item, "text");
            compare_ids(&tally, tokenizer, text, false, json_object_get(item, "ids"));
            compare_ids(&tally, tokenizer, text, true, json_object_get(item, "ids_special"));
            compare_text(&tally, tokenizer, json_object_get(item, "ids"), false, json_object_get(item, "decoded"));
            compare_text(&tally, tokenizer, json_object_get(item, "ids_special"), true, json_object_get(item, "decoded_skip"));
        }
        compared += tally.compared;
        different += tally.different;
        tokenizer_close(tokenizer);
        json_decref(record);
        arena_destroy(arena);
    }
    free(line);
    assert_int_equal(pclose(pipe), 0);
    printf("%d comparisons, %d different\n", (int)compared, (int)different);
    assert_true(compared > 700);
    assert_int_equal(different, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(models_give_the_ids_and_texts_of_their_conversion) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
