/* Making values, going through them, comparing them: Python's rules. */
#include "tokenizer/jinja_unicode.h"
#include "tokenizer/jinja_run.h"

#include <string.h>

const char *value_name(const struct value *value)
{
    static const char *const names[] = { [IS_ABSENT] = "nothing",        [IS_UNDEFINED] = "undefined",  [IS_NONE] = "none",
                                         [IS_BOOL] = "a boolean",        [IS_INT] = "an integer",       [IS_REAL] = "a float",
                                         [IS_STRING] = "a string",       [IS_LIST] = "a list",          [IS_TUPLE] = "a tuple",
                                         [IS_VIEW] = "a view",           [IS_ITERATOR] = "an iterator", [IS_MAP] = "a mapping",
                                         [IS_NAMESPACE] = "a namespace", [IS_LOOP] = "a loop",          [IS_MACRO] = "a macro",
                                         [IS_BUILTIN] = "a function" };
    return names[value->type];
}

bool value_is_whole(const struct value *value)
{
    return value->type == IS_BOOL || value->type == IS_INT;
}

bool value_is_number(const struct value *value)
{
    return value_is_whole(value) || value->type == IS_REAL;
}

double value_real(const struct value *number)
{
    return number->type == IS_REAL ? number->real : (double)number->integer;
}

bool value_is_true(const struct value *value)
{
    switch (value->type) {
    case IS_ABSENT:
    case IS_UNDEFINED:
    case IS_NONE:
        return false;
    case IS_BOOL:
    case IS_INT:
        return value->integer != 0;
    case IS_REAL:
        return value->real != 0;
    case IS_STRING:
        return value->length > 0;
    case IS_LIST:
    case IS_TUPLE:
    case IS_VIEW:
        return value->items->count > 0;
    case IS_MAP:
        return value->map->count > 0;
    default:
        return true;
    }
}

static int depth_of(const struct value *value)
{
    switch (value->type) {
    case IS_LIST:
    case IS_TUPLE:
    case IS_VIEW:
    case IS_ITERATOR:
        return value->items->depth;
    case IS_MAP:
        return value->map->depth;
    default:
        return 0;
    }
}

/* A container of such a child is one deeper. */
static enum status deepen(struct run *run, int *depth, const struct value *child)
{
    const int with_child = depth_of(child) + 1;
    if (with_child > JINJA_DEEPEST_VALUE)
        return jinja_fail(run, "lists and mappings inside each other, deeper than %d", "nest less deeply", JINJA_DEEPEST_VALUE);
    if (with_child > *depth)
        *depth = with_child;
    return OK;
}

enum status value_list_new(struct run *run, enum jinja_type type, size_t room, struct value *out)
{
    TRY(jinja_reserve(run, sizeof(struct items) + room * sizeof(struct value)));
    struct items *items = NEW(run->arena, struct items);
    *items = (struct items){ .item = NEW_ARRAY(run->arena, room, struct value), .depth = 1 };
    *out = (struct value){ .type = type, .items = items };
    return OK;
}

enum status value_push(struct run *run, struct value *list, const struct value *item)
{
    TRY(jinja_spend(run, 1));
    TRY(deepen(run, &list->items->depth, item));
    list->items->item[list->items->count++] = *item;
    return OK;
}

enum status value_list(struct run *run, enum jinja_type type, const struct value *item, size_t count, struct value *out)
{
    TRY(value_list_new(run, type, count, out));
    for (size_t i = 0; i < count; i++)
        TRY(value_push(run, out, &item[i]));
    return OK;
}

enum status value_map_new(struct run *run, enum jinja_type type, size_t room, struct value *out)
{
    TRY(jinja_reserve(run, sizeof(struct map) + room * sizeof(struct pair)));
    struct map *map = NEW(run->arena, struct map);
    *map = (struct map){ .pair = NEW_ARRAY(run->arena, room, struct pair), .capacity = room, .depth = 1 };
    *out = (struct value){ .type = type, .map = map };
    return OK;
}

/* *place is map->count where the key is not. */
static enum status find_place(struct run *run, const struct map *map, const struct value *key, size_t *place)
{
    bool equal = false;
    for (*place = 0; *place < map->count; ++*place) {
        TRY(value_equal(run, &map->pair[*place].key, key, &equal));
        if (equal)
            break;
    }
    return OK;
}

enum status value_find(struct run *run, const struct map *map, const struct value *key, const struct value **out)
{
    size_t place;
    TRY(find_place(run, map, key, &place));
    *out = place < map->count ? &map->pair[place].value : NULL;
    return OK;
}

