/* Published chat templates over conversations of every kind, against what transformers renders. The records lie outside the project; without them
 * this test is skipped. The assistant's turns are what the renderings must have between prompt and next turn.
 */
#include "common/files.h"
#include "recorded.h"
#include "tokenizer/chat_template.h"

#define DATA SHARED_FOLDER "/data/chat_templates/"

/* The template of a folder that holds the entry's three values as a tokenizer_config.json. */
static struct chat_template *read_entry(struct arena *arena, const json_t *entry)
{
    struct chat_template *chat_template = NULL;
    struct error err = { 0 };
    struct output output;
    char folder[] = "/tmp/graft_chat_XXXXXX";
    assert_non_null(mkdtemp(folder));
    const char *path = path_join(arena, folder, "tokenizer_config.json");
    char *text = json_dumps(entry, 0);
    assert_int_equal(output_open(&output, arena, path, false, &err), OK);
    output_string(&output, text);
    assert_int_equal(output_commit(&output), OK);
    free(text);
    if (chat_template_read(&chat_template, arena, folder, &err) != OK)
        fail_msg("%s: %s", json_string_value(json_object_get(entry, "name")), err.what);
    remove(path);
    remove(folder);
    return chat_template;
}

static void compare_rendering(struct tally *tally, const struct chat_template *chat_template, const json_t *record)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct chat_text text;
    const char *rendered = json_string_value(json_object_get(record, "rendered")), *error = json_string_value(json_object_get(record, "error"));
    const struct chat chat = { .messages = json_object_get(record, "messages"),
                               .add_generation_prompt = json_is_true(json_object_get(record, "add_generation_prompt")) };
    const enum status status = chat_template_render(chat_template, arena, &chat, &text, &err);
    const char *conversation = json_string_value(json_object_get(record, "conversation"));
    if (rendered)
        count_comparison(tally, status == OK && text.length == strlen(rendered) && strcmp(rendered, text.text) == 0, "rendering", conversation, rendered,
                         status == OK ? text.text : err.what);
    else
        count_comparison(tally, status == BAD_DATA && error && strstr(err.what, error), "refusal", conversation, error ? error : "",
                         status == OK ? text.text : err.what);
    arena_destroy(arena);
}

/* Every turn's content lies in its span, nothing of the others does, and the text between two spans holds no content of the assistant. */
static void check_turns(struct tally *tally, const struct chat_template *chat_template, const json_t *record)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct chat_text text;
    const json_t *messages = json_object_get(record, "messages");
    const struct chat chat = { .messages = messages, .add_generation_prompt = json_is_true(json_object_get(record, "add_generation_prompt")) };
    const enum status status = chat_template_render_turns(chat_template, arena, &chat, &text, &err);
    const char *conversation = json_string_value(json_object_get(record, "conversation"));
    bool right = status == OK;
    size_t turn = 0, at = 0;
    for (size_t i = 0; i < json_array_size(messages) && right; i++) {
        const json_t *message = json_array_get(messages, i);
        if (strcmp(json_string_value(json_object_get(message, "role")), "assistant") != 0)
            continue;
        const char *content = json_string_value(json_object_get(message, "content")), *end = content + strlen(content);
        content += strspn(content, " \t\r\n");
        while (end > content && strchr(" \t\r\n", end[-1]))
            end--;
        const struct chat_span *span = turn < text.spans ? &text.span[turn++] : NULL;
        right = span && span->begin >= at && span->end >= span->begin && span->end <= text.length &&
                memmem(text.text + span->begin, span->end - span->begin, content, (size_t)(end - content)) != NULL;
        at = right ? span->end : at;
    }
    if (strcmp(json_string_value(json_object_get(record, "template")), "llama-3-original") == 0 && json_array_size(messages) > 2) {
        /* It asks for an answer behind every text. */
        right = status == BAD_DATA && strstr(err.what, "whether asked or not");
        turn = text.spans = 0;
    }
    count_comparison(tally, right && turn == text.spans, "turns", conversation, "one span per turn, with its content", status == OK ? text.text : err.what);
    arena_destroy(arena);
}

static void walk_records(const char *what, void (*check)(struct tally *, const struct chat_template *, const json_t *), bool errors_too, int64_t wanted)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    json_t *templates, *entry, *record;
    size_t place;
    int64_t line;
    struct tally tally = { .name = what };
    assert_int_equal(json_read(DATA "templates.json", &templates, &err), OK);
    json_array_foreach(templates, place, entry)
    {
        const struct chat_template *chat_template = read_entry(arena, entry);
        struct json_lines *lines;
        assert_int_equal(json_lines_open(&lines, arena, DATA "expected.jsonl", &err), OK);
        while (json_lines_next(lines, &record, &line, &err) == OK && record) {
            const bool mine = strcmp(json_string_value(json_object_get(record, "template")), json_string_value(json_object_get(entry, "name"))) == 0;
            if (mine && (errors_too || json_object_get(record, "rendered")))
                check(&tally, chat_template, record);
            json_decref(record);
        }
        json_lines_close(lines);
    }
    json_decref(templates);
    arena_destroy(arena);
    printf("%s: %d compared, %d different\n", what, (int)tally.compared, (int)tally.different);
    assert_int_equal(tally.compared, wanted);
    assert_int_equal(tally.different, 0);
}

static void every_rendering_equals_the_recorded_one(void **state)
{
    (void)state;
    walk_records("renderings", compare_rendering, true, 342);
}

static void every_turn_of_the_assistant_is_found(void **state)
{
    (void)state;
    walk_records("turns", check_turns, false, 302);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_rendering_equals_the_recorded_one), cmocka_unit_test(every_turn_of_the_assistant_is_found) };
    if (!file_exists(DATA "expected.jsonl")) {
        printf("SKIP: " DATA " is not there\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
