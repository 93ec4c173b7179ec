/* Finding the template and the tokens it prints, rendering, and telling the assistant's turns apart. */
#include "tokenizer/chat_template.h"
#include "common/files.h"
#include "common/json.h"
#include "tokenizer/jinja.h"

#include <string.h>

/* What transformers passes to templates (SPECIAL_TOKENS_ATTRIBUTES), where the folder names it. */
static const char *const token_names[] = { "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token" };

enum { TOKENS = COUNT(token_names), OWN_VARIABLES = 4 };

struct chat_template {
    struct jinja *jinja;
    struct jinja *with_tools; /* NULL: the same */
    const char *token[TOKENS];
};

enum status chat_template_parse(struct chat_template **out, struct arena *arena, const char *where, const char *text, size_t length, struct error *err)
{
    struct chat_template *chat_template = NEW(arena, struct chat_template);
    *out = NULL;
    TRY(jinja_parse(&chat_template->jinja, arena, where, text, length, err));
    *out = chat_template;
    return OK;
}

static enum status parse_json(struct jinja **jinja, struct arena *arena, const char *where, const json_t *text, struct error *err)
{
    if (!json_is_string(text))
        return fail_with(err, BAD_FILE, "%s: the template is no text", "write the template as a string", where);
    return jinja_parse(jinja, arena, where, json_string_value(text), json_string_length(text), err);
}

/* [{"name", "template"}, ...] */
static enum status parse_named(struct chat_template *chat_template, struct arena *arena, const char *where, const json_t *list, struct error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *place = arena_print(arena, "%s[%zu]", where, i), *name = NULL;
        TRY(json_get_text(entry, place, "name", &name, err));
        struct jinja **jinja = text_equal(name, "default") ? &chat_template->jinja : text_equal(name, "tool_use") ? &chat_template->with_tools : NULL;
        if (jinja)
            TRY(parse_json(jinja, arena, place, json_object_get(entry, "template"), err));
    }
    return chat_template->jinja ? OK : fail_with(err, BAD_FILE, "%s: none of the templates is named 'default'", "name the one to be used 'default'", where);
}

/* `chat_template` of a JSON file, if it has one. */
static enum status parse_member(struct chat_template *chat_template, struct arena *arena, const char *path, const json_t *json, struct error *err)
{
    const json_t *member = json_object_get(json, "chat_template");
    const char *where = arena_print(arena, "%s: chat_template", path);
    if (chat_template->jinja || !member || json_is_null(member))
        return OK;
    return json_is_array(member) ? parse_named(chat_template, arena, where, member, err) : parse_json(&chat_template->jinja, arena, where, member, err);
}

/* Tokens are spelled as strings or as objects with their content; a string with NUL is no token. */
static void read_tokens(struct chat_template *chat_template, struct arena *arena, const json_t *json)
{
    for (size_t i = 0; i < TOKENS; i++) {
        const json_t *value = json_object_get(json, token_names[i]);
        const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
        if (!chat_template->token[i] && json_is_string(content))
            chat_template->token[i] = arena_text(arena, json_string_value(content), json_string_length(content));
    }
}

static enum status read_file(struct chat_template *chat_template, struct arena *arena, const char *folder, const char *name, bool has_tokens, struct error *err)
{
    const char *path = path_join(arena, folder, name);
    json_t *json = NULL;
    if (!file_exists(path))
        return OK;
    TRY(json_read(path, &json, err));
    const enum status status = parse_member(chat_template, arena, path, json, err);
    if (has_tokens)
        read_tokens(chat_template, arena, json);
    json_decref(json);
    return status;
}

