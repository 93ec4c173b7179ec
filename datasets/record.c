/* Formats by name, and a JSON object as the fields of one of them. A misspelled field is found from both sides: the one that is missing is an error, the one
 * that nobody reads is a finding. */
#include "datasets/format.h"

#include <string.h>

#define FORMATS(row) row(dolly) row(alpaca) row(prompt_completion) row(text) row(tokens)
#define ROW(name)    &format_##name,
#define NAME(name)   #name,
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

static const char *kind_of(const json_t *value)
{
    static const char *const kind[] = { [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a text", [JSON_INTEGER] = "a number",
                                        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",   [JSON_NULL] = "null" };
    return kind[json_typeof(value)];
}

enum status record_check(struct reading *reading, const json_t *value, const char *where, struct error *err)
{
    if (!json_is_object(value))
        return fail_with(err, BAD_DATA, "%s: the record is %s, not an object",
                         "a data file is JSON lines, one object {\"field\": ...} a line, or one array of objects", where, kind_of(value));
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, key, member) if (!has_name(reading->format, key))
        finding_add(reading, UNKNOWN_FIELD, where, "'%.60s' is no field of format %s", key, reading->format->name);
    return OK;
}

/* Whether the object has all required fields of a format and no others. */
static bool fits(const struct dataset_format *format, const json_t *object)
{
    const char *key;
    json_t *member;
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

static enum status missing(const struct dataset_format *format, const json_t *object, const char *where, int field, struct error *err)
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
    size_t length = 0;
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        length += (size_t)snprintf(given + length, sizeof given - length, "%s'%s'", i ? ", " : "", format->field[i].name);
    return cure_with(err, "format %s reads %s: rename the fields of the records, or choose the format that has them", format->name, given);
}

enum status record_read(const struct dataset_format *format, const json_t *object, const char *where, struct record *record, struct error *err)
{
    const char *taken[MAX_FIELDS] = { 0 };
    *record = (struct record){ 0 };
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++) {
        const json_t *value = json_object_get(object, format->field[i].name);
        if (!value || json_is_null(value) || format->field[i].role == IGNORED)
            continue;
        if (!json_is_string(value))
            return fail_with(err, BAD_DATA, "%s: field '%s' is %s", "it must be a text in double quotes", where, format->field[i].name, kind_of(value));
        int place = format_field(format, format->field[i].common);
        if (taken[place])
            return fail_with(err, BAD_DATA, "%s: both '%s' and '%s' are given", "they mean the same: remove one", where, taken[place], format->field[i].name);
        taken[place] = format->field[i].name;
        record->value[place].bytes = json_string_value(value);
        record->value[place].length = json_string_length(value);
    }
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        if (format->field[i].role == REQUIRED && !taken[format_field(format, format->field[i].common)])
            return missing(format, object, where, i, err);
    return OK;
}
