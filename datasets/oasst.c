/* oasst: messages of Open-Assistant, in any of the forms they are published in: trees with nested replies, messages with nested replies, flat messages that
 * name their parents (as on Hugging Face), or one object of flat messages by id. A file may mix them.
 *
 * A field that a file does not have filters nothing: only what is said to be deleted, synthetic, not approved or not ready for export is left out.
 */
#include "datasets/tree.h"

#include <inttypes.h>
#include <string.h>

struct gathering {
    struct reading *reading;
    struct forest forest;
};

static const json_t *either(const json_t *object, const char *one, const char *other)
{
    const json_t *value = json_object_get(object, one);
    return value ? value : json_object_get(object, other);
}

/* A text of either name, copied; NULL if it is null or not there. */
static enum status get_id(struct gathering *g, const json_t *object, const char *one, const char *other, const char *where, const char **out, struct error *err)
{
    const json_t *value = either(object, one, other);
    *out = NULL;
    if (!value || json_is_null(value))
        return OK;
    if (!json_is_string(value) || json_string_length(value) == 0)
        return fail_with(err, BAD_DATA, "%s: '%s' is %s", "it must be a text in double quotes, and not an empty one", where, one,
                         json_is_string(value) ? "empty" : json_kind(value));
    *out = arena_text(g->forest.arena, json_string_value(value), json_string_length(value));
    return OK;
}

/* The label 'quality', which is an entry of a map, or stands in lists of names and values beside each other; below 0: not there. */
static double quality_of(const json_t *object)
{
    const json_t *labels = json_object_get(object, "labels"), *value = json_object_get(json_object_get(labels, "quality"), "value");
    const json_t *names = json_object_get(labels, "name"), *values = json_object_get(labels, "value");
    for (size_t i = 0; i < json_array_size(names); i++)
        if (text_equal(json_string_value(json_array_get(names, i)), "quality"))
            value = json_array_get(values, i);
    return json_is_number(value) ? json_number_value(value) : -1;
}

static enum status get_role(const json_t *object, const char *where, enum turn_role *role, struct error *err)
{
    const char *name;
    size_t length;
    TRY(member_text(object, where, "role", &name, &length, err));
    *role = strcmp(name, "assistant") == 0 ? ASSISTANT : USER;
    if (*role == USER && strcmp(name, "prompter") != 0)
        return fail_with(err, BAD_DATA, "%s: role '%.60s'", "roles of Open-Assistant are prompter and assistant", where, name);
    return OK;
}

static enum status get_message(struct gathering *g, const json_t *object, const char *key, const char *where, struct message *out, struct error *err)
{
    *out = (struct message){ .where = where, .id = key, .quality = quality_of(object), .rank = -1, .approved = true, .exported = true };
    const char *text, *state = NULL;
    if (!json_is_object(object))
        return fail_with(err, BAD_DATA, "%s: a message is %s, not an object", "messages are objects {\"message_id\": .., \"text\": .., \"role\": ..}", where,
                         json_kind(object));
    if (!key)
        TRY(get_id(g, object, "message_id", "user_message_id", where, &out->id, err));
    if (!out->id)
        return fail_with(err, BAD_DATA, "%s: 'message_id' is missing", "messages are objects {\"message_id\": .., \"text\": .., \"role\": ..}", where);
    TRY(get_id(g, object, "parent_id", "parent_message_id", where, &out->parent_id, err));
    TRY(member_text(object, where, "text", &text, &out->length, err));
    out->text = arena_text(g->forest.arena, text, out->length);
    TRY(get_role(object, where, &out->role, err));
    TRY(json_get_bool(object, where, "deleted", &out->deleted, err));
    TRY(json_get_bool(object, where, "synthetic", &out->synthetic, err));
    TRY(json_get_int(object, where, "rank", 0, INT32_MAX, &out->rank, err));
    TRY(get_id(g, object, "lang", "lang", where, &out->lang, err));
    TRY(json_get_text(object, where, "tree_state", &state, err));
    out->exported = !state || strcmp(state, "ready_for_export") == 0;
    const json_t *review = json_object_get(object, "review_result");
    out->approved = !review;
    return json_get_bool(object, where, "review_result", &out->approved, err);
}

/* Replies of which a message still has to be read, one level of nesting each. */
struct level {
    const json_t *replies;
    size_t next;
    int64_t parent;
};

