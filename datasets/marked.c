/* Dialogues that are one text with marks before each turn, and the two formats made so.
 *
 * Blanks around a turn are left out; the layouts guanaco and baize put back those that the files have.
 */
#include "datasets/format.h"

#include <string.h>

static const struct mark *mark_at(const struct mark *mark, int marks, const char *text)
{
    for (int i = 0; i < marks; i++)
        if (text_starts(text, mark[i].text))
            return &mark[i];
    return NULL;
}

static struct turn trimmed(struct reading *reading, enum turn_role role, const char *begin, const char *end)
{
    while (begin < end && strchr(" \t\r\n", *begin))
        begin++;
    while (begin < end && strchr(" \t\r\n", end[-1]))
        end--;
    return turn_new(reading, role, begin, (size_t)(end - begin));
}

void read_marked(struct reading *reading, const struct mark *mark, int marks, const char *text, size_t length, const char *where)
{
    size_t count = 1;
    int turns = 0;
    for (const char *c = text; *c; c++)
        count += mark_at(mark, marks, c) != NULL;
    struct turn *turn = NEW_ARRAY(reading->block, count, struct turn);
    enum turn_role role = SYSTEM;
    const char *begin = text;
    for (const char *c = text; c <= text + length; c++) {
        const struct mark *next = mark_at(mark, marks, c);
        if (!next && *c)
            continue;
        turn[turns] = trimmed(reading, role, begin, c);
        turns += role != SYSTEM || turn[turns].length > 0;
        if (!next)
            break;
        role = next->role;
        begin = c + strlen(next->text);
        c = begin - 1;
    }
    reading_add_turns(reading, turn, turns, where, reading->groups++);
}

static enum status read_field(struct reading *reading, const json_t *object, const char *where, const struct mark marks[2], struct error *err)
{
    const char *text;
    size_t length;
    if (!json_object_get(object, reading->format->field[0].name))
        return record_lacks(reading->format, object, where, 0, err);
    TRY(member_text(object, where, reading->format->field[0].name, &text, &length, err));
    read_marked(reading, marks, 2, text, length, where);
    return OK;
}

static enum status read_guanaco(struct reading *reading, const json_t *object, const char *where, struct error *err)
{
    static const struct mark marks[2] = { { "### Human:", USER }, { "### Assistant:", ASSISTANT } };
    return read_field(reading, object, where, marks, err);
}

static enum status read_baize(struct reading *reading, const json_t *object, const char *where, struct error *err)
{
    static const struct mark marks[2] = { { "[|Human|]", USER }, { "[|AI|]", ASSISTANT } };
    return read_field(reading, object, where, marks, err);
}

/* guanaco: `text`, "### Human: ..### Assistant: ..", as openassistant-guanaco has it. */
const struct dataset_format format_guanaco = {
    .name = "guanaco",
    .field = { { "text", NULL, REQUIRED, NULL } },
    .template_name = "guanaco",
    .has_turns = true,
    .read = read_guanaco,
};

/* baize: `input`, a dialogue with [|Human|] and [|AI|], which ends with the mark of a question never asked. */
const struct dataset_format format_baize = {
    .name = "baize",
    .field = { { "input", NULL, REQUIRED, NULL }, { "topic", NULL, IGNORED, NULL } },
    .template_name = "baize",
    .has_turns = true,
    .read = read_baize,
};
