/* JSON as graft meets it: jansson with positions of the whole file, members with checked types, and the writing of literals.
 * Records of a data file, one at a time, are in json_lines.c.
 */
#include "common/json.h"
#include "common/files.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 64 << 20 };

static const char general_cure[] = "the text must be JSON: strings in double quotes, no comments, no comma before a closing bracket";

static const struct {
    enum json_error_code code;
    const char *says; /* how jansson's text begins, where one code means several mistakes; NULL: any */
    const char *cure;
} parse_cures[] = {
    { json_error_invalid_syntax, "control character", "write it as an escape: \\t, \\n, \\u0001" },
    { json_error_invalid_syntax, "invalid Unicode", "\\ud800 to \\udfff are halves of a character: write both, one behind the other, or the character itself" },
    { json_error_end_of_input_expected, NULL,
      "nothing may stand behind a value: JSON has no comments; commas separate the elements of an array, line breaks alone separate JSON lines" },
    { json_error_duplicate_key, NULL, "keep one of the two members" },
    { json_error_premature_end_of_input, NULL, "the text ends too early: the file may be cut off, or a bracket or quote is not closed" },
    { json_error_numeric_overflow, NULL, "write a number that a double can hold" },
    { json_error_stack_overflow, NULL, "nest less deeply" },
    { json_error_invalid_utf8, NULL, "save the file as UTF-8" },
    { json_error_null_character, NULL, "remove \\u0000 from the text" },
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Python writes integers of any size ("model_max_length": 1000000000000000019884624838656). Those beyond 64 bits become reals by turning
 * their last two of 19 or more digits into "e2": a change below the precision of a double, and no column moves. */
static void large_integers_to_reals(char *bytes, size_t size)
{
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string && bytes[i] == '\\')
            i++;
        else if (bytes[i] == '"')
            in_string = !in_string;
        else if (!in_string && is_digit(bytes[i])) {
            size_t begin = i;
            while (i + 1 < size && is_digit(bytes[i + 1]))
                i++;
            const char *limit = begin > 0 && bytes[begin - 1] == '-' ? "9223372036854775808" : "9223372036854775807";
            size_t digits = i + 1 - begin;
            bool is_integer = i + 1 == size || !strchr(".eE", bytes[i + 1]);
            if (is_integer && (digits > 19 || (digits == 19 && memcmp(bytes + begin, limit, 19) > 0)))
                memcpy(bytes + i - 1, "e2", 2);
            while (i + 1 < size && (is_digit(bytes[i + 1]) || strchr(".eE+-", bytes[i + 1])))
                i++;
        }
    }
}

static json_t *load(const char *bytes, size_t size, json_error_t *what)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    json_t *value = json_loadb(size ? bytes : "", size, flags, what);
    if (value || json_error_code(what) != json_error_numeric_overflow)
        return value;
    char *copy = malloc(size);
    if (!copy)
        return NULL;
    memcpy(copy, bytes, size);
    large_integers_to_reals(copy, size);
    value = json_loadb(copy, size, flags, what);
    free(copy);
    return value;
}

enum status json_parse_at(const char *bytes, size_t size, const char *where, int64_t line, int64_t column, json_t **value, struct error *err)
{
    const char *nul = size ? memchr(bytes, 0, size) : NULL;
    *value = NULL;
    if (nul) {
        for (const char *c = bytes; c < nul; c++) {
            column = *c == '\n' ? 1 : column + 1;
            line += *c == '\n';
        }
        return fail_with(err, BAD_FILE, "%s:%" PRId64 ":%" PRId64 ": a NUL byte", "the file must be text in UTF-8, not UTF-16 or binary", where, line, column);
    }
    json_error_t what;
    *value = load(bytes, size, &what);
    if (*value)
        return OK;
    if (what.column > 0 && what.line <= 1)
        column += what.column - 1;
    else
        column = what.column > 0 ? what.column : 1;
    const char *cure = general_cure;
    for (size_t i = 0; i < COUNT(parse_cures); i++)
        if (parse_cures[i].code == json_error_code(&what) &&
            (!parse_cures[i].says || strncmp(what.text, parse_cures[i].says, strlen(parse_cures[i].says)) == 0))
            cure = parse_cures[i].cure;
    return fail_with(err, BAD_FILE, "%s:%" PRId64 ":%" PRId64 ": %s", cure, where, line + (what.line > 1 ? what.line - 1 : 0), column, what.text);
}