static enum status open_level(const json_t *object, int64_t parent, const char *where, struct level *level, struct error *err)
{
    const json_t *replies = json_object_get(object, "replies");
    *level = (struct level){ json_is_null(replies) ? NULL : replies, 0, parent };
    if (level->replies && !json_is_array(replies))
        return fail_with(err, BAD_DATA, "%s: 'replies' is %s", "it must be a list of messages", where, json_kind(replies));
    return OK;
}

/* A message and all that is nested in it. */
static enum status gather(struct gathering *g, const json_t *object, const char *key, const char *where, struct error *err)
{
    enum { DEEPEST = 2048 }; /* jansson's own bound */
    struct message message;
    int depth = 0;
    TRY(get_message(g, object, key, where, &message, err));
    struct level *level = NEW_ARRAY(g->reading->block, DEEPEST, struct level);
    TRY(open_level(object, forest_add(&g->forest, message, NO_MESSAGE), where, &level[0], err));
    while (depth >= 0) {
        struct level *top = &level[depth];
        if (top->next == json_array_size(top->replies)) {
            depth--;
            continue;
        }
        const json_t *reply = json_array_get(top->replies, top->next++);
        TRY(get_message(g, reply, NULL, where, &message, err));
        const char *parent_id = g->forest.message[top->parent].id;
        if (message.parent_id && strcmp(message.parent_id, parent_id) != 0)
            return fail_with(err, BAD_DATA, "%s: message '%.60s' stands among the replies to '%.60s' and names '%.60s' as its parent",
                             "nesting and parent_id must say the same", where, message.id, parent_id, message.parent_id);
        const int64_t index = forest_add(&g->forest, message, top->parent);
        CHECK(depth + 1 < DEEPEST);
        TRY(open_level(reply, index, where, &level[++depth], err));
    }
    return OK;
}

static enum status gather_record(struct gathering *g, const json_t *value, const char *key, const char *where, struct error *err)
{
    const json_t *prompt = json_object_get(value, "prompt");
    const int64_t root = g->forest.count;
    if (!json_is_object(value))
        return fail_with(err, BAD_DATA, "%s: the record is %s, not an object", "give trees {\"message_tree_id\": .., \"prompt\": ..} or messages", where,
                         json_kind(value));
    if (!prompt)
        return gather(g, value, key, where, err);
    const char *state = NULL;
    TRY(json_get_text(value, where, "tree_state", &state, err));
    TRY(gather(g, prompt, NULL, where, err));
    if (g->forest.message[root].parent_id)
        return fail_with(err, BAD_DATA, "%s: the first message of the tree answers '%.60s'", "a tree begins with a message without parent_id", where,
                         g->forest.message[root].parent_id);
    g->forest.message[root].exported &= !state || strcmp(state, "ready_for_export") == 0;
    return OK;
}

static enum status gather_all(struct gathering *g, struct json_lines *lines, struct error *err)
{
    struct reading *reading = g->reading;
    const bool keyed = json_lines_by_key(lines);
    while (true) {
        json_t *value;
        int64_t line;
        TRY(json_lines_next(lines, &value, &line, err));
        if (!value)
            return OK;
        const char *where = arena_print(reading->arena, "%s:%" PRId64, reading->source->path, line), *key = NULL;
        if (keyed)
            key = arena_text(g->forest.arena, json_lines_key(lines), strlen(json_lines_key(lines)));
        reading->counts->records++;
        enum status status = gather_record(g, value, key, where, err);
        json_decref(value);
        TRY(status);
        TRY(reading_encode(reading, false, err));
    }
}

static enum status read_file(struct reading *reading, struct error *err)
{
    struct json_lines *lines = NULL;
    TRY(json_lines_open(&lines, reading->arena, reading->source->path, err));
    struct gathering g = { .reading = reading, .forest.arena = arena_create_like(reading->arena) };
    enum status status = gather_all(&g, lines, err);
    json_lines_close(lines);
    if (status == OK)
        status = forest_join(&g.forest, err);
    if (status == OK)
        status = forest_read(reading, &g.forest, reading->source->limit, err);
    if (status == OK)
        status = reading_encode(reading, true, err); /* before the texts of the messages go */
    arena_destroy(g.forest.arena);
    return status;
}

const struct dataset_format format_oasst = {
    .name = "oasst",
    .template_name = "openassistant",
    .has_turns = true,
    .has_threads = true,
    .read_file = read_file,
};
