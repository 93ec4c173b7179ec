/* Files and texts that mean harm: nothing crashes, hangs, or takes memory without end, and what is refused is refused by name. */
#include "tiny.h"

static void patterns_without_an_equivalent_are_refused(void **state)
{
    (void)state;
    static const char *const pattern[] = { "(?<name>a)", "a(?i)b|c", "(?~a)",           "\\\\X", "\\\\Q",    "[a",       "a)",
                                           "(a",         "(*FAIL)",  "\\\\p{Nonsense}", "(?s)a", "(?<=a+)b", "\\\\g<1>", "{2}" };
    for (size_t i = 0; i < COUNT(pattern); i++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        const char *json = arena_print(
            arena, "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\",\"invert\":false}," MODEL "}", pattern[i]);
        struct tokenizer *tokenizer = open_text(arena, json, &err);
        if (tokenizer || err.code != BAD_FILE || !strstr(err.what, "pre_tokenizer Split: pattern"))
            fail_msg("%s: %s", pattern[i], err.what);
        arena_destroy(arena);
    }
}

static void sequences_deeper_than_sixteen_are_refused(void **state)
{
    (void)state;
    for (int depth = 16; depth <= 17; depth++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        struct text json = text_new(arena);
        text_add_string(&json, "{\"normalizer\":");
        for (int i = 0; i < depth; i++)
            text_add_string(&json, "{\"type\":\"Sequence\",\"normalizers\":[");
        text_add_string(&json, "{\"type\":\"NFC\"}");
        for (int i = 0; i < depth; i++)
            text_add_string(&json, "]}");
        text_add_string(&json, "," MODEL "}");
        struct tokenizer *tokenizer = open_text(arena, json.bytes, &err);
        assert_int_equal(tokenizer != NULL, depth == 16);
        tokenizer_close(tokenizer);
        arena_destroy(arena);
    }
}

static void a_file_cut_anywhere_or_with_any_byte_changed_never_crashes(void **state)
{
    (void)state;
    static const char json[] =
        "{\"added_tokens\":[{\"id\":10,\"content\":\"<s>\",\"special\":true,\"normalized\":false}],\"normalizer\":{\"type\":\"Replace\",\"pattern\":"
        "{\"Regex\":\"[^a-c\\\\s[x]]{1,2}+\"},\"content\":\"c\"},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"},"
        "\"decoder\":{\"type\":\"Fuse\"}," MODEL "}";
    for (size_t i = 0; i < sizeof json - 1; i++)
        for (int change = 0; change < 4; change++) {
            static const char byte[] = { 0, '"', '}', (char)0xC3 };
            char copy[sizeof json];
            struct arena *arena = arena_create(NULL);
            struct error err = { 0 };
            struct tokens tokens;
            memcpy(copy, json, sizeof json);
            copy[i] = byte[change];
            struct tokenizer *tokenizer = open_beside(arena, copy, change == 0 ? i : sizeof json - 1, NULL, &err);
            if (tokenizer && tokenizer_encode(tokenizer, arena, "ab <s> c\xC3\xA9", 10, true, &tokens, &err) == OK)
                assert_true(tokens.count < 100);
            tokenizer_close(tokenizer);
            arena_destroy(arena);
        }
}

static void a_text_that_a_pattern_or_replacement_cannot_bear_is_an_error(void **state)
{
    (void)state;
    static const char *const json[] = {
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:a+)+(?:a+)+(?:a+)+$(?<=b)\"},\"behavior\":\"Isolated\",\"invert\":false}," MODEL
        "}",
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"%s\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"%s\"}]}," MODEL "}",
    };
    for (size_t i = 0; i < COUNT(json); i++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        struct tokens tokens;
        char *many = arena_alloc(arena, 20001);
        memset(many, 'a', 20000);
        struct text file = text_new(arena);
        for (const char *at = json[i]; *at; at++) /* every %s becomes twenty thousand letters */
            if (at[0] == '%' && at[1] == 's')
                text_add(&file, many, 20000), at++;
            else
                text_add(&file, at, 1);
        struct tokenizer *tokenizer = open_good(arena, file.bytes);
        assert_int_equal(tokenizer_encode(tokenizer, arena, many, 2000, true, &tokens, &err), BAD_DATA);
        assert_int_equal(tokens.count, 0);
        tokenizer_close(tokenizer);
        arena_destroy(arena);
    }
}

static void a_hundred_thousand_characters_merge_as_few_do(void **state)
{
    (void)state;
    enum { PAIRS = 50000 };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokens tokens;
    struct tokenizer *tokenizer = open_good(arena, "{" MODEL "}");
    char *text = arena_alloc(arena, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++)
        memcpy(text + 2 * i, "ab", 2);
    assert_int_equal(tokenizer_encode(tokenizer, arena, text, 2 * PAIRS, true, &tokens, &err), OK);
    assert_int_equal(tokens.count, PAIRS);
    for (int64_t i = 0; i < PAIRS; i++)
        assert_true(tokens.token[i].id == 2 && tokens.token[i].begin == 2 * i && tokens.token[i].end == 2 * i + 2);
    tokenizer_close(tokenizer);
    arena_destroy(arena);
}

static void a_million_marks_in_a_row_are_put_in_order_quickly(void **state)
{
    (void)state;
    enum { MARKS = 500000 };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokens tokens;
    struct tokenizer *tokenizer = open_good(arena, "{\"normalizer\":{\"type\":\"NFC\"}," MODEL "}");
    char *text = arena_alloc(arena, 1 + 4 * MARKS);
    text[0] = 'a';
    for (int i = 0; i < MARKS; i++)
        memcpy(text + 1 + 4 * i, "\xCC\x82\xCC\xA3", 4); /* circumflex (above) before dot (below): the wrong order */
    assert_int_equal(tokenizer_encode(tokenizer, arena, text, 1 + 4 * MARKS, true, &tokens, &err), OK);
    assert_int_equal(tokens.count, 0); /* a, dot, circumflex compose to a letter that the vocabulary lacks */
    tokenizer_close(tokenizer);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_deeper_than_sixteen_are_refused),     cmocka_unit_test(a_file_cut_anywhere_or_with_any_byte_changed_never_crashes),
        cmocka_unit_test(patterns_without_an_equivalent_are_refused),    cmocka_unit_test(a_text_that_a_pattern_or_replacement_cannot_bear_is_an_error),
        cmocka_unit_test(a_hundred_thousand_characters_merge_as_few_do), cmocka_unit_test(a_million_marks_in_a_row_are_put_in_order_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