enum status json_parse(const char *bytes, size_t size, const char *where, json_t **value, struct error *err)
{
    return json_parse_at(bytes, size, where, 1, 1, value, err);
}

enum status json_read(const char *path, json_t **value, struct error *err)
{
    struct map map;
    *value = NULL;
    TRY(map_open(&map, path, err));
    size_t mark = map.size >= 3 && memcmp(map.bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    enum status status;
    if (map.size > LARGEST_FILE)
        status = fail_with(err, BAD_FILE, "%s: %zu bytes of JSON", "check that this is the intended file: JSON files of up to 64 MiB are read", path, map.size);
    else if (map.size == mark)
        status = fail_with(err, BAD_FILE, "%s: the file is empty", "copy or download it again", path);
    else
        status = json_parse((const char *)map.bytes + mark, map.size - mark, path, value, err);
    map_close(&map);
    return status;
}

static const char *kind_of(const json_t *value)
{
    static const char *const kind[] = { [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "an integer",
                                        [JSON_REAL] = "a real",      [JSON_TRUE] = "true",      [JSON_FALSE] = "false",     [JSON_NULL] = "null" };
    return kind[json_typeof(value)];
}

/* The value as it may stand in a message: short, containers only by kind. */
static const char *shown(char out[80], const json_t *value)
{
    if (json_is_integer(value))
        snprintf(out, 80, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(out, 80, "%.9g", json_real_value(value));
    else if (json_is_string(value))
        snprintf(out, 80, "\"%.60s%s", json_string_value(value), json_string_length(value) > 60 ? "..." : "\"");
    else
        snprintf(out, 80, "%s", kind_of(value));
    return out;
}

static enum status mismatch(const json_t *value, const char *where, const char *key, const char *wanted, struct error *err)
{
    char text[80];
    fail_with(err, BAD_FILE, "%s: '%s' is %s", "", where, key, shown(text, value));
    return cure_with(err, "it must be %s", wanted);
}

/* *value is the member, NULL if it is missing or null. */
static enum status member(const json_t *object, const char *where, const char *key, const json_t **value, struct error *err)
{
    *value = NULL;
    if (!object || json_is_null(object))
        return OK;
    if (!json_is_object(object))
        return fail_with(err, BAD_FILE, "%s: is %s, not an object with '%s'", "it must be an object in braces", where, kind_of(object), key);
    const json_t *found = json_object_get(object, key);
    *value = json_is_null(found) ? NULL : found;
    return OK;
}

static bool is_int_within(const json_t *value, int64_t min, int64_t max)
{
    return json_is_integer(value) && json_integer_value(value) >= min && json_integer_value(value) <= max;
}

static enum status not_int(const json_t *value, const char *where, const char *key, int64_t min, int64_t max, struct error *err)
{
    char wanted[80];
    if (min == INT64_MIN && max == INT64_MAX)
        snprintf(wanted, sizeof wanted, "an integer");
    else if (max == INT64_MAX)
        snprintf(wanted, sizeof wanted, "an integer of at least %" PRId64, min);
    else
        snprintf(wanted, sizeof wanted, "an integer from %" PRId64 " to %" PRId64, min, max);
    return mismatch(value, where, key, wanted, err);
}

enum status json_get_int(const json_t *object, const char *where, const char *key, int64_t min, int64_t max, int64_t *out, struct error *err)
{
    const json_t *value;
    TRY(member(object, where, key, &value, err));
    if (value && !is_int_within(value, min, max))
        return not_int(value, where, key, min, max, err);
    if (value)
        *out = json_integer_value(value);
    return OK;
}

enum status json_get_real(const json_t *object, const char *where, const char *key, double *out, struct error *err)
{
    const json_t *value;
    TRY(member(object, where, key, &value, err));
    if (value && !json_is_number(value))
        return mismatch(value, where, key, "a number", err);
    if (value)
        *out = json_number_value(value);
    return OK;
}

enum status json_get_bool(const json_t *object, const char *where, const char *key, bool *out, struct error *err)
{
    const json_t *value;
    TRY(member(object, where, key, &value, err));
    if (value && !json_is_boolean(value))
        return mismatch(value, where, key, "true or false", err);
    if (value)
        *out = json_is_true(value);
    return OK;
}

enum status json_get_text(const json_t *object, const char *where, const char *key, const char **out, struct error *err)
{
    const json_t *value;
    TRY(member(object, where, key, &value, err));
    if (value && !json_is_string(value))
        return mismatch(value, where, key, "a string", err);
    if (value)
        *out = json_string_value(value);
    return OK;
}

enum status json_get_ids(struct arena *arena, const json_t *object, const char *where, const char *key, int64_t min, int64_t max, int32_t **out, int64_t *count,
                         struct error *err)
{
    const json_t *value;
    CHECK(min >= INT32_MIN && max <= INT32_MAX);
    *out = NULL;
    *count = 0;
    TRY(member(object, where, key, &value, err));
    if (!value)
        return OK;
    if (!json_is_array(value))
        return mismatch(value, where, key, "an array of integers", err);
    size_t length = json_array_size(value);
    int32_t *ids = NEW_ARRAY(arena, length, int32_t);
    for (size_t i = 0; i < length; i++) {
        const json_t *item = json_array_get(value, i);
        if (!is_int_within(item, min, max)) {
            char name[128];
            snprintf(name, sizeof name, "%.90s[%zu]", key, i);
            return not_int(item, where, name, min, max, err);
        }
        ids[i] = (int32_t)json_integer_value(item);
    }
    *out = ids;
    *count = (int64_t)length;
    return OK;
}

static void add_escaped(struct text *text, char c)
{
    static const char short_form[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\' };
    char letter = short_form[(unsigned char)c];
    if (letter)
        text_add(text, (char[]){ '\\', letter }, 2);
    else
        text_print(text, "\\u%04x", (unsigned char)c);
}

void text_add_json(struct text *text, const char *bytes, size_t length)
{
    text_add(text, "\"", 1);
    size_t plain = 0; /* where the bytes that need no change began */
    for (size_t i = 0; i < length;) {
        uint32_t code = (unsigned char)bytes[i];
        int size = code < 0x80 ? 1 : utf8_decode(bytes + i, length - i, &code);
        if (size > 0 && code >= ' ' && code != '"' && code != '\\') {
            i += (size_t)size;
            continue;
        }
        text_add(text, bytes + plain, i - plain);
        if (size == 0)
            text_add_code(text, 0xFFFD);
        else
            add_escaped(text, bytes[i]);
        plain = ++i;
    }
    text_add(text, bytes + plain, length - plain);
    text_add(text, "\"", 1);
}

void text_add_number(struct text *text, double value)
{
    if (isfinite(value))
        text_print(text, "%.9g", value);
    else
        text_add_string(text, "null");
}

char *json_print(const json_t *json, size_t style)
{
    char *text = json_dumps(json, style | JSON_REAL_PRECISION(15));
    json_t *again = text ? json_loads(text, 0, NULL) : NULL;
    if (again && !json_equal(again, json)) {
        free(text);
        text = json_dumps(json, style | JSON_REAL_PRECISION(17));
    }
    json_decref(again);
    return text;
}
