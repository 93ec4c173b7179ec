/* Filters that take a test or another filter: map, select, reject, selectattr, rejectattr. Their names come as strings, so an unknown one is only
 * known when the filter is reached.
 */
#include "tokenizer/jinja_builtins.h"

#include <string.h>

/* The row that argument number `place` names, and the arguments behind it. */
static enum status named(struct run *run, const struct call *call, size_t place, const char *what, const struct builtin *(*look_up)(const char *),
                         const struct builtin **row, struct call *rest)
{
    struct value name;
    TRY(argument_string(run, &call->position[place], "name", &name));
    TRY(jinja_reserve(run, name.length));
    const char *text = name.type == IS_STRING ? arena_text(run->arena, name.bytes, name.length) : "";
    *row = look_up(text);
    *rest = *call;
    rest->position += place + 1;
    rest->positions -= place + 1;
    return *row ? OK : jinja_fail(run, "%s '%.100s' is not supported", "graft knows those that published templates use", what, text);
}

/* The items of which the test (or, without one, the item) says `wanted`. */
static enum status pick(struct run *run, const struct value *self, const struct call *call, bool by_attribute, bool wanted, struct value *out)
{
    const struct builtin *test = NULL;
    struct call rest = { 0 };
    struct value list;
    if (by_attribute && call->positions == 0)
        return jinja_fail(run, "the attribute is not given", "give its name");
    if (call->positions > by_attribute)
        TRY(named(run, call, by_attribute, "test", jinja_test, &test, &rest));
    TRY(value_iterate(run, self, &list));
    TRY(value_list_new(run, IS_ITERATOR, list.items->count, out));
    for (size_t i = 0; i < list.items->count; i++) {
        struct value item = list.items->item[i], answer;
        if (by_attribute)
            TRY(value_path(run, &list.items->item[i], &call->position[0], &item));
        answer = item;
        if (test)
            TRY(jinja_call_builtin(run, test, &item, &rest, &answer));
        if (value_is_true(&answer) == wanted)
            TRY(value_push(run, out, &list.items->item[i]));
    }
    return OK;
}

static enum status filter_select(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    return pick(run, self, call, false, true, out);
}

static enum status filter_reject(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    return pick(run, self, call, false, false, out);
}

static enum status filter_select_attribute(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    return pick(run, self, call, true, true, out);
}

static enum status filter_reject_attribute(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    return pick(run, self, call, true, false, out);
}

/* map(attribute=, default=): what the attribute leads to. */
static enum status map_attribute(struct run *run, const struct value *list, const struct call *call, struct value *out)
{
    const struct value *attribute = NULL, *fallback = NULL;
    for (size_t i = 0; i < call->keywords; i++) {
        if (strcmp(call->keyword[i].name, "attribute") == 0)
            attribute = &call->keyword[i].value;
        else if (strcmp(call->keyword[i].name, "default") == 0)
            fallback = &call->keyword[i].value;
        else
            return jinja_fail(run, "map: '%.100s' is no argument of it", "it has attribute and default", call->keyword[i].name);
    }
    if (!attribute)
        return jinja_fail(run, "map: neither a filter nor an attribute", "give one of them");
    for (size_t i = 0; i < list->items->count; i++) {
        struct value item;
        TRY(value_path(run, &list->items->item[i], attribute, &item));
        TRY(value_push(run, out, item.type == IS_UNDEFINED && fallback ? fallback : &item));
    }
    return OK;
}

static enum status filter_map(struct run *run, const struct value *self, const struct call *call, struct value *out)
{
    const struct builtin *filter;
    struct call rest;
    struct value list;
    TRY(value_iterate(run, self, &list));
    TRY(value_list_new(run, IS_ITERATOR, list.items->count, out));
    if (call->positions == 0)
        return map_attribute(run, &list, call, out);
    TRY(named(run, call, 0, "filter", jinja_filter, &filter, &rest));
    for (size_t i = 0; i < list.items->count; i++) {
        struct value item;
        TRY(jinja_call_builtin(run, filter, &list.items->item[i], &rest, &item));
        TRY(value_push(run, out, &item));
    }
    return OK;
}

static const struct builtin rows[] = {
    { "map", NULL, 0, NULL, filter_map, IS_ABSENT },
    { "select", NULL, 0, NULL, filter_select, IS_ABSENT },
    { "reject", NULL, 0, NULL, filter_reject, IS_ABSENT },
    { "selectattr", NULL, 0, NULL, filter_select_attribute, IS_ABSENT },
    { "rejectattr", NULL, 0, NULL, filter_reject_attribute, IS_ABSENT },
};
const struct builtins jinja_pick_filters = { rows, COUNT(rows) };
