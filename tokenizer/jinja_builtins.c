/* Methods, tests and functions, and looking rows up. Filters are in jinja_text_filters.c, jinja_list_filters.c and jinja_pick_filters.c. */
#include "tokenizer/jinja_builtins.h"

#include <string.h>
#include <time.h>

static const struct builtin *find(const struct builtins *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->row[i].name, name) == 0)
            return &table->row[i];
    return NULL;
}

const struct builtin *jinja_filter(const char *name)
{
    const struct builtin *row = find(&jinja_text_filters, name);
    row = row ? row : find(&jinja_list_filters, name);
    return row ? row : find(&jinja_pick_filters, name);
}

const struct builtin *jinja_test(const char *name)
{
    return find(&jinja_tests, name);
}

/* methods */

static enum status map_views(struct run *run, const struct value *self, bool keys, bool values, struct value *out)
{
    const struct map *map = self->map;
    TRY(value_list_new(run, IS_VIEW, map->count, out));
    for (size_t i = 0; i < map->count; i++) {
        struct value item = keys ? map->pair[i].key : map->pair[i].value;
        if (keys && values)
            TRY(value_list(run, IS_TUPLE, (const struct value[]){ map->pair[i].key, map->pair[i].value }, 2, &item));
        TRY(value_push(run, out, &item));
    }
    return OK;
}

static enum status map_items(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return map_views(run, self, true, true, out);
}

static enum status map_keys(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return map_views(run, self, true, false, out);
}

static enum status map_values(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return map_views(run, self, false, true, out);
}

static enum status map_get(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    const struct value *found;
    TRY(value_find(run, self->map, &argument[0], &found));
    *out = found ? *found : argument[1].type == IS_ABSENT ? (struct value){ .type = IS_NONE } : argument[1];
    return OK;
}

static enum status loop_cycle(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    if (call->positions == 0)
        return jinja_fail(run, "loop.cycle() without values", "give the values to go round in");
    *out = call->position[self->loop->index % call->positions];
    return OK;
}

static enum status loop_changed(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    struct value now;
    bool same = false;
    TRY(value_list(run, IS_TUPLE, call->position, call->positions, &now));
    TRY(value_equal(run, &now, &self->loop->changed, &same));
    self->loop->changed = now;
    *out = value_bool(!same);
    return OK;
}

static const struct builtin method_rows[] = {
    { "strip", "chars", 0, string_strip, NULL, IS_STRING },
    { "lstrip", "chars", 0, string_strip_left, NULL, IS_STRING },
    { "rstrip", "chars", 0, string_strip_right, NULL, IS_STRING },
    { "upper", "", 0, string_upper, NULL, IS_STRING },
    { "lower", "", 0, string_lower, NULL, IS_STRING },
    { "title", "", 0, string_title, NULL, IS_STRING },
    { "capitalize", "", 0, string_capitalize, NULL, IS_STRING },
    { "replace", "old new count", 2, string_replace, NULL, IS_STRING },
    { "split", "sep maxsplit", 0, string_split, NULL, IS_STRING },
    { "rsplit", "sep maxsplit", 0, string_split_right, NULL, IS_STRING },
    { "splitlines", "keepends", 0, string_split_lines, NULL, IS_STRING },
    { "startswith", "prefix", 1, string_starts, NULL, IS_STRING },
    { "endswith", "suffix", 1, string_ends, NULL, IS_STRING },
    { "find", "sub", 1, string_find, NULL, IS_STRING },
    { "count", "sub", 1, string_count, NULL, IS_STRING },
    { "join", "iterable", 1, string_join, NULL, IS_STRING },
    { "removeprefix", "prefix", 1, string_remove_prefix, NULL, IS_STRING },
    { "removesuffix", "suffix", 1, string_remove_suffix, NULL, IS_STRING },
    { "isspace", "", 0, string_is_space, NULL, IS_STRING },
    { "items", "", 0, map_items, NULL, IS_MAP },
    { "keys", "", 0, map_keys, NULL, IS_MAP },
    { "values", "", 0, map_values, NULL, IS_MAP },
    { "get", "key default", 1, map_get, NULL, IS_MAP },
    { "cycle", NULL, 0, NULL, loop_cycle, IS_LOOP },
    { "changed", NULL, 0, NULL, loop_changed, IS_LOOP },
};
const struct builtins jinja_methods = { method_rows, COUNT(method_rows) };

const struct builtin *jinja_method(enum jinja_type of, const char *name)
{
    for (size_t i = 0; i < COUNT(method_rows); i++)
        if (method_rows[i].of == of && strcmp(method_rows[i].name, name) == 0)
            return &method_rows[i];
    return NULL;
}

bool jinja_is_method(const char *name)
{
    return find(&jinja_methods, name) != NULL;
}

/* functions */

static enum status function_raise(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value message;
    (void)self;
    TRY(value_to_string(run, &argument[0], &message));
    *out = message;
    return jinja_fail(run, "the template refuses the conversation: %.*s", "change the conversation, or use a template that takes it",
                      (int)(message.length < 700 ? message.length : 700), message.bytes);
}

