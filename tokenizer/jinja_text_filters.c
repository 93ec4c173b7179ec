/* Filters whose result is a text or a number. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status filter_string(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return value_to_string(run, self, out);
}

static enum status filter_length(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    int64_t length;
    (void)argument;
    TRY(value_length(run, self, &length));
    *out = value_int(length);
    return OK;
}

static enum status filter_default(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)run;
    const bool takes_it = self->type == IS_UNDEFINED || (value_is_true(&argument[1]) && !value_is_true(self));
    *out = !takes_it ? *self : argument[0].type == IS_ABSENT ? value_string("", 0) : argument[0];
    return OK;
}

static enum status filter_join(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct text text = text_new(run->arena);
    struct value list, between = value_string("", 0);
    TRY(value_iterate(run, self, &list));
    if (argument[0].type != IS_ABSENT)
        TRY(value_to_string(run, &argument[0], &between));
    for (size_t i = 0; i < list.items->count; i++) {
        struct value item = list.items->item[i];
        if (argument[1].type != IS_ABSENT && argument[1].type != IS_NONE)
            TRY(value_path(run, &list.items->item[i], &argument[1], &item));
        TRY(jinja_add(run, &text, between.bytes, i ? between.length : 0));
        TRY(value_print(run, &text, &item));
    }
    *out = value_string(text.length ? text.bytes : "", text.length);
    return OK;
}

/* (item separator, key separator) of json.dumps(). */
static enum status read_separators(struct run *run, const struct value *given, struct json_style *style)
{
    struct value list;
    if (given->type == IS_ABSENT || given->type == IS_NONE)
        return OK;
    TRY(value_iterate(run, given, &list));
    const struct value *item = list.items->item;
    if (list.items->count != 2 || item[0].type != IS_STRING || item[1].type != IS_STRING)
        return jinja_fail(run, "'separators' is not a pair of strings", "give (', ', ': ')");
    TRY(jinja_reserve(run, item[0].length + item[1].length));
    style->between_items = arena_text(run->arena, item[0].bytes, item[0].length);
    style->behind_key = arena_text(run->arena, item[1].bytes, item[1].length);
    return OK;
}

/* Not str.title(): a word begins behind white space and - ( { [ < alone. */
static enum status filter_title(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct text text = text_new(run->arena);
    bool begins = true;
    (void)argument;
    TRY(jinja_reserve(run, 3 * self->length));
    for (size_t i = 0; i < self->length;) {
        uint32_t code = 0;
        const int size = utf8_decode(self->bytes + i, self->length - i, &code);
        const bool between = unicode_is_space(code) || code == '-' || code == '(' || code == '{' || code == '[' || code == '<';
        unicode_add_case(&text, code, begins ? CASE_UPPER : CASE_LOWER);
        begins = between;
        i += (size_t)(size > 0 ? size : 1);
    }
    *out = value_string(text.length ? text.bytes : "", text.length);
    return OK;
}

enum { WIDEST_INDENT = 100 };

static enum status filter_json(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    static const char *const name[] = { "ensure_ascii", "indent", "separators", "sort_keys" };
    struct value argument[COUNT(name)] = { 0 };
    struct text text = text_new(run->arena);
    bool known = call->positions <= COUNT(name);
    for (size_t i = 0; known && i < call->positions; i++)
        argument[i] = call->position[i];
    for (size_t i = 0; known && i < call->keywords; i++) {
        size_t place = 0;
        while (place < COUNT(name) && strcmp(name[place], call->keyword[i].name) != 0)
            place++;
        known = place < COUNT(name);
        if (known)
            argument[place] = call->keyword[i].value;
    }
    if (!known)
        return jinja_fail(run, "tojson: an argument that it does not have", "it has ensure_ascii, indent, separators and sort_keys");
    struct json_style style = { -1, ", ", ": ", value_is_true(&argument[0]), value_is_true(&argument[3]) };
    TRY(argument_int(run, &argument[1], "indent", -1, &style.indent));
    if (style.indent > WIDEST_INDENT)
        return jinja_fail(run, "'indent' is %lld; the limit is %d", "give 2 or 4", (long long)style.indent, WIDEST_INDENT);
    if (argument[1].type != IS_ABSENT && argument[1].type != IS_NONE) {
        style.between_items = ",";
        style.indent = style.indent < 0 ? 0 : style.indent;
    }
    TRY(read_separators(run, &argument[2], &style));
    TRY(value_to_json(run, &text, self, &style));
    *out = value_string(text.bytes, text.length);
    return OK;
}

static enum status filter_indent(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct text text = text_new(run->arena);
    struct value blank = { 0 };
    int64_t width = 4;
    const bool first = value_is_true(&argument[1]), empty_too = value_is_true(&argument[2]);
    if (argument[0].type == IS_STRING)
        blank = argument[0];
    else
        TRY(argument_int(run, &argument[0], "width", 4, &width));
    if (width > WIDEST_INDENT)
        return jinja_fail(run, "'width' is %lld; the limit is %d", "give 2 or 4", (long long)width, WIDEST_INDENT);
    for (size_t i = 0; i <= self->length;) {
        const char *from = self->bytes + i, *newline = memchr(from, '\n', self->length - i);
        const size_t length = newline ? (size_t)(newline - from) : self->length - i;
        const bool indents = i == 0 ? first : length > 0 || empty_too;
        if (indents && blank.type == IS_STRING)
            TRY(jinja_add(run, &text, blank.bytes, blank.length));
        for (int64_t n = 0; indents && blank.type != IS_STRING && n < width; n++)
            TRY(jinja_add(run, &text, " ", 1));
        TRY(jinja_add(run, &text, from, length + (newline != NULL)));
        i += length + 1;
    }
    *out = value_string(text.length ? text.bytes : "", text.length);
    return OK;
}

