/* Formats by name, and a JSON object as the fields of one of them. A misspelled field is found from both sides: the one that is missing is an error, the one
 * that nobody reads is a finding. */
#include "datasets/format.h"

#include <inttypes.h>
#include <string.h>

#define FORMATS(row)                                                                                                                                           \
    row(dolly) row(alpaca) row(prompt_completion) row(text) row(tokens) row(messages) row(sharegpt) row(oasst) row(guanaco) row(baize) row(dolly_hhrlhf)       \
        row(gsm8k) row(competition_math) row(esnli) row(duorc) row(lambada)
#define DECLARE(name) extern const struct dataset_format format_##name;
FORMATS(DECLARE)
#define ROW(name)  &format_##name,
#define NAME(name) #name,
static const struct dataset_format *const formats[] = { FORMATS(ROW) };
static const char *const names[] = { FORMATS(NAME) NULL };

const char *const *format_names(void)
{
    return names;
}

const struct dataset_format *format_find(const char *name)
{
    for (size_t i = 0; i < COUNT(formats); i++)
        if (text_equal(formats[i]->name, name))
            return formats[i];
    return NULL;
}

int format_field(const struct dataset_format *format, const char *name)
{
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        if (text_equal(format->field[i].common, name))
            return i;
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        if (text_equal(format->field[i].name, name) && format->field[i].common)
            return format_field(format, format->field[i].common);
    return -1;
}

static bool has_name(const struct dataset_format *format, const char *name)
{
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        if (strcmp(format->field[i].name, name) == 0)
            return true;
    return false;
}

const char *json_kind(const json_t *value)
{
    static const char *const kind[] = { [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a text", [JSON_INTEGER] = "a number",
                                        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",   [JSON_NULL] = "null" };
    return kind[json_typeof(value)];
}

enum status record_check(struct reading *reading, const json_t *value, const char *where, struct error *err)
{
    if (!json_is_object(value))
        return fail_with(err, BAD_DATA, "%s: the record is %s, not an object",
                         "a data file is JSON lines, one object {\"field\": ...} a line, or one array of objects", where, json_kind(value));
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, key, member) if (!has_name(reading->format, key))
        finding_add(reading->arena, reading->dataset, reading->counts, UNKNOWN_FIELD, where, "'%.60s' is no field of format %s", key, reading->format->name);
    return OK;
}

/* Whether the object has all required fields of a format and no others. */
static bool fits(const struct dataset_format *format, const json_t *object)
{
    const char *key;
    json_t *member;
    if (json_object_size(object) == 0)
        return false;
    json_object_foreach((json_t *)(uintptr_t)object, key, member) if (!has_name(format, key)) return false;
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++) {
        bool given = false;
        for (int j = 0; j < MAX_FIELDS && format->field[j].name; j++)
            given |= (i == j || (format->field[i].common && text_equal(format->field[i].common, format->field[j].common))) &&
                     json_object_get(object, format->field[j].name);
        if (format->field[i].role == REQUIRED && !given)
            return false;
    }
    return true;
}

enum status record_lacks(const struct dataset_format *format, const json_t *object, const char *where, int field, struct error *err)
{
    char given[400] = "";
    size_t used = 0;
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, key, member) if (used < sizeof given) used +=
        (size_t)snprintf(given + used, sizeof given - used, "%s'%.60s'%s", used ? ", " : "", key, json_is_null(member) ? " (null)" : "");
    fail_with(err, BAD_DATA, "%s: field '%s' of format %s is missing; the record has %s", "", where, format->field[field].name, format->name,
              used ? given : "no fields");
    for (size_t i = 0; i < COUNT(formats); i++)
        if (formats[i] != format && fits(formats[i], object))
            return cure_with(err, "these are the fields of format %s: set format: %s", formats[i]->name, formats[i]->name);
    json_object_foreach((json_t *)(uintptr_t)object, key, member) if (json_is_array(member) && fits(format, json_array_get(member, 0))) return cure_with(
        err,
        "the records stand in '%.60s': write that list alone: python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))[sys.argv[2]]))' "
        "IN.json '%.60s' > OUT.json",
        key, key);
    size_t length = 0;
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        if (format->field[i].role != IGNORED)
            length += (size_t)snprintf(given + length, sizeof given - length, "%s'%s'", i ? ", " : "", format->field[i].name);
    return cure_with(err, "format %s reads %s: rename the fields of the records, or choose the format that has them", format->name, given);
}

enum status member_text(const json_t *object, const char *where, const char *key, const char **text, size_t *length, struct error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value))
        return fail_with(err, BAD_DATA, "%s: '%s' is %s", "it must be there, a text in double quotes", where, key, value ? "null" : "missing");
    if (!json_is_string(value))
        return fail_with(err, BAD_DATA, "%s: '%s' is %s", "it must be a text in double quotes", where, key, json_kind(value));
    *text = json_string_value(value);
    *length = json_string_length(value);
    return OK;
}

static enum status field_text(const struct field *field, const json_t *value, const char *where, const char **text, size_t *length, struct error *err)
{
    if (json_is_string(value)) {
        *text = json_string_value(value);
        *length = json_string_length(value);
        return OK;
    }
    int64_t words = 0;
    while (field->words && field->words[words])
        words++;
    if (!words || !json_is_integer(value))
        return fail_with(err, BAD_DATA, "%s: field '%s' is %s", "it must be a text in double quotes", where, field->name, json_kind(value));
    const int64_t word = json_integer_value(value);
    if (word < 0 || word >= words)
        return fail_with(err, BAD_DATA, "%s: field '%s' is %" PRId64, "give the word itself, or its number from 0", where, field->name, word);
    *text = field->words[word];
    *length = strlen(*text);
    return OK;
}

enum status record_read(const struct dataset_format *format, const json_t *object, const char *where, struct record *record, struct error *err)
{
    const char *taken[MAX_FIELDS] = { 0 }, *text = NULL;
    size_t length = 0;
    *record = (struct record){ 0 };
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++) {
        const json_t *value = json_object_get(object, format->field[i].name);
        if (!value || json_is_null(value) || format->field[i].role == IGNORED)
            continue;
        TRY(field_text(&format->field[i], value, where, &text, &length, err));
        int place = format_field(format, format->field[i].common);
        if (taken[place])
            return fail_with(err, BAD_DATA, "%s: both '%s' and '%s' are given", "they mean the same: remove one", where, taken[place], format->field[i].name);
        taken[place] = format->field[i].name;
        record->value[place].bytes = text;
        record->value[place].length = length;
    }
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        if (format->field[i].role == REQUIRED && !taken[format_field(format, format->field[i].common)])
            return record_lacks(format, object, where, i, err);
    return OK;
}
