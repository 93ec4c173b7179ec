/* Where a folder's template and tokens come from, and how the assistant's turns are found. */
#include "tokenizer/chat_template.h"
#include "common/files.h"
#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TALK                                                                                                                                                   \
    "[{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Yes. '}, {'role': 'user', 'content': 'Why?'}, {'role': 'assistant', 'content': "    \
    "'So.'}]"

static json_t *conversation(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_error_t err;
    json_t *json = json_loads(copy, 0, &err);
    assert_non_null(json);
    free(copy);
    return json;
}

static void put(struct arena *arena, const char *folder, const char *name, const char *text)
{
    struct output output;
    struct error err = { 0 };
    assert_int_equal(output_open(&output, arena, path_join(arena, folder, name), true, &err), OK);
    output_string(&output, text);
    assert_int_equal(output_commit(&output), OK);
}

static void a_folder_says_which_template_and_tokens_it_has(void **state)
{
    static const char *const files[] = { "chat_template.jinja", "tokenizer_config.json", "special_tokens_map.json", "chat_template.json" };
    static const struct {
        const char *text[COUNT(files)]; /* NULL: no such file */
        const char *rendered, *with_tools, *error;
    } rows[] = {
        { { "j{{ eos_token }}", "{\"eos_token\": \"E\", \"chat_template\": \"c\"}", NULL, "{\"chat_template\": \"o\"}" }, "jE", "jE", NULL },
        { { NULL, "{\"eos_token\": {\"content\": \"E\"}, \"chat_template\": \"c{{ eos_token }}{{ bos_token }}\"}",
            "{\"eos_token\": \"F\", \"bos_token\": \"B\"}" },
          "cEB",
          "cEB",
          NULL },
        { { NULL, "{\"eos_token\": null, \"chat_template\": \"c{{ eos_token is defined }}\"}" }, "cFalse", "cFalse", NULL },
        { { NULL, "{}", NULL, "{\"chat_template\": \"o\"}" }, "o", "o", NULL },
        { { NULL, "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}, {\"name\": \"other\", \"template\": \"{%\"}, {\"name\": \"default\", "
                  "\"template\": \"d\"}]}" },
          "d",
          "t",
          NULL },
        { { NULL, "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}]}" },
          NULL,
          NULL,
          "tokenizer_config.json: chat_template: none of the templates is named 'default'" },
        { { NULL, "{\"chat_template\": [{\"name\": \"default\"}]}" }, NULL, NULL, "tokenizer_config.json: chat_template[0]: the template is no text" },
        { { NULL, "{\"chat_template\": 5}" }, NULL, NULL, "tokenizer_config.json: chat_template: the template is no text" },
        { { NULL, "{\"chat_template\": \"a\\n{% x %}\"}" }, NULL, NULL, "tokenizer_config.json: chat_template:2:4: tag 'x' is not supported here" },
        { { NULL, "{\"chat_template\": null}" }, NULL, NULL, "no chat template" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        struct chat_template *chat_template;
        struct chat_text text;
        char folder[] = "/tmp/graft_chat_XXXXXX";
        assert_non_null(mkdtemp(folder));
        for (size_t f = 0; f < COUNT(files); f++)
            if (rows[i].text[f])
                put(arena, folder, files[f], rows[i].text[f]);
        const enum status status = chat_template_read(&chat_template, arena, folder, &err);
        for (size_t f = 0; f < COUNT(files); f++)
            remove(path_join(arena, folder, files[f]));
        remove(folder);
        if (rows[i].error) {
            assert_true(status != OK && !chat_template && strstr(err.what, rows[i].error));
        } else {
            json_t *messages = conversation(TALK);
            struct chat chat = { .messages = messages };
            assert_int_equal(status, OK);
            assert_int_equal(chat_template_render(chat_template, arena, &chat, &text, &err), OK);
            assert_string_equal(text.text, rows[i].rendered);
            chat.tools = messages;
            assert_int_equal(chat_template_render(chat_template, arena, &chat, &text, &err), OK);
            assert_string_equal(text.text, rows[i].with_tools);
            json_decref(messages);
        }
        arena_destroy(arena);
    }
}

#define EACH(body)   "{% for m in messages %}" body "{% endfor %}"
#define PROMPT(text) "{% if add_generation_prompt %}" text "{% endif %}"

/* What is marked stands in [[ ]]. */
static void turns_are_found_or_refused(void **state)
{
    static const struct {
        const char *template, *marked, *error;
    } rows[] = {
        { EACH("<{{ m.role }}>{{ m.content }}<end>\n") PROMPT("<assistant>"),
          "<user>Hi<end>\n<assistant>[[Yes. <end>]]\n<user>Why?<end>\n<assistant>[[So.<end>]]\n", NULL },
        { EACH("{{ m.role }}: {{ m.content | trim }}\n\n") PROMPT("assistant:"), "user: Hi\n\nassistant:[[ Yes.\n\n]]user: Why?\n\nassistant:[[ So.\n\n]]",
          NULL },
        { EACH("{% if m.role == 'user' %}[I]{{ m.content }}[/I]{% else %}{{ m.content }}</s>{% endif %}"), "[I]Hi[/I][[Yes. </s>]][I]Why?[/I][[So.</s>]]",
          NULL },
        { EACH("{{ m.role }}:{% if m.role == 'user' %}{{ m.content }}{% else %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %};"),
          "user:Hi;assistant:[[Yes. ]];user:Why?;assistant:[[So.]];", NULL },
        { EACH("{{ loop.revindex }}{{ m.content }}"), NULL,
          "messages[1]: the template writes the conversation before this turn otherwise once the turn is there" },
        { EACH("{{ m.content }}{% if not loop.last %}|{% endif %}") PROMPT("|"), "Hi|[[Yes. ]]|Why?|[[So.]]", NULL },
        { EACH("{{ m.content if loop.last or m.role == 'user' else '...' }}"), NULL,
          "messages[1]: the template writes this turn otherwise once more messages follow" },
        { EACH("<{{ m.role }}>{{ m.content }}<end>") "<assistant>", NULL, "messages[1]: the template ends in the prompt for an answer whether asked or not" },
        { "{% if messages | length < 2 %}{{ raise_exception('short') }}{% endif %}x", NULL,
          "messages[:1] alone, to find the assistant's turns: t:1:49: the template refuses the conversation: short" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        struct chat_template *chat_template;
        struct chat_text text;
        json_t *messages = conversation(TALK);
        const struct chat chat = { .messages = messages };
        assert_int_equal(chat_template_parse(&chat_template, arena, "t", rows[i].template, strlen(rows[i].template), &err), OK);
        const enum status status = chat_template_render_turns(chat_template, arena, &chat, &text, &err);
        if (rows[i].error) {
            if (status != BAD_DATA || !strstr(err.what, rows[i].error) || !strstr(err.cure, "{% generation %}"))
                fail_msg("%s\n says %s (%s)", rows[i].template, err.what, err.cure);
        } else {
            struct text marked = text_new(arena);
            size_t at = 0;
            assert_int_equal(status, OK);
            for (size_t s = 0; s < text.spans; s++) {
                text_add(&marked, text.text + at, text.span[s].begin - at);
                text_print(&marked, "[[%.*s]]", (int)(text.span[s].end - text.span[s].begin), text.text + text.span[s].begin);
                at = text.span[s].end;
            }
            text_add_string(&marked, text.text + at);
            assert_string_equal(marked.bytes, rows[i].marked);
        }
        json_decref(messages);
        arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_folder_says_which_template_and_tokens_it_has), cmocka_unit_test(turns_are_found_or_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