/* What Python's int() and float() read: digits with white space around them. */
static enum status filter_int(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    int64_t number, fallback;
    double real;
    struct value text;
    const struct value nothing = { 0 };
    TRY(argument_int(run, &argument[0], "default", 0, &fallback));
    *out = value_int(fallback);
    if (value_is_whole(self))
        *out = value_int(self->integer);
    if (self->type == IS_REAL && fabs(self->real) < 9e18)
        *out = value_int((int64_t)self->real);
    if (self->type != IS_STRING)
        return OK;
    TRY(string_strip(run, self, &nothing, &text));
    const char *digits = arena_text(run->arena, text.bytes, text.length < 400 ? text.length : 400);
    if (text_to_int(digits + (digits[0] == '+'), &number))
        *out = value_int(number);
    else if (text_to_real(digits, &real) && fabs(real) < 9e18)
        *out = value_int((int64_t)real);
    return OK;
}

static enum status filter_float(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    double real;
    struct value text;
    const struct value nothing = { 0 };
    *out = argument[0].type == IS_ABSENT ? value_from_real(0) : argument[0];
    if (value_is_number(self))
        *out = value_from_real(value_real(self));
    if (self->type != IS_STRING)
        return OK;
    TRY(string_strip(run, self, &nothing, &text));
    if (text_to_real(arena_text(run->arena, text.bytes, text.length < 400 ? text.length : 400), &real))
        *out = value_from_real(real);
    return OK;
}

static enum status need_number(struct run *run, const struct value *self, const char *what)
{
    return value_is_number(self) ? OK : jinja_fail(run, "%s of %s", "give a number; | int and | float make one", what, value_name(self));
}

static enum status filter_abs(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    const struct value zero = value_int(0);
    (void)argument;
    TRY(need_number(run, self, "abs"));
    *out = self->type == IS_REAL ? value_from_real(fabs(self->real)) : value_int(self->integer);
    return value_is_whole(self) && self->integer < 0 ? jinja_binary(run, OPERATOR_SUBTRACT, &zero, self, out) : OK;
}

/* Halves to the even digit, as Python rounds: the C library prints the nearest decimal of the exact value, and so does Python. */
static enum status filter_round(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value method;
    int64_t precision;
    char digits[400];
    TRY(need_number(run, self, "round"));
    TRY(argument_int(run, &argument[0], "precision", 0, &precision));
    TRY(argument_string(run, &argument[1], "method", &method));
    const bool is_ceil = method.type == IS_STRING && method.length == 4 && memcmp(method.bytes, "ceil", 4) == 0;
    const bool is_floor = method.type == IS_STRING && method.length == 5 && memcmp(method.bytes, "floor", 5) == 0;
    const bool is_common = method.type == IS_ABSENT || (method.length == 6 && memcmp(method.bytes, "common", 6) == 0);
    if (precision < 0 || precision > 15 || !(is_ceil || is_floor || is_common))
        return jinja_fail(run, "round: a precision or method that it does not have", "give 0 to 15 digits, and 'common', 'ceil' or 'floor'");
    const double number = value_real(self), scale = pow(10, (double)precision);
    if (is_common && value_is_whole(self))
        *out = value_int(self->integer);
    else if (is_common && snprintf(digits, sizeof digits, "%.*f", (int)precision, number) > 0)
        *out = value_from_real(strtod(digits, NULL));
    else
        *out = value_from_real((is_ceil ? ceil(number * scale) : floor(number * scale)) / scale);
    return OK;
}

static const struct builtin rows[] = {
    { "string", "", 0, filter_string, NULL, IS_ABSENT },
    { "safe", "", 0, filter_string, NULL, IS_ABSENT },
    { "trim", "chars", 0, string_strip, NULL, IS_STRING },
    { "upper", "", 0, string_upper, NULL, IS_STRING },
    { "lower", "", 0, string_lower, NULL, IS_STRING },
    { "title", "", 0, filter_title, NULL, IS_STRING },
    { "capitalize", "", 0, string_capitalize, NULL, IS_STRING },
    { "replace", "old new count", 2, string_replace, NULL, IS_STRING },
    { "indent", "width first blank", 0, filter_indent, NULL, IS_STRING },
    { "length", "", 0, filter_length, NULL, IS_ABSENT },
    { "count", "", 0, filter_length, NULL, IS_ABSENT },
    { "default", "default_value boolean", 0, filter_default, NULL, IS_ABSENT },
    { "d", "default_value boolean", 0, filter_default, NULL, IS_ABSENT },
    { "join", "d attribute", 0, filter_join, NULL, IS_ABSENT },
    { "tojson", NULL, 0, NULL, filter_json, IS_ABSENT },
    { "int", "default", 0, filter_int, NULL, IS_ABSENT },
    { "float", "default", 0, filter_float, NULL, IS_ABSENT },
    { "abs", "", 0, filter_abs, NULL, IS_ABSENT },
    { "round", "precision method", 0, filter_round, NULL, IS_ABSENT },
};
const struct builtins jinja_text_filters = { rows, COUNT(rows) };
