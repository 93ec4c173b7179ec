/* messages: conversations as chat interfaces take them, {"messages": [{"role": "user", "content": ".."}, ..]}. A message may say for itself whether it is
 * trained: "train": false leaves an answer out, true trains what otherwise would not be. */
#include "datasets/format.h"

#include <inttypes.h>
#include <string.h>

static enum status read_role(const json_t *message, const char *where, enum turn_role *role, struct error *err)
{
    static const struct {
        const char *name;
        enum turn_role role;
    } roles[] = { { "system", SYSTEM }, { "developer", SYSTEM }, { "user", USER }, { "assistant", ASSISTANT } };
    const char *name;
    size_t length;
    TRY(member_text(message, where, "role", &name, &length, err));
    for (size_t i = 0; i < COUNT(roles); i++)
        if (strcmp(roles[i].name, name) == 0) {
            *role = roles[i].role;
            return OK;
        }
    return fail_with(err, BAD_DATA, "%s: role '%.60s'", "roles are system, user and assistant", where, name);
}

static enum status read_message(struct reading *reading, const json_t *message, const char *where, const char *place, struct turn *turn, struct error *err)
{
    enum turn_role role = USER;
    const char *text, *key;
    size_t length = 0;
    json_t *member;
    bool train = false;
    if (!json_is_object(message))
        return fail_with(err, BAD_DATA, "%s is %s, not an object", "a message is {\"role\": \"user\", \"content\": \"..\"}", place, json_kind(message));
    TRY(read_role(message, place, &role, err));
    TRY(member_text(message, place, "content", &text, &length, err));
    TRY(json_get_bool(message, place, "train", &train, err));
    *turn = turn_new(reading, role, text, length);
    if (json_is_boolean(json_object_get(message, "train")))
        turn->training = train ? TRAINED : UNTRAINED;
    json_object_foreach((json_t *)(uintptr_t)message, key, member) if (strcmp(key, "role") != 0 && strcmp(key, "content") != 0 && strcmp(key, "train") != 0)
        finding_add(reading->arena, reading->dataset, reading->counts, UNKNOWN_FIELD, where, "'%.60s' is no field of a message", key);
    return OK;
}

static enum status read(struct reading *reading, const json_t *object, const char *where, struct error *err)
{
    const json_t *messages = json_object_get(object, "messages");
    if (!messages || json_is_null(messages))
        return record_lacks(reading->format, object, where, 0, err);
    if (!json_is_array(messages))
        return fail_with(err, BAD_DATA, "%s: 'messages' is %s", "it must be a list of {\"role\": .., \"content\": ..}", where, json_kind(messages));
    const size_t count = json_array_size(messages);
    struct turn *turn = NEW_ARRAY(reading->block, count, struct turn);
    for (size_t i = 0; i < count; i++) {
        const char *place = arena_print(reading->block, "%s: messages[%zu]", where, i);
        TRY(read_message(reading, json_array_get(messages, i), where, place, &turn[i], err));
    }
    reading_add_turns(reading, turn, (int)count, where, reading->groups++);
    return OK;
}

const struct dataset_format format_messages = {
    .name = "messages",
    .field = { { "messages", NULL, REQUIRED, NULL }, { "id", NULL, IGNORED, NULL }, { "source", NULL, IGNORED, NULL } },
    .template_name = "chat_template",
    .has_turns = true,
    .read = read,
};