enum status chat_template_read(struct chat_template **out, struct arena *arena, const char *folder, struct error *err)
{
    struct chat_template *chat_template = NEW(arena, struct chat_template);
    const char *path = path_join(arena, folder, "chat_template.jinja");
    char *text;
    size_t length;
    *out = NULL;
    if (file_exists(path)) {
        TRY(file_read(arena, path, JINJA_LARGEST_TEMPLATE, &text, &length, err));
        TRY(jinja_parse(&chat_template->jinja, arena, path, text, length, err));
    }
    TRY(read_file(chat_template, arena, folder, "tokenizer_config.json", true, err));
    TRY(read_file(chat_template, arena, folder, "special_tokens_map.json", true, err));
    TRY(read_file(chat_template, arena, folder, "chat_template.json", false, err));
    if (!chat_template->jinja)
        return fail_with(err, BAD_MODEL, "%s: no chat template",
                         "a model tuned for conversations has one in tokenizer_config.json or chat_template.jinja; "
                         "for other models write the prompt yourself",
                         folder);
    *out = chat_template;
    return OK;
}

static enum status check_messages(const json_t *messages, struct error *err)
{
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return fail_with(err, BAD_DATA, "messages: no list with at least one message", "give [{\"role\": \"user\", \"content\": \"...\"}, ...]");
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (!json_is_string(json_object_get(json_array_get(messages, i), "role")))
            return fail_with(err, BAD_DATA, "messages[%zu]: no object with a text 'role'", "give {\"role\": \"user\", \"content\": \"...\"}", i);
    return OK;
}

static const struct jinja *jinja_for(const struct chat_template *chat_template, const struct chat *chat)
{
    return chat->tools && chat_template->with_tools ? chat_template->with_tools : chat_template->jinja;
}

static enum status render(const struct chat_template *chat_template, struct arena *arena, const struct chat *chat, struct jinja_rendering *out,
                          struct error *err)
{
    struct jinja_variable variable[OWN_VARIABLES + TOKENS];
    const json_t *prompt = chat->add_generation_prompt ? json_true() : json_false();
    size_t count = 0;
    variable[count++] = (struct jinja_variable){ .name = "messages", .json = chat->messages };
    variable[count++] = (struct jinja_variable){ .name = "tools", .json = chat->tools };
    variable[count++] = (struct jinja_variable){ .name = "documents" };
    variable[count++] = (struct jinja_variable){ .name = "add_generation_prompt", .json = prompt };
    for (size_t i = 0; i < TOKENS; i++)
        if (chat_template->token[i])
            variable[count++] = (struct jinja_variable){ .name = token_names[i], .text = chat_template->token[i] };
    return jinja_render(jinja_for(chat_template, chat), arena, variable, count, chat->now, out, err);
}

enum status chat_template_render(const struct chat_template *chat_template, struct arena *arena, const struct chat *chat, struct chat_text *out,
                                 struct error *err)
{
    struct jinja_rendering rendering;
    *out = (struct chat_text){ 0 };
    TRY(check_messages(chat->messages, err));
    TRY(render(chat_template, arena, chat, &rendering, err));
    *out = (struct chat_text){ .text = rendering.text, .length = rendering.length };
    return OK;
}

