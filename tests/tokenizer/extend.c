/* Tokens added to a tokenizer: the ids of the Python package's rule, and a file that says the same. */
#include "common/json.h"
#include "tiny.h"

#define ADDED_B "\"added_tokens\":[{\"id\":10,\"content\":\"<b>\",\"special\":true}]"

static const struct added_token two[] = { { .text = "<x>", .special = true }, { .text = "<\"y\u00e9>" } };

static const struct {
    const char *json;
    int32_t x, y;
} files[] = {
    { "{" ADDED_B "," MODEL "}", 11, 12 },
    { "{\"added_tokens\":[]," MODEL "}", 10, 11 },
    { "{\"added_tokens\" : [\n ] \n, " MODEL "}", 10, 11 },
    { "{\"added_tokens\":null," MODEL "}", 10, 11 },
    { "{" MODEL "}", 10, 11 },
    { "{" MODEL "," ADDED_B "\n}", 11, 12 },
    { "{" MODEL ",\"added_tokens\":[{\"id\":10,\"content\":\"<x>\",\"special\":true}]}", 10, 11 }, /* is there already */
    { "{" MODEL ",\"added_tokens\":[{\"id\":10,\"content\":\"]\",\"special\":true}  ] }", 11, 12 },
};

static char folder[] = "/tmp/graft_tokenizer_XXXXXX";

static void put(struct arena *arena, const char *name, const char *text)
{
    FILE *file = fopen(path_join(arena, folder, name), "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static void write_out(struct arena *arena, const struct tokenizer *tokenizer, const char *to)
{
    struct output file[TOKENIZER_FILES] = { 0 };
    struct error err = { 0 };
    assert_int_equal(folder_make(to, &err), OK);
    if (tokenizer_write(tokenizer, arena, to, file, &err) != OK || output_commit_all(file, TOKENIZER_FILES) != OK)
        fail_msg("%s", err.what);
}

static void they_follow_the_last_id_and_the_file_says_so(void **state)
{
    struct arena *arena = *state;
    const char *out = path_join(arena, folder, "out"), *text = "a<x>b<\"y\u00e9>";
    for (size_t i = 0; i < COUNT(files); i++) {
        struct tokenizer *tokenizer, *again;
        struct tokens one, other;
        struct error err = { 0 };
        put(arena, "tokenizer.json", files[i].json);
        if (tokenizer_open_with(&tokenizer, arena, folder, two, COUNT(two), &err) != OK)
            fail_msg("%zu: %s", i, err.what);
        assert_int_equal(tokenizer_id(tokenizer, "<x>"), files[i].x);
        assert_int_equal(tokenizer_id(tokenizer, "<\"y\u00e9>"), files[i].y);
        write_out(arena, tokenizer, out);
        if (tokenizer_open(&again, arena, out, &err) != OK)
            fail_msg("%zu: %s", i, err.what);
        assert_string_equal(tokenizer_hash(tokenizer), tokenizer_hash(again));
        assert_int_equal(tokenizer_encode(tokenizer, arena, text, strlen(text), true, &one, &err), OK);
        assert_int_equal(tokenizer_encode(again, arena, text, strlen(text), true, &other, &err), OK);
        assert_int_equal(one.count, 4);
        assert_int_equal(other.count, 4);
        for (int64_t t = 0; t < one.count; t++)
            assert_int_equal(one.token[t].id, other.token[t].id);
        tokenizer_close(tokenizer);
        tokenizer_close(again);
    }
}

static void nothing_added_is_the_same_file(void **state)
{
    struct arena *arena = *state;
    struct tokenizer *tokenizer, *plain;
    struct error err = { 0 };
    put(arena, "tokenizer.json", files[2].json);
    assert_int_equal(tokenizer_open_with(&tokenizer, arena, folder, NULL, 0, &err), OK);
    assert_int_equal(tokenizer_open(&plain, arena, folder, &err), OK);
    assert_string_equal(tokenizer_hash(tokenizer), tokenizer_hash(plain));
    tokenizer_close(tokenizer);
    tokenizer_close(plain);
}

static void the_small_files_come_along(void **state)
{
    struct arena *arena = *state;
    struct tokenizer *tokenizer;
    struct error err = { 0 };
    json_t *json = NULL;
    put(arena, "tokenizer.json", files[0].json);
    put(arena, "tokenizer_config.json", "{\"bos_token\":\"<b>\",\"chat_template\":\"old\",\"added_tokens_decoder\":{\"10\":{\"content\":\"<b>\"}}}");
    put(arena, "special_tokens_map.json", "{\"bos_token\":\"a\",\"eos_token\":{\"content\":\"<b>\"}}");
    put(arena, "chat_template.jinja", "new\n");
    assert_int_equal(tokenizer_open_with(&tokenizer, arena, folder, two, COUNT(two), &err), OK);
    write_out(arena, tokenizer, path_join(arena, folder, "out"));
    if (json_read(path_join(arena, folder, "out/tokenizer_config.json"), &json, &err) != OK)
        fail_msg("%s", err.what);
    assert_string_equal(json_string_value(json_object_get(json, "bos_token")), "<b>");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "eos_token"), "content")), "<b>");
    assert_string_equal(json_string_value(json_object_get(json, "chat_template")), "new\n");
    assert_string_equal(json_string_value(json_object_get(json, "tokenizer_class")), "PreTrainedTokenizerFast");
    const json_t *tokens = json_object_get(json, "added_tokens_decoder");
    assert_int_equal(json_object_size(tokens), 3);
    assert_true(json_is_true(json_object_get(json_object_get(tokens, "11"), "special")));
    assert_true(json_is_false(json_object_get(json_object_get(tokens, "12"), "special")));
    json_decref(json);
    tokenizer_close(tokenizer);
}

static const struct {
    const char *json, *what;
} refused[] = {
    { "{\"added_tok\\u0065ns\":[]," MODEL "}", "added_tokens is spelled with escapes" },
    { "{\"added_tokens\":{}," MODEL "}", "added_tokens is not a list" },
    { "{\"added_tokens\":[{\"content\":7}]," MODEL "}", "content" },
    { "[]", "not an object" },
    { "", "" },
};

static void what_is_no_list_is_refused(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct tokenizer *tokenizer;
        struct error err = { 0 };
        put(arena, "tokenizer.json", refused[i].json);
        assert_int_equal(tokenizer_open_with(&tokenizer, arena, folder, two, COUNT(two), &err), BAD_FILE);
        assert_null(tokenizer);
        if (!strstr(err.what, refused[i].what))
            fail_msg("%s", err.what);
    }
}

static int make_folder(void **state)
{
    *state = arena_create(NULL);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const name[] = { "tokenizer.json",      "tokenizer_config.json", "special_tokens_map.json",
                                        "chat_template.jinja", "out/tokenizer.json",    "out/tokenizer_config.json" };
    for (size_t i = 0; i < COUNT(name); i++)
        unlink(path_join(*state, folder, name[i]));
    rmdir(path_join(*state, folder, "out"));
    rmdir(folder);
    arena_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_follow_the_last_id_and_the_file_says_so),
        cmocka_unit_test(nothing_added_is_the_same_file),
        cmocka_unit_test(the_small_files_come_along),
        cmocka_unit_test(what_is_no_list_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