enum status value_put(struct run *run, struct value *of, const struct value *key, const struct value *value)
{
    struct map *map = of->map;
    size_t place;
    if (key->type != IS_STRING && key->type != IS_NONE && !value_is_number(key))
        return jinja_fail(run, "%s as the key of a mapping", "keys are strings, numbers, booleans or none", value_name(key));
    if (of->type == IS_MAP) /* a namespace is never gone through with what is in it */
        TRY(deepen(run, &map->depth, value));
    TRY(find_place(run, map, key, &place));
    if (place < map->count) {
        map->pair[place].value = *value;
        return OK;
    }
    if (map->count == map->capacity) {
        map->capacity = map->capacity ? 2 * map->capacity : 4;
        TRY(jinja_reserve(run, map->capacity * sizeof *map->pair));
        map->pair = arena_grow(run->arena, map->pair, map->count, map->capacity, sizeof *map->pair);
    }
    map->pair[map->count++] = (struct pair){ *key, *value };
    return OK;
}

static enum status list_from_json(struct run *run, const json_t *json, struct value *out)
{
    TRY(value_list_new(run, IS_LIST, json_array_size(json), out));
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct value item;
        TRY(value_from_json(run, json_array_get(json, i), &item));
        TRY(value_push(run, out, &item));
    }
    return OK;
}

/* jansson's keys differ from each other, so none is looked for. */
static enum status map_from_json(struct run *run, const json_t *json, struct value *out)
{
    const char *key;
    json_t *member;
    TRY(value_map_new(run, IS_MAP, json_object_size(json), out));
    json_object_foreach((json_t *)(uintptr_t)json, key, member)
    {
        struct pair *pair = &out->map->pair[out->map->count];
        pair->key = value_string(key, strlen(key));
        TRY(value_from_json(run, member, &pair->value));
        TRY(deepen(run, &out->map->depth, &pair->value));
        out->map->count++;
    }
    return OK;
}

enum status value_from_json(struct run *run, const json_t *json, struct value *out)
{
    enum status status = jinja_spend(run, 1);
    *out = (struct value){ .type = IS_NONE };
    if (json && ++run->depth > JINJA_DEEPEST_VALUE)
        status = jinja_fail(run, "the conversation has lists and mappings inside each other, deeper than %d", "nest less deeply", JINJA_DEEPEST_VALUE);
    if (status != OK || !json)
        return status;
    if (json_is_object(json))
        status = map_from_json(run, json, out);
    else if (json_is_array(json))
        status = list_from_json(run, json, out);
    else if (json_is_string(json))
        *out = value_string(json_string_value(json), json_string_length(json));
    else if (json_is_integer(json))
        *out = value_int(json_integer_value(json));
    else if (json_is_real(json))
        *out = value_from_real(json_real_value(json));
    else if (json_is_boolean(json))
        *out = value_bool(json_is_true(json));
    run->depth--;
    return status;
}

static enum status iterate_string(struct run *run, const struct value *string, struct value *list)
{
    const char *bytes = string->bytes;
    TRY(value_list_new(run, IS_LIST, unicode_length(bytes, string->length), list));
    for (size_t i = 0; i < string->length;) {
        uint32_t code;
        const int size = utf8_decode(bytes + i, string->length - i, &code);
        const struct value character = value_string(bytes + i, (size_t)(size > 0 ? size : 1));
        TRY(value_push(run, list, &character));
        i += character.length;
    }
    return OK;
}

enum status value_iterate(struct run *run, const struct value *value, struct value *list)
{
    switch (value->type) {
    case IS_LIST:
    case IS_TUPLE:
    case IS_VIEW:
        *list = (struct value){ .type = IS_LIST, .items = value->items };
        return OK;
    case IS_ITERATOR: {
        struct items *items = value->items;
        TRY(value_list(run, IS_LIST, items->item + items->from, items->count - items->from, list));
        items->from = items->count;
        return OK;
    }
    case IS_UNDEFINED:
        return value_list_new(run, IS_LIST, 0, list);
    case IS_STRING:
        return iterate_string(run, value, list);
    case IS_MAP:
        TRY(value_list_new(run, IS_LIST, value->map->count, list));
        for (size_t i = 0; i < value->map->count; i++)
            TRY(value_push(run, list, &value->map->pair[i].key));
        return OK;
    default:
        return jinja_fail(run, "%s cannot be gone through", "lists, mappings and strings can", value_name(value));
    }
}

static enum status equal_items(struct run *run, const struct items *a, const struct items *b, bool *equal)
{
    *equal = a->count == b->count;
    for (size_t i = 0; i < a->count && *equal; i++)
        TRY(value_equal(run, &a->item[i], &b->item[i], equal));
    return OK;
}

static enum status equal_maps(struct run *run, const struct map *a, const struct map *b, bool *equal)
{
    *equal = a->count == b->count;
    for (size_t i = 0; i < a->count && *equal; i++) {
        const struct value *found;
        TRY(value_find(run, b, &a->pair[i].key, &found));
        *equal = found != NULL;
        if (found)
            TRY(value_equal(run, &a->pair[i].value, found, equal));
    }
    return OK;
}

