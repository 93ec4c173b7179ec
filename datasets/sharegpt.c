/* sharegpt: conversations as Vicuna's files have them, {"conversations": [{"from": "human", "value": ".."}, ..]}. As FastChat does, what the assistant says
 * before anybody asked is left out; what a human asks last, without an answer, is left out everywhere. */
#include "datasets/format.h"

#include <string.h>

static const struct {
    const char *name;
    enum turn_role role;
} speakers[] = { { "human", USER },     { "user", USER },      { "gpt", ASSISTANT },       { "chatgpt", ASSISTANT },
                 { "bing", ASSISTANT }, { "bard", ASSISTANT }, { "assistant", ASSISTANT }, { "system", SYSTEM } };

static enum status read_turn(struct reading *reading, const json_t *object, const char *place, struct turn *turn, struct error *err)
{
    const char *from, *value;
    size_t length;
    if (!json_is_object(object))
        return fail_with(err, BAD_DATA, "%s is %s, not an object", "a turn is {\"from\": \"human\", \"value\": \"..\"}", place, json_kind(object));
    TRY(member_text(object, place, "from", &from, &length, err));
    size_t i = 0;
    while (i < COUNT(speakers) && strcmp(speakers[i].name, from) != 0)
        i++;
    if (i == COUNT(speakers))
        return fail_with(err, BAD_DATA, "%s is from '%.60s'", "speakers are human (user), gpt (chatgpt, assistant, bing, bard) and system", place, from);
    TRY(member_text(object, place, "value", &value, &length, err));
    *turn = turn_new(reading, speakers[i].role, value, length);
    return OK;
}

static enum status read(struct reading *reading, const json_t *object, const char *where, struct error *err)
{
    const json_t *list = json_object_get(object, "conversations");
    if (!list || json_is_null(list))
        return record_lacks(reading->format, object, where, 0, err);
    if (!json_is_array(list))
        return fail_with(err, BAD_DATA, "%s: 'conversations' is %s", "it must be a list of {\"from\": .., \"value\": ..}", where, json_kind(list));
    const size_t count = json_array_size(list);
    struct turn *turn = NEW_ARRAY(reading->block, count, struct turn);
    int turns = 0;
    for (size_t i = 0; i < count; i++) {
        const char *place = arena_print(reading->block, "%s: conversations[%zu]", where, i);
        TRY(read_turn(reading, json_array_get(list, i), place, &turn[turns], err));
        const bool asked = turns > 0 && turn[turns - 1].role != SYSTEM;
        turns += asked || turn[turns].role != ASSISTANT;
    }
    reading_add_turns(reading, turn, turns, where, reading->groups++);
    return OK;
}

const struct dataset_format format_sharegpt = {
    .name = "sharegpt",
    .field = { { "conversations", NULL, REQUIRED, NULL }, { "id", NULL, IGNORED, NULL } },
    .template_name = "vicuna",
    .has_turns = true,
    .read = read,
};