static enum status function_range(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    int64_t part[3] = { 0, 0, 1 };
    (void)self;
    if (call->keywords || call->positions < 1 || call->positions > 3)
        return jinja_fail(run, "range() of %zu arguments", "range(end), range(begin, end) or range(begin, end, step)", call->positions);
    for (size_t i = 0; i < call->positions; i++)
        TRY(argument_int(run, &call->position[i], "range", 0, &part[call->positions == 1 ? 1 : i]));
    const int64_t begin = part[0], end = part[1], step = part[2];
    if (step == 0)
        return jinja_fail(run, "range() with step 0", "give a step that is not 0");
    uint64_t distance = step > 0 ? (uint64_t)end - (uint64_t)begin : (uint64_t)begin - (uint64_t)end, count = 0;
    if (step > 0 ? begin < end : begin > end)
        count = (distance - 1) / (step > 0 ? (uint64_t)step : 0 - (uint64_t)step) + 1;
    if (count > JINJA_LONGEST_RANGE)
        return jinja_fail(run, "range() of %llu numbers; the limit is %d", "go through the messages themselves", (unsigned long long)count,
                          JINJA_LONGEST_RANGE);
    TRY(value_list_new(run, IS_VIEW, (size_t)count, out));
    for (uint64_t i = 0; i < count; i++) {
        const struct value number = value_int((int64_t)((uint64_t)begin + i * (uint64_t)step));
        TRY(value_push(run, out, &number));
    }
    return OK;
}

/* dict() and namespace(): of a mapping, or of pairs, and of keywords. */
static enum status make_map(struct run *run, const struct call *call, enum jinja_type type, struct value *out)
{
    TRY(value_map_new(run, type, call->keywords, out));
    if (call->positions > 1)
        return jinja_fail(run, "%s of %zu arguments", "give one mapping, or keywords", type == IS_MAP ? "dict()" : "namespace()", call->positions);
    const struct value *from = call->positions ? &call->position[0] : NULL;
    if (from && from->type == IS_MAP) {
        for (size_t i = 0; i < from->map->count; i++)
            TRY(value_put(run, out, &from->map->pair[i].key, &from->map->pair[i].value));
    } else if (from) {
        struct value list, pair;
        TRY(value_iterate(run, from, &list));
        for (size_t i = 0; i < list.items->count; i++) {
            TRY(value_iterate(run, &list.items->item[i], &pair));
            if (pair.items->count != 2)
                return jinja_fail(run, "an item of %zu values in place of key and value", "give pairs", pair.items->count);
            TRY(value_put(run, out, &pair.items->item[0], &pair.items->item[1]));
        }
    }
    for (size_t i = 0; i < call->keywords; i++) {
        const struct value key = value_string(call->keyword[i].name, strlen(call->keyword[i].name));
        TRY(value_put(run, out, &key, &call->keyword[i].value));
    }
    return OK;
}

static enum status function_dict(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    (void)self;
    return make_map(run, call, IS_MAP, out);
}

static enum status function_namespace(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    (void)self;
    TRY(make_map(run, call, IS_NAMESPACE, out));
    for (size_t i = 0; i < out->map->count; i++)
        if (out->map->pair[i].key.type == IS_STRING && out->map->pair[i].key.length && out->map->pair[i].key.bytes[0] == '_')
            return jinja_fail(run, "a member of a namespace begins with an underscore", "take another name for the member");
    return OK;
}

static enum status function_now(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    static const char known[] = "aAbBcdDFHIjlmMnpStTuUVwWyYzZ%";
    struct value format;
    struct tm parts;
    char text[512];
    const time_t now = (time_t)run->now;
    (void)self;
    TRY(argument_string(run, &argument[0], "format", &format));
    const char *c = format.type == IS_STRING ? format.bytes : "";
    const size_t length = format.type == IS_STRING ? format.length : 0;
    for (size_t i = 0; i < length; i++)
        if (c[i] == 0 || (c[i] == '%' && (++i == length || !strchr(known, c[i]) || !c[i])))
            return jinja_fail(run, "strftime_now() with a format that graft does not know", "use %d, %b, %Y and their like");
    if (length > 100 || !localtime_r(&now, &parts))
        return jinja_fail(run, "strftime_now() with a format of %zu bytes", "the limit is 100", length);
    const size_t written = strftime(text, sizeof text, arena_text(run->arena, c, length), &parts);
    *out = value_string(arena_text(run->arena, text, written), written);
    return OK;
}

/* A row without function: jinja2 has it, graft has not. */
static const struct builtin function_rows[] = {
    { "raise_exception", "message", 1, function_raise, NULL, IS_ABSENT },
    { "range", NULL, 0, NULL, function_range, IS_ABSENT },
    { "namespace", NULL, 0, NULL, function_namespace, IS_ABSENT },
    { "dict", NULL, 0, NULL, function_dict, IS_ABSENT },
    { "strftime_now", "format", 1, function_now, NULL, IS_ABSENT },
    { "cycler", NULL, 0, NULL, NULL, IS_ABSENT },
    { "joiner", NULL, 0, NULL, NULL, IS_ABSENT },
    { "lipsum", NULL, 0, NULL, NULL, IS_ABSENT },
};
const struct builtins jinja_functions = { function_rows, COUNT(function_rows) };

const struct builtin *jinja_function(const char *name)
{
    const struct builtin *row = find(&jinja_functions, name);
    return row && (row->apply || row->apply_call) ? row : NULL;
}

bool jinja_is_left_out(const char *name)
{
    const struct builtin *row = find(&jinja_functions, name);
    return row && !row->apply && !row->apply_call;
}