enum status value_equal(struct run *run, const struct value *a, const struct value *b, bool *equal)
{
    *equal = false;
    TRY(jinja_spend(run, 1));
    if (value_is_number(a) && value_is_number(b)) {
        *equal = value_is_whole(a) && value_is_whole(b) ? a->integer == b->integer : value_real(a) == value_real(b);
        return OK;
    }
    if (a->type != b->type)
        return OK;
    switch (a->type) {
    case IS_STRING:
        *equal = a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
        return *equal ? jinja_spend(run, a->length / 16) : OK;
    case IS_LIST:
    case IS_TUPLE:
        return equal_items(run, a->items, b->items, equal);
    case IS_MAP:
        return equal_maps(run, a->map, b->map, equal);
    case IS_VIEW:
    case IS_ITERATOR:
        *equal = a->items == b->items;
        return OK;
    case IS_NAMESPACE:
        *equal = a->map == b->map;
        return OK;
    case IS_BUILTIN:
        *equal = a->builtin == b->builtin && a->self == b->self;
        return OK;
    case IS_LOOP:
        *equal = a->loop == b->loop;
        return OK;
    case IS_MACRO:
        *equal = a->macro == b->macro;
        return OK;
    default:
        *equal = true;
        return OK;
    }
}

static enum status order_items(struct run *run, const struct items *a, const struct items *b, int *order)
{
    const size_t both = a->count < b->count ? a->count : b->count;
    for (size_t i = 0; i < both; i++) {
        bool equal;
        TRY(value_equal(run, &a->item[i], &b->item[i], &equal));
        if (!equal)
            return value_order(run, &a->item[i], &b->item[i], order);
    }
    *order = (a->count > b->count) - (a->count < b->count);
    return OK;
}

enum status value_order(struct run *run, const struct value *a, const struct value *b, int *order)
{
    if (value_is_whole(a) && value_is_whole(b)) {
        *order = (a->integer > b->integer) - (a->integer < b->integer);
        return OK;
    }
    if (value_is_number(a) && value_is_number(b)) {
        *order = (value_real(a) > value_real(b)) - (value_real(a) < value_real(b));
        return OK;
    }
    if (a->type == IS_STRING && b->type == IS_STRING) {
        const size_t both = a->length < b->length ? a->length : b->length;
        TRY(jinja_spend(run, both / 16));
        const int different = memcmp(a->bytes, b->bytes, both);
        *order = different ? (different > 0) - (different < 0) : (a->length > b->length) - (a->length < b->length);
        return OK;
    }
    if (a->type == b->type && (a->type == IS_LIST || a->type == IS_TUPLE))
        return order_items(run, a->items, b->items, order);
    return jinja_fail(run, "%s and %s have no order", "compare values of one kind", value_name(a), value_name(b));
}

enum status value_contains(struct run *run, const struct value *in, const struct value *what, bool *contains)
{
    const struct value *found = NULL;
    *contains = false;
    if (in->type == IS_STRING) {
        if (what->type != IS_STRING)
            return jinja_fail(run, "%s cannot be looked for in a string", "look for a string", value_name(what));
        TRY(jinja_spend(run, in->length / 16));
        *contains = memmem(in->bytes, in->length, what->bytes, what->length) != NULL;
        return OK;
    }
    if (in->type == IS_MAP) {
        TRY(value_find(run, in->map, what, &found));
        *contains = found != NULL;
        return OK;
    }
    struct value list;
    if (in->type == IS_ITERATOR) { /* goes on behind what it found */
        for (struct items *items = in->items; items->from < items->count && !*contains;)
            TRY(value_equal(run, &items->item[items->from++], what, contains));
        return OK;
    }
    TRY(value_iterate(run, in, &list));
    for (size_t i = 0; i < list.items->count && !*contains; i++)
        TRY(value_equal(run, &list.items->item[i], what, contains));
    return OK;
}

enum status value_length(struct run *run, const struct value *value, int64_t *length)
{
    switch (value->type) {
    case IS_UNDEFINED:
        *length = 0;
        return OK;
    case IS_STRING:
        *length = (int64_t)unicode_length(value->bytes, value->length);
        return jinja_spend(run, value->length / 16);
    case IS_LIST:
    case IS_TUPLE:
    case IS_VIEW:
        *length = (int64_t)value->items->count;
        return OK;
    case IS_MAP:
        *length = (int64_t)value->map->count;
        return OK;
    case IS_LOOP:
        *length = (int64_t)value->loop->count;
        return OK;
    default:
        return jinja_fail(run, "%s has no length", "strings, lists and mappings have one", value_name(value));
    }
}
