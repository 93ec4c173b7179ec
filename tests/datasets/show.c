/* Showing a sequence: its text with the trained runs marked, whatever the tokens and whatever stands in them. */
#include "tests/datasets/world.h"

static const char *shown(struct world *w, int64_t i, enum show_style style)
{
    struct text out = text_new(w->scratch->arena);
    assert_fine(w->scratch, sequence_show(&w->dataset.sequence[i], w->tokenizer, style, &out, &w->scratch->err));
    return out.bytes;
}

static void trained_runs_stand_in_brackets(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state,
                read_text(&w, "prompt_completion", "{\"prompt\": \"Q: \u00e9\\n\", \"completion\": \"\u20ac b\"}\n{\"prompt\": \"\", \"completion\": \"ab\"}"));
    assert_string_equal(shown(&w, 0, SHOW_PLAIN), "<s>Q: \u00e9\n[[\u20ac b</s>]]");
    assert_string_equal(shown(&w, 1, SHOW_PLAIN), "<s>[[ab</s>]]");
    tokenizer_close(w.tokenizer);
}

static void on_a_terminal_they_stand_in_reverse(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "prompt_completion", "{\"prompt\": \"Q\", \"completion\": \"A\"}"));
    assert_string_equal(shown(&w, 0, SHOW_COLOUR), "<s>Q\x1B[7mA</s>\x1B[27m");
    tokenizer_close(w.tokenizer);
}

static void on_a_page_markup_is_escaped(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "prompt_completion", "{\"prompt\": \"<b>&\\\"'\", \"completion\": \"</mark>\\u001b\"}"));
    assert_string_equal(shown(&w, 0, SHOW_HTML), "&lt;s&gt;&lt;b&gt;&amp;&quot;&#39;<mark>&lt;/mark&gt;\\x1B&lt;/s&gt;</mark>");
    tokenizer_close(w.tokenizer);
}

static void several_runs_are_marked_each(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "tokens", "{\"ids\": [67, 68, 69, 70, 71], \"labels\": [67, 68, -100, -100, 71]}"));
    assert_string_equal(shown(&w, 0, SHOW_PLAIN), "A[[B]]CD[[E]]");
    tokenizer_close(w.tokenizer);
}

static void a_border_inside_a_character_leaves_it_whole(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "tokens", "{\"ids\": [67, 197, 171, 68], \"labels\": [-100, -100, 171, 68]}"));
    assert_string_equal(shown(&w, 0, SHOW_PLAIN), "A[[\u00e9B]]");
    /* U+FF21 begins with the byte with which the replacement character begins. */
    assert_fine(*state, read_text(&w, "tokens", "{\"ids\": [67, 241, 190, 163], \"labels\": [-100, -100, 190, 163]}"));
    assert_string_equal(shown(&w, 0, SHOW_PLAIN), "A[[\uff21]]");
    tokenizer_close(w.tokenizer);
}

static void a_text_cut_inside_a_character_is_shown_all_the_same(void **state)
{
    struct world w = world_new(*state);
    w.settings.max_length = 4;
    w.settings.over_length = OVER_LENGTH_TRUNCATE;
    assert_fine(*state, read_text(&w, "prompt_completion", "{\"prompt\": \"Q\", \"completion\": \"A\u00e9\"}"));
    assert_string_equal(shown(&w, 0, SHOW_PLAIN), "<s>Q[[A\uFFFD]]");
    tokenizer_close(w.tokenizer);
}

static void llama_blanks_are_shown_as_blanks(void **state)
{
    struct world w = llama_world(*state);
    assert_fine(*state, read_text(&w, "prompt_completion", "{\"prompt\": \"q:\", \"completion\": \" b c\"}"));
    assert_holds(shown(&w, 0, SHOW_PLAIN), "q:[[ b c</s>]]");
    tokenizer_close(w.tokenizer);
}

static void controls_do_not_reach_the_terminal(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"a\\u001b[2J\\u009b\\t\\u007f\"}"));
    assert_string_equal(shown(&w, 0, SHOW_PLAIN), "<s>[[a\\x1B[2J\\x9B\t\\x7F</s>]]");
    tokenizer_close(w.tokenizer);
}

static void without_tokenizer_ids_are_shown(void **state)
{
    struct world w = world_new(*state);
    tokenizer_close(w.tokenizer);
    w.tokenizer = NULL;
    assert_fine(*state, read_text(&w, "tokens", "{\"ids\": [7, 8, 9, 10, 11], \"labels\": [-100, -100, 9, 10, -100]}\n{\"ids\": [3, 4]}"));
    assert_string_equal(shown(&w, 0, SHOW_PLAIN), "7 8 [[9 10]] 11");
    assert_string_equal(shown(&w, 1, SHOW_PLAIN), "3 [[4]]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(trained_runs_stand_in_brackets),
        SCRATCH_TEST(on_a_terminal_they_stand_in_reverse),
        SCRATCH_TEST(on_a_page_markup_is_escaped),
        SCRATCH_TEST(several_runs_are_marked_each),
        SCRATCH_TEST(a_border_inside_a_character_leaves_it_whole),
        SCRATCH_TEST(a_text_cut_inside_a_character_is_shown_all_the_same),
        SCRATCH_TEST(llama_blanks_are_shown_as_blanks),
        SCRATCH_TEST(controls_do_not_reach_the_terminal),
        SCRATCH_TEST(without_tokenizer_ids_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
