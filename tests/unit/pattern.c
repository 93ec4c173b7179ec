/* Regular expressions on names: what Python's re would say, and errors for what it would not read or not finish. */
#include "common/pattern.h"
#include "tests/unit/scratch.h"

static const struct {
    const char *pattern, *subject;
    bool whole, end;
} cases[] = {
    { "q_proj", "q_proj", true, true },
    { "q_proj", "model.layers.0.self_attn.q_proj", false, true },
    { "self_attn.q_proj", "model.layers.0.self_attn.q_proj", false, true },
    { "attn.q_proj", "model.layers.0.self_attn.q_proj", false, false },
    { "proj", "model.layers.0.self_attn.q_proj", false, false },
    { ".*proj", "model.layers.0.self_attn.q_proj", true, true },
    { "q_proj|model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", true, true },
    { "q|q_proj", "q_proj", true, true },
    { "model\\.layers\\.\\d+\\..*_(?:proj|up)", "model.layers.10.self_attn.q_proj", true, true },
    { "layers\\.[0-3]\\..*", "model.layers.2.mlp", false, true },
    { "layers\\.[0-3]\\..*", "model.layers.4.mlp", false, false },
    { "(?P<a>x)(?P=a)", "xx", true, true },
    { "(?<!a)b", "b", true, true },
    { "Q_proj", "q_proj", false, false },
    { "(?i:Q_proj)", "q_proj", true, true },
    { "\\w+", "caf\xC3\xA9", true, true },
    { "....", "caf\xC3\xA9", true, true },
    { "q_proj$", "q_proj\n", false, false },
    { "", "", true, true },
    { "", "a.", false, true },
    { "", "a", false, false },
};

static void names_match_as_in_python(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pattern *pattern;
        bool whole, end;
        assert_fine(s, pattern_new(&pattern, s->arena, cases[i].pattern, "here", &s->err));
        assert_fine(s, pattern_matches_whole(pattern, cases[i].subject, &whole, &s->err));
        assert_fine(s, pattern_matches_end(pattern, cases[i].subject, &end, &s->err));
        if (whole != cases[i].whole || end != cases[i].end)
            fail_msg("'%s' on '%s': whole %d, end %d", cases[i].pattern, cases[i].subject, whole, end);
    }
}

static const struct {
    const char *pattern, *what;
} bad[] = {
    { "(", "f.yaml:1:2: '(' is no regular expression" },
    { "a)|(b", "at character" },
    { "[a", "at character 2" },
    { "*a", "at character 0" },
    { "a{,3}", "'{,'" },
    { "[[:alpha:]]", "'[[:'" },
    { "(*UTF)a", "'(*'" },
    { "\xFF", "UTF-8" },
    { "\\C", "is no regular expression" },
};

static void what_is_no_expression_is_an_error_with_its_place(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct pattern *pattern;
        assert_failed(s, pattern_new(&pattern, s->arena, bad[i].pattern, "f.yaml:1:2", &s->err), BAD_CONFIG, bad[i].what);
        assert_null(pattern);
    }
    char *longest = arena_alloc(s->arena, 5001);
    memset(longest, 'a', 5000);
    struct pattern *pattern;
    assert_failed(s, pattern_new(&pattern, s->arena, longest, "f.yaml:1:2", &s->err), BAD_CONFIG, "5000 characters");
}

static void a_match_that_would_take_for_ever_is_an_error(void **state)
{
    struct scratch *s = *state;
    struct pattern *pattern;
    bool matches;
    assert_fine(s, pattern_new(&pattern, s->arena, "(a+)+[bd]", "f.yaml:1:2", &s->err));
    assert_failed(s, pattern_matches_whole(pattern, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", &matches, &s->err), BAD_CONFIG, "limit");
    assert_false(matches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(names_match_as_in_python),
        SCRATCH_TEST(what_is_no_expression_is_an_error_with_its_place),
        SCRATCH_TEST(a_match_that_would_take_for_ever_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
