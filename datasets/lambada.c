/* lambada: a text whose last word is what follows the rest; the blank before it belongs to it. */
#include "datasets/format.h"

#include <string.h>

static enum status read(struct reading *reading, const json_t *object, const char *where, struct error *err)
{
    const char *text;
    size_t length;
    struct record record = { 0 };
    if (!json_object_get(object, "text"))
        return record_lacks(reading->format, object, where, 0, err);
    TRY(member_text(object, where, "text", &text, &length, err));
    size_t last = length;
    while (last > 0 && text[last - 1] != ' ')
        last--;
    if (last < 2 || last == length)
        return fail_with(err, BAD_DATA, "%s: the text is one word, or ends with a blank", "its last word must stand behind a blank and others", where);
    record.value[0].bytes = arena_text(reading->block, text, last - 1);
    record.value[0].length = last - 1;
    record.value[1].bytes = text + last - 1;
    record.value[1].length = length - last + 1;
    read_fields(reading, &record, where);
    return OK;
}

/* Which fields of a record stand where, for templates; the record itself has `text` alone. */
const struct dataset_format format_lambada = {
    .name = "lambada",
    .field = { { "text", "prompt", REQUIRED, NULL }, { "last word", "response", IGNORED, NULL }, { "domain", NULL, IGNORED, NULL } },
    .template_name = "prompt_completion",
    .wording = { "{prompt}", NULL, "{response}" },
    .read = read,
};
