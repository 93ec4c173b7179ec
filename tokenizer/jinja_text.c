/* Values as text: Python's str() and repr(), and json.dumps(). */
#include "common/json.h"
#include "tokenizer/jinja_run.h"
#include "tokenizer/jinja_unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status add_string(struct run *run, struct text *text, const char *string)
{
    return jinja_add(run, text, string, strlen(string));
}

/* The fewest digits that read back as the number; an exponent below 1e-4 and from 1e16 on. */
static enum status add_real(struct run *run, struct text *text, double real)
{
    char digits[40], plain[60];
    int precision = 0;
    if (!isfinite(real))
        return add_string(run, text, isnan(real) ? "nan" : real > 0 ? "inf" : "-inf");
    do
        snprintf(digits, sizeof digits, "%.*e", precision, real);
    while (strtod(digits, NULL) != real && ++precision < 17);
    const char *e = strchr(digits, 'e');
    const int exponent = atoi(e + 1);
    if (exponent < -4 || exponent >= 16) {
        snprintf(plain, sizeof plain, "%.*se%c%02d", (int)(e - digits), digits, exponent < 0 ? '-' : '+', abs(exponent));
        return add_string(run, text, plain);
    }
    snprintf(plain, sizeof plain, "%.*f", precision > exponent + 1 ? precision - exponent : 1, real);
    return add_string(run, text, plain);
}

static enum status add_int(struct run *run, struct text *text, int64_t integer)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)integer);
    return add_string(run, text, digits);
}

static enum status add_escape(struct run *run, struct text *text, uint32_t code, bool json)
{
    char escape[16];
    if (json && code > 0xFFFF)
        snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
    else if (json || (code > 0xFF && code <= 0xFFFF))
        snprintf(escape, sizeof escape, "\\u%04x", code);
    else
        snprintf(escape, sizeof escape, code <= 0xFF ? "\\x%02x" : "\\U%08x", code);
    return add_string(run, text, escape);
}

static enum status add_repr(struct run *run, struct text *text, const struct value *string)
{
    static const char letter[] = "\t\n\r\\", meaning[] = "tnr\\";
    const bool has_single = memchr(string->bytes, '\'', string->length), has_double = memchr(string->bytes, '"', string->length);
    const char quote = has_single && !has_double ? '"' : '\'';
    TRY(jinja_add(run, text, &quote, 1));
    for (size_t i = 0; i < string->length;) {
        uint32_t code = 0;
        const int size = utf8_decode(string->bytes + i, string->length - i, &code);
        const char *known = code && code < 0x80 ? strchr(letter, (int)code) : NULL;
        if (known || code == (uint32_t)quote)
            TRY(jinja_add(run, text, (const char[]){ '\\', known ? meaning[known - letter] : quote }, 2));
        else if (unicode_is_printable(code))
            TRY(jinja_add(run, text, string->bytes + i, (size_t)size));
        else
            TRY(add_escape(run, text, code, false));
        i += (size_t)(size > 0 ? size : 1);
    }
    return jinja_add(run, text, &quote, 1);
}

static enum status add_inside(struct run *run, struct text *text, const struct value *value)
{
    return value->type == IS_STRING ? add_repr(run, text, value) : value_print(run, text, value);
}

static enum status add_items(struct run *run, struct text *text, const struct value *value)
{
    const bool is_tuple = value->type == IS_TUPLE;
    TRY(add_string(run, text, is_tuple ? "(" : "["));
    for (size_t i = 0; i < value->items->count; i++) {
        TRY(add_string(run, text, i ? ", " : ""));
        TRY(add_inside(run, text, &value->items->item[i]));
    }
    return add_string(run, text, is_tuple ? value->items->count == 1 ? ",)" : ")" : "]");
}

static enum status add_map(struct run *run, struct text *text, const struct map *map)
{
    TRY(add_string(run, text, "{"));
    for (size_t i = 0; i < map->count; i++) {
        TRY(add_string(run, text, i ? ", " : ""));
        TRY(add_inside(run, text, &map->pair[i].key));
        TRY(add_string(run, text, ": "));
        TRY(add_inside(run, text, &map->pair[i].value));
    }
    return add_string(run, text, "}");
}

enum status value_print(struct run *run, struct text *text, const struct value *value)
{
    TRY(jinja_spend(run, 1));
    switch (value->type) {
    case IS_UNDEFINED:
        return OK;
    case IS_NONE:
        return add_string(run, text, "None");
    case IS_BOOL:
        return add_string(run, text, value->integer ? "True" : "False");
    case IS_INT:
        return add_int(run, text, value->integer);
    case IS_REAL:
        return add_real(run, text, value->real);
    case IS_STRING:
        return jinja_add(run, text, value->bytes, value->length);
    case IS_LIST:
    case IS_TUPLE:
        return add_items(run, text, value);
    case IS_MAP:
        return add_map(run, text, value->map);
    default:
        return jinja_fail(run, "%s cannot be printed", "print what is in it; | list makes a list of what can be gone through", value_name(value));
    }
}

