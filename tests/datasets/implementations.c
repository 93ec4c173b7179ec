/* Formats and templates against what public implementations make of the same records (records/formats.jsonl, made by tests/reference/make_formats.py): every
 * byte of the text, and which tokens have labels where they say so. Where graft means to differ, the row below says how and why; a row without use fails.
 */
#include "tests/datasets/world.h"

/* What the source renders, every time; what graft renders instead. */
static const struct {
    const char *source, *theirs, *ours, *why;
} differences[] = {
    { "litgpt's Alpaca", "### Response:\n", "### Response:", "Stanford Alpaca's own prompts end with the colon; the answer follows at once" },
    { "FastChat's starchat", "<system>", "<|system|>", "the tokens that the model card writes and the tokenizer has" },
    { "FastChat's llama-2", "3. </s><s>", "3. </s>", "behind the last turn: a BOS that opens no question is not trained on" },
    { "FastChat's falcon", "<s>User:", "<s>\n\nUser:", "the model's own template puts the blank line in front of a turn, FastChat behind it" },
    { "FastChat's falcon", "3.\n\n", "3.</s>", "so behind the last stands EOS" },
    { "FastChat's baize", "|]", "|] ", "Baize's training data have a blank behind a mark, its prompts have none" },
    { "FastChat's baize", "3.\n", "3.\n</s>", "its tokenizer adds EOS in training" },
    { "FastChat's dolly_v2", "3.### End\n\n", "3.\n\n### End", "Dolly's trainer puts the key into a paragraph of its own, and nothing behind it" },
};

static const char *replaced(struct arena *arena, const char *text, const char *old, const char *new)
{
    struct text out = text_new(arena);
    text_add(&out, "", 0);
    for (const char *found; (found = strstr(text, old)); text = found + strlen(old)) {
        text_add(&out, text, (size_t)(found - text));
        text_add_string(&out, new);
    }
    text_add_string(&out, text);
    return out.bytes;
}

/* What the source says, with what graft means to have otherwise. */
static const char *expected_of(struct arena *arena, const char *source, const char *text, bool used[COUNT(differences)])
{
    for (size_t i = 0; i < COUNT(differences); i++) {
        if (strcmp(source, differences[i].source) != 0)
            continue;
        const char *other = replaced(arena, text, differences[i].theirs, differences[i].ours);
        used[i] |= strcmp(other, text) != 0;
        text = other;
    }
    return text;
}

static void check_record(struct scratch *s, const json_t *line, bool used[COUNT(differences)])
{
    static const char names[] = "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}"; /* a layout writes BOS between turns only where it has a name */
    scratch_write(s, "tokenizer_config.json", names, strlen(names));
    struct world w = world_new(s);
    const char *source = json_string_value(json_object_get(line, "source")), *marked = json_string_value(json_object_get(line, "spelled"));
    const char *text = marked ? marked : json_string_value(json_object_get(line, "text"));
    char *record = json_dumps(json_object_get(line, "record"), 0);
    w.source.template_name = json_string_value(json_object_get(line, "template"));
    assert_non_null(record);
    assert_fine(s, read_text(&w, json_string_value(json_object_get(line, "format")), record));
    assert_int_equal(w.dataset.count, 1);
    const char *ours = spelled(&w, &w.dataset.sequence[0]);
    if (!marked)
        ours = replaced(s->arena, replaced(s->arena, ours, "[[", ""), "]]", "");
    const char *theirs = expected_of(s->arena, source, text, used);
    if (strcmp(ours, theirs) != 0)
        fail_msg("%s, graft says\n%s\nand not\n%s", source, ours, theirs);
    free(record);
    tokenizer_close(w.tokenizer);
}

static void records_become_what_public_implementations_make_of_them(void **state)
{
    struct scratch *s = *state;
    struct json_lines *lines;
    json_t *value;
    int64_t line, compared = 0;
    bool used[COUNT(differences)] = { false };
    assert_fine(s, json_lines_open(&lines, s->arena, TESTS_FOLDER "/datasets/records/formats.jsonl", &s->err));
    while (json_lines_next(lines, &value, &line, &s->err) == OK && value) {
        check_record(s, value, used);
        json_decref(value);
        compared++;
    }
    json_lines_close(lines);
    assert_int_equal(compared, 22);
    for (size_t i = 0; i < COUNT(differences); i++)
        if (!used[i])
            fail_msg("%s does not write %s any more", differences[i].source, differences[i].theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = { SCRATCH_TEST(records_become_what_public_implementations_make_of_them) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
