/* Filters on lists: their ends, their order, their sums. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_unicode.h"

#include <string.h>

static enum status filter_list(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return value_iterate(run, self, out);
}

static enum status filter_first(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value list;
    (void)argument;
    *out = value_undefined("the first item");
    if (self->type == IS_ITERATOR) {
        if (self->items->from < self->items->count)
            *out = self->items->item[self->items->from++];
        return OK;
    }
    TRY(value_iterate(run, self, &list));
    if (list.items->count)
        *out = list.items->item[0];
    return OK;
}

static enum status filter_last(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value list;
    (void)argument;
    if (self->type == IS_ITERATOR)
        return jinja_fail(run, "the last item of an iterator", "make a list of it first: | list | last");
    TRY(value_iterate(run, self, &list));
    *out = list.items->count ? list.items->item[list.items->count - 1] : value_undefined("the last item");
    return OK;
}

static enum status filter_reverse(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value list, minus = value_int(-1), none = { .type = IS_NONE };
    (void)argument;
    if (self->type == IS_STRING)
        return value_slice(run, self, &none, &none, &minus, out);
    TRY(value_iterate(run, self, &list));
    TRY(value_slice(run, &list, &none, &none, &minus, out));
    out->type = IS_ITERATOR;
    return OK;
}

static enum status filter_items(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    if (self->type != IS_MAP && self->type != IS_UNDEFINED)
        return jinja_fail(run, "items of %s", "give a mapping", value_name(self));
    const struct map *map = self->type == IS_MAP ? self->map : NULL;
    TRY(value_list_new(run, IS_ITERATOR, map ? map->count : 0, out));
    for (size_t i = 0; map && i < map->count; i++) {
        struct value pair;
        TRY(value_list(run, IS_TUPLE, (const struct value[]){ map->pair[i].key, map->pair[i].value }, 2, &pair));
        TRY(value_push(run, out, &pair));
    }
    return OK;
}

/* What a value is sorted by: what `attribute` leads to, small letters for capitals unless case matters. */
static enum status sort_key(struct run *run, const struct value *item, const struct value *attribute, bool case_sensitive, struct value *out)
{
    struct value key = *item;
    if (attribute->type != IS_ABSENT && attribute->type != IS_NONE)
        TRY(value_path(run, item, attribute, &key));
    *out = key;
    return key.type == IS_STRING && !case_sensitive ? string_lower(run, &key, NULL, out) : OK;
}

struct sorting {
    struct value key, item;
};

/* Merges [begin, middle) and [middle, end) of `from` into `to`; equal ones stay in order. */
static enum status merge(struct run *run, const struct sorting *from, struct sorting *to, size_t begin, size_t middle, size_t end, bool reverse)
{
    size_t a = begin, b = middle;
    for (size_t i = begin; i < end; i++) {
        int order = 0;
        TRY(jinja_spend(run, 1));
        if (a < middle && b < end)
            TRY(value_order(run, &from[a].key, &from[b].key, &order));
        const bool takes_a = b == end || (a < middle && (reverse ? order >= 0 : order <= 0));
        to[i] = takes_a ? from[a++] : from[b++];
    }
    return OK;
}

static enum status sort(struct run *run, const struct value *self, const struct value *attribute, bool case_sensitive, bool reverse, struct value *out)
{
    struct value list;
    TRY(value_iterate(run, self, &list));
    const size_t count = list.items->count;
    TRY(jinja_reserve(run, 2 * count * sizeof(struct sorting)));
    struct sorting *from = NEW_ARRAY(run->arena, count, struct sorting), *to = NEW_ARRAY(run->arena, count, struct sorting);
    for (size_t i = 0; i < count; i++) {
        from[i].item = list.items->item[i];
        TRY(sort_key(run, &from[i].item, attribute, case_sensitive, &from[i].key));
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t begin = 0; begin < count; begin += 2 * width) {
            const size_t middle = begin + width < count ? begin + width : count, end = middle + width < count ? middle + width : count;
            TRY(merge(run, from, to, begin, middle, end, reverse));
        }
        struct sorting *swap = from;
        from = to;
        to = swap;
    }
    TRY(value_list_new(run, IS_LIST, count, out));
    for (size_t i = 0; i < count; i++)
        TRY(value_push(run, out, &from[i].item));
    return OK;
}

