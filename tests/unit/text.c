/* Text: UTF-8 in and out, numbers, distances, sizes. */
#include "common/text.h"
#include "tests/unit/scratch.h"

#include <math.h>

static void every_code_point_survives_utf8(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code < 0xE000)
            continue;
        char bytes[4];
        uint32_t again = 0;
        int size = utf8_encode(code, bytes);
        if (utf8_decode(bytes, (size_t)size, &again) != size || again != code)
            fail_msg("U+%04X came back as U+%04X", code, again);
        if (size > 1 && utf8_decode(bytes, (size_t)size - 1, &again) != 0)
            fail_msg("U+%04X was read from %d of its bytes", code, size - 1);
    }
}

static void invalid_utf8_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length, bad;
    } cases[] = {
        { "\x80", 1, 0 },             /* continuation first */
        { "ab\xC0\x80", 4, 2 },       /* overlong NUL */
        { "\xC1\xBF", 2, 0 },         /* overlong */
        { "\xE0\x9F\xBF", 3, 0 },     /* overlong */
        { "\xF0\x8F\xBF\xBF", 4, 0 }, /* overlong */
        { "\xED\xA0\x80", 3, 0 },     /* surrogate */
        { "\xF4\x90\x80\x80", 4, 0 }, /* above U+10FFFF */
        { "\xF5\x80\x80\x80", 4, 0 }, /* lead byte that never occurs */
        { "\xC3\xA4x\xC3", 4, 3 },    /* cut off */
        { "\xE2\x82x", 3, 0 },        /* not a continuation */
        { "\xC3\xA4\xE2\x82\xAC\xFF", 6, 5 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t bad = 99;
        assert_false(utf8_valid(cases[i].bytes, cases[i].length, &bad));
        assert_int_equal(bad, cases[i].bad);
        assert_false(utf8_valid(cases[i].bytes, cases[i].length, NULL));
    }
    assert_true(utf8_valid("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80 plain", 15, NULL));
    assert_true(utf8_valid("", 0, NULL));
}

static void buffers_grow_and_stay_terminated(void **state)
{
    struct scratch *s = *state;
    struct text text = text_new(s->arena);
    text_add(&text, "", 0);
    assert_string_equal(text.bytes, "");
    for (int i = 0; i < 1000; i++)
        text_print(&text, "%d,", i);
    text_add_string(&text, "end");
    text_add_code(&text, 0x20AC);
    assert_int_equal(text.length, strlen(text.bytes));
    assert_int_equal(text.length, 3890 + 6);
    assert_holds(text.bytes, "998,999,end\xE2\x82\xAC");
    text_clear(&text);
    assert_int_equal(text.length, 0);
    assert_string_equal(text.bytes, "");
}

static void typing_mistakes_find_their_word(void **state)
{
    (void)state;
    static const char *const candidates[] = { "learning_rate", "lora_alpha", "lora_dropout", "r", "seed", "LORA", "PROMPT_TUNING" };
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        { "lerning_rate", "learning_rate" },
        { "learnign_rate", "learning_rate" },
        { "lr", NULL },
        { "lora_alhpa", "lora_alpha" },
        { "lora", "LORA" },
        { "prompt-tuning", "PROMPT_TUNING" },
        { "sede", "seed" },
        { "completely_else", NULL },
        { "x", NULL },
        { "R", "r" },
        { "lora_aplha", "lora_alpha" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *found = text_nearest(cases[i].word, candidates, COUNT(candidates));
        if (!text_equal(found, cases[i].nearest))
            fail_msg("%s: %s", cases[i].word, found ? found : "nothing");
    }
    char longest[1000];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(text_nearest(longest, candidates, COUNT(candidates)));
    assert_null(text_nearest("seed", (const char *const[]){ longest }, 1));
    assert_null(text_nearest("seed", candidates, 0));
}

static void comparisons_know_null_and_ends(void **state)
{
    (void)state;
    assert_true(text_equal(NULL, NULL) && text_equal("a", "a"));
    assert_false(text_equal(NULL, "a") || text_equal("a", NULL) || text_equal("a", "b"));
    assert_true(text_starts("abc", "ab") && text_starts("abc", "") && !text_starts("ab", "abc"));
    assert_true(text_ends("abc", "bc") && text_ends("abc", "") && !text_ends("bc", "abc"));
}

static void only_whole_texts_are_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fine;
        int64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "-17", true, -17 },
        { "+5", true, 5 },
        { "007", true, 7 },
        { "", false, 0 },
        { "-", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "1.0", false, 0 },
        { "1e3", false, 0 },
        { "0x10", false, 0 },
        { "--1", false, 0 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t value = 0;
        if (text_to_int(cases[i].text, &value) != cases[i].fine || value != cases[i].value)
            fail_msg("'%s'", cases[i].text);
    }
}

static void only_finite_decimals_are_reals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fine;
        double value;
    } cases[] = {
        { "1e-4", true, 1e-4 }, { "1.0e-4", true, 1e-4 }, { "2E-4", true, 2e-4 }, { ".5", true, 0.5 },   { "5.", true, 5 },     { "-0.25", true, -0.25 },
        { "+3", true, 3 },      { "1e400", false, 0 },    { "-1e400", false, 0 }, { "1e-400", true, 0 }, { "inf", false, 0 },   { "nan", false, 0 },
        { ".inf", false, 0 },   { "0x1p3", false, 0 },    { "1e", false, 0 },     { "1e+", false, 0 },   { ".", false, 0 },     { "", false, 0 },
        { " 1", false, 0 },     { "1 ", false, 0 },       { "1,5", false, 0 },    { "e5", false, 0 },    { "1.2.3", false, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double value = 0;
        if (text_to_real(cases[i].text, &value) != cases[i].fine || value != cases[i].value)
            fail_msg("'%s'", cases[i].text);
    }
}

static void sizes_read_well(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" },          { 17, "17 B" },       { 1023, "1023 B" },        { 1024, "1 KiB" },           { 1536, "1.5 KiB" },
        { 319488, "312 KiB" }, { 1048575, "1 MiB" }, { 1610612736, "1.5 GiB" }, { 26091716608, "24.3 GiB" }, { UINT64_MAX, "16 EiB" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[32];
        assert_string_equal(text_bytes(out, cases[i].bytes), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_survives_utf8), cmocka_unit_test(invalid_utf8_is_found),
        SCRATCH_TEST(buffers_grow_and_stay_terminated),   cmocka_unit_test(typing_mistakes_find_their_word),
        cmocka_unit_test(comparisons_know_null_and_ends), cmocka_unit_test(only_whole_texts_are_integers),
        cmocka_unit_test(only_finite_decimals_are_reals), cmocka_unit_test(sizes_read_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