/* The first `count` messages alone. */
static enum status render_first(const struct chat_template *chat_template, struct arena *arena, const struct chat *chat, size_t count, bool prompt,
                                struct jinja_rendering *out, struct error *err)
{
    struct chat first = *chat;
    json_t *messages = json_array();
    bool made = messages != NULL;
    for (size_t i = 0; i < count && made; i++)
        made = json_array_append(messages, json_array_get(chat->messages, i)) == 0;
    first.messages = messages;
    first.add_generation_prompt = prompt;
    enum status status = made ? render(chat_template, arena, &first, out, err)
                              : fail_with(err, NO_MEMORY, "no memory for %zu messages", "use a machine with more memory", count);
    json_decref(messages);
    if (status == BAD_DATA) {
        char where[80];
        snprintf(where, sizeof where, "messages[:%zu] alone, to find the assistant's turns", count);
        place_failure(err, where);
        return cure_with(err, "put {%% generation %%} and {%% endgeneration %%} around what the template prints for the assistant");
    }
    return status;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Where the span of a turn ends in `after`: white space is left out if something else ends the turn before it. */
static size_t turn_end(const struct jinja_rendering *after, size_t begin, const json_t *content)
{
    size_t end = after->length, length = json_string_length(content);
    while (end > begin && is_space(after->text[end - 1]))
        end--;
    const char *said = json_is_string(content) ? json_string_value(content) : "";
    for (; length > 0 && is_space(*said); said++)
        length--;
    while (length > 0 && is_space(said[length - 1]))
        length--;
    const char *found = memmem(after->text + begin, after->length - begin, said, length);
    const size_t behind = found ? (size_t)(found - after->text) + length : after->length;
    return end > behind ? end : after->length;
}

static bool begins_with(const char *text, size_t length, const struct jinja_rendering *front)
{
    return front->length <= length && memcmp(text, front->text, front->length) == 0;
}

/* Whether both end in the same, white space aside. */
static bool end_alike(const struct jinja_rendering *a, const struct jinja_rendering *b)
{
    size_t same = 0;
    while (same < a->length && same < b->length && a->text[a->length - 1 - same] == b->text[b->length - 1 - same])
        if (!is_space(a->text[a->length - 1 - same++]))
            return true;
    return false;
}

struct turn {
    const struct chat_template *chat_template;
    const struct chat *chat;
    const struct chat_text *text;
    size_t place; /* of its message */
};

static enum status find_turn(const struct turn *turn, struct arena *scratch, struct chat_span *span, struct error *err)
{
    static const char cure[] = "put {% generation %} and {% endgeneration %} around what the template prints for the assistant";
    const size_t place = turn->place;
    struct jinja_rendering before, after, prompted = { 0 };
    TRY(render_first(turn->chat_template, scratch, turn->chat, place, true, &before, err));
    TRY(render_first(turn->chat_template, scratch, turn->chat, place + 1, false, &after, err));
    if (end_alike(&before, &after)) /* both may end in the prompt for an answer */
        TRY(render_first(turn->chat_template, scratch, turn->chat, place + 1, true, &prompted, err));
    if (prompted.text && prompted.length == after.length && begins_with(after.text, after.length, &prompted))
        return fail_with(err, BAD_DATA, "messages[%zu]: the template ends in the prompt for an answer whether asked or not, so the end of the turn is unknown",
                         cure, place);
    if (!begins_with(after.text, after.length, &before))
        return fail_with(err, BAD_DATA, "messages[%zu]: the template writes the conversation before this turn otherwise once the turn is there", cure, place);
    if (!begins_with(turn->text->text, turn->text->length, &after))
        return fail_with(err, BAD_DATA, "messages[%zu]: the template writes this turn otherwise once more messages follow", cure, place);
    *span = (struct chat_span){ before.length, turn_end(&after, before.length, json_object_get(json_array_get(turn->chat->messages, place), "content")) };
    return OK;
}

enum status chat_template_render_turns(const struct chat_template *chat_template, struct arena *arena, const struct chat *chat, struct chat_text *out,
                                       struct error *err)
{
    struct jinja_rendering rendering;
    *out = (struct chat_text){ 0 };
    TRY(check_messages(chat->messages, err));
    TRY(render(chat_template, arena, chat, &rendering, err));
    const size_t messages = json_array_size(chat->messages);
    struct chat_text text = { .text = rendering.text, .length = rendering.length };
    if (jinja_has_generation(jinja_for(chat_template, chat))) {
        text.span = NEW_ARRAY(arena, rendering.generations, struct chat_span);
        for (; text.spans < rendering.generations; text.spans++)
            text.span[text.spans] = (struct chat_span){ rendering.generation[text.spans].begin, rendering.generation[text.spans].end };
        *out = text;
        return OK;
    }
    struct turn turn = { chat_template, chat, &text, 0 };
    enum status status = OK;
    text.span = NEW_ARRAY(arena, messages, struct chat_span);
    for (; turn.place < messages && status == OK; turn.place++) {
        if (strcmp(json_string_value(json_object_get(json_array_get(chat->messages, turn.place), "role")), "assistant") != 0)
            continue;
        struct arena *scratch = arena_create_like(arena);
        status = find_turn(&turn, scratch, &text.span[text.spans++], err);
        arena_destroy(scratch);
    }
    if (status == OK)
        *out = text;
    return status;
}