static enum status filter_sort(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return sort(run, self, &argument[2], value_is_true(&argument[1]), value_is_true(&argument[0]), out);
}

static enum status filter_dictsort(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value by, items;
    TRY(argument_string(run, &argument[1], "by", &by));
    const bool by_value = by.type == IS_STRING && by.length == 5 && memcmp(by.bytes, "value", 5) == 0;
    if (by.type == IS_STRING && !by_value && !(by.length == 3 && memcmp(by.bytes, "key", 3) == 0))
        return jinja_fail(run, "dictsort: 'by' is neither 'key' nor 'value'", "give one of them");
    TRY(filter_items(run, self, argument, &items));
    const struct value place = value_int(by_value);
    return sort(run, &items, &place, value_is_true(&argument[0]), value_is_true(&argument[2]), out);
}

static enum status filter_unique(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value list, keys, key;
    TRY(value_iterate(run, self, &list));
    TRY(value_list_new(run, IS_ITERATOR, list.items->count, out));
    TRY(value_list_new(run, IS_LIST, list.items->count, &keys));
    for (size_t i = 0; i < list.items->count; i++) {
        bool seen;
        TRY(sort_key(run, &list.items->item[i], &argument[1], value_is_true(&argument[0]), &key));
        TRY(value_contains(run, &keys, &key, &seen));
        if (seen)
            continue;
        TRY(value_push(run, &keys, &key));
        TRY(value_push(run, out, &list.items->item[i]));
    }
    return OK;
}

static enum status filter_sum(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value list;
    TRY(value_iterate(run, self, &list));
    *out = argument[1].type == IS_ABSENT ? value_int(0) : argument[1];
    for (size_t i = 0; i < list.items->count; i++) {
        struct value item = list.items->item[i];
        const struct value sum = *out;
        if (argument[0].type != IS_ABSENT && argument[0].type != IS_NONE)
            TRY(value_path(run, &list.items->item[i], &argument[0], &item));
        TRY(jinja_binary(run, OPERATOR_ADD, &sum, &item, out));
    }
    return OK;
}

static enum status extreme(struct run *run, const struct value *self, const struct value *argument, int wanted, struct value *out)
{
    struct value list, best = { 0 }, key;
    TRY(value_iterate(run, self, &list));
    *out = value_undefined("the extreme of an empty list");
    for (size_t i = 0; i < list.items->count; i++) {
        int order = wanted;
        TRY(sort_key(run, &list.items->item[i], &argument[1], value_is_true(&argument[0]), &key));
        if (i > 0)
            TRY(value_order(run, &key, &best, &order));
        if (order != wanted)
            continue;
        best = key;
        *out = list.items->item[i];
    }
    return OK;
}

static enum status filter_min(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return extreme(run, self, argument, -1, out);
}

static enum status filter_max(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return extreme(run, self, argument, 1, out);
}

static const struct builtin rows[] = {
    { "list", "", 0, filter_list, NULL, IS_ABSENT },
    { "first", "", 0, filter_first, NULL, IS_ABSENT },
    { "last", "", 0, filter_last, NULL, IS_ABSENT },
    { "reverse", "", 0, filter_reverse, NULL, IS_ABSENT },
    { "items", "", 0, filter_items, NULL, IS_ABSENT },
    { "sort", "reverse case_sensitive attribute", 0, filter_sort, NULL, IS_ABSENT },
    { "dictsort", "case_sensitive by reverse", 0, filter_dictsort, NULL, IS_ABSENT },
    { "unique", "case_sensitive attribute", 0, filter_unique, NULL, IS_ABSENT },
    { "sum", "attribute start", 0, filter_sum, NULL, IS_ABSENT },
    { "min", "case_sensitive attribute", 0, filter_min, NULL, IS_ABSENT },
    { "max", "case_sensitive attribute", 0, filter_max, NULL, IS_ABSENT },
};
const struct builtins jinja_list_filters = { rows, COUNT(rows) };