enum status value_to_string(struct run *run, const struct value *value, struct value *out)
{
    if (value->type == IS_STRING) {
        *out = *value;
        return OK;
    }
    struct text text = text_new(run->arena);
    TRY(value_print(run, &text, value));
    *out = value_string(text.length ? text.bytes : "", text.length);
    return OK;
}

static enum status dump_string(struct run *run, struct text *text, const struct value *string, bool ascii)
{
    static const char letter[] = "\"\\\n\r\t\f\b", meaning[] = "\"\\nrtfb";
    TRY(add_string(run, text, "\""));
    for (size_t i = 0; i < string->length;) {
        uint32_t code = 0;
        const int size = utf8_decode(string->bytes + i, string->length - i, &code);
        const char *known = code && code < 0x80 ? strchr(letter, (int)code) : NULL;
        if (known)
            TRY(jinja_add(run, text, (const char[]){ '\\', meaning[known - letter] }, 2));
        else if (code < ' ' || (ascii && code >= 0x7F))
            TRY(add_escape(run, text, code, true));
        else
            TRY(jinja_add(run, text, string->bytes + i, (size_t)size));
        i += (size_t)(size > 0 ? size : 1);
    }
    return add_string(run, text, "\"");
}

static enum status dump_line(struct run *run, struct text *text, const struct json_style *style, int level)
{
    if (style->indent < 0)
        return OK;
    TRY(add_string(run, text, "\n"));
    for (int64_t i = 0; i < level * style->indent; i++)
        TRY(add_string(run, text, " "));
    return OK;
}

static enum status dump_value(struct run *run, struct text *text, const struct value *value, const struct json_style *style, int level);

/* Keys are strings in JSON. */
static enum status dump_key(struct run *run, struct text *text, const struct value *key, const struct json_style *style)
{
    if (key->type == IS_STRING)
        return dump_string(run, text, key, style->ascii);
    TRY(add_string(run, text, "\""));
    TRY(dump_value(run, text, key, style, 0));
    return add_string(run, text, "\"");
}

/* The pairs by their keys, in place; an insertion sort, for keys are few and the steps are counted. */
static enum status sort_pairs(struct run *run, struct pair *pair, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0; j--) {
            int order;
            TRY(jinja_spend(run, 1));
            TRY(value_order(run, &pair[j - 1].key, &pair[j].key, &order));
            if (order <= 0)
                break;
            struct pair swap = pair[j];
            pair[j] = pair[j - 1];
            pair[j - 1] = swap;
        }
    return OK;
}

static enum status dump_map(struct run *run, struct text *text, const struct map *map, const struct json_style *style, int level)
{
    const struct pair *pair = map->pair;
    if (style->sorted) {
        TRY(jinja_reserve(run, map->count * sizeof *pair));
        struct pair *copy = arena_grow(run->arena, map->pair, map->count, map->count, sizeof *pair);
        TRY(sort_pairs(run, copy, map->count));
        pair = copy;
    }
    TRY(add_string(run, text, "{"));
    for (size_t i = 0; i < map->count; i++) {
        TRY(add_string(run, text, i ? style->between_items : ""));
        TRY(dump_line(run, text, style, level + 1));
        TRY(dump_key(run, text, &pair[i].key, style));
        TRY(add_string(run, text, style->behind_key));
        TRY(dump_value(run, text, &pair[i].value, style, level + 1));
    }
    if (map->count)
        TRY(dump_line(run, text, style, level));
    return add_string(run, text, "}");
}

static enum status dump_list(struct run *run, struct text *text, const struct items *items, const struct json_style *style, int level)
{
    TRY(add_string(run, text, "["));
    for (size_t i = 0; i < items->count; i++) {
        TRY(add_string(run, text, i ? style->between_items : ""));
        TRY(dump_line(run, text, style, level + 1));
        TRY(dump_value(run, text, &items->item[i], style, level + 1));
    }
    if (items->count)
        TRY(dump_line(run, text, style, level));
    return add_string(run, text, "]");
}

static enum status dump_value(struct run *run, struct text *text, const struct value *value, const struct json_style *style, int level)
{
    TRY(jinja_spend(run, 1));
    switch (value->type) {
    case IS_NONE:
        return add_string(run, text, "null");
    case IS_BOOL:
        return add_string(run, text, value->integer ? "true" : "false");
    case IS_INT:
        return add_int(run, text, value->integer);
    case IS_REAL:
        if (!isfinite(value->real))
            return add_string(run, text, isnan(value->real) ? "NaN" : value->real > 0 ? "Infinity" : "-Infinity");
        return add_real(run, text, value->real);
    case IS_STRING:
        return dump_string(run, text, value, style->ascii);
    case IS_LIST:
    case IS_TUPLE:
        return dump_list(run, text, value->items, style, level);
    case IS_MAP:
        return dump_map(run, text, value->map, style, level);
    default:
        return jinja_fail(run, "%s cannot be written as JSON", "test `is defined` first; | list makes a list of what can be gone through", value_name(value));
    }
}

enum status value_to_json(struct run *run, struct text *text, const struct value *value, const struct json_style *style)
{
    return dump_value(run, text, value, style, 0);
}
