/* a.name, a[key], a[begin:end:step]. jinja2 looks for an attribute first where a dot stands (so `message.items` is the method), for an item first
 * where brackets stand; what is neither is undefined, and so is what anything undefined would have: but that is an error.
 */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_unicode.h"

#include <string.h>

static enum status of_undefined(struct run *run, const struct value *of, const char *name)
{
    return jinja_fail(run, "'%.100s' is undefined, so '%.100s' of it is nothing", "give the conversation what the template asks for, or test `is defined`",
                      of->bytes, name);
}

static enum status bind_method(struct run *run, const struct value *of, const struct builtin *row, struct value *out)
{
    TRY(jinja_reserve(run, sizeof *of));
    struct value *self = NEW(run->arena, struct value);
    *self = *of;
    *out = (struct value){ .type = IS_BUILTIN, .builtin = row, .self = self };
    return OK;
}

static void loop_attribute(const struct loop *loop, const char *name, struct value *out)
{
    const int64_t index = (int64_t)loop->index, count = (int64_t)loop->count;
    const struct {
        const char *name;
        struct value value;
    } row[] = { { "index", value_int(index + 1) },
                { "index0", value_int(index) },
                { "revindex", value_int(count - index) },
                { "revindex0", value_int(count - index - 1) },
                { "length", value_int(count) },
                { "first", value_bool(index == 0) },
                { "last", value_bool(index + 1 == count) },
                { "previtem", index > 0 ? loop->item[index - 1] : value_undefined("loop.previtem") },
                { "nextitem", index + 1 < count ? loop->item[index + 1] : value_undefined("loop.nextitem") } };
    for (size_t i = 0; i < COUNT(row); i++)
        if (strcmp(row[i].name, name) == 0)
            *out = row[i].value;
}

static enum status find_member(struct run *run, const struct value *of, const char *name, struct value *out)
{
    const struct value key = value_string(name, strlen(name)), *found = NULL;
    if (of->type == IS_MAP || of->type == IS_NAMESPACE)
        TRY(value_find(run, of->map, &key, &found));
    if (found)
        *out = *found;
    return OK;
}

enum status value_attribute(struct run *run, const struct value *of, const char *name, struct value *out)
{
    const struct builtin *method = jinja_method(of->type, name);
    *out = value_undefined(name);
    if (of->type == IS_UNDEFINED)
        return of_undefined(run, of, name);
    if (method)
        return bind_method(run, of, method, out);
    if (of->type == IS_LOOP)
        loop_attribute(of->loop, name, out);
    return find_member(run, of, name, out);
}

/* Item number `index`, counted from the end where it is negative; false: there is none. */
static bool place_of(int64_t index, size_t count, size_t *place)
{
    if (index < 0)
        index += (int64_t)count;
    *place = (size_t)index;
    return index >= 0 && (size_t)index < count;
}

static enum status string_item(struct run *run, const struct value *of, int64_t index, struct value *out)
{
    size_t place;
    TRY(jinja_spend(run, of->length / 16));
    if (!place_of(index, unicode_length(of->bytes, of->length), &place))
        return OK;
    const size_t begin = unicode_offset(of->bytes, of->length, place);
    *out = value_string(of->bytes + begin, unicode_offset(of->bytes + begin, of->length - begin, 1));
    return OK;
}

enum status value_item(struct run *run, const struct value *of, const struct value *key, struct value *out)
{
    const struct value *found = NULL;
    struct value text;
    size_t place;
    *out = value_undefined("the item");
    if (of->type == IS_UNDEFINED) {
        TRY(value_to_string(run, key, &text));
        return of_undefined(run, of, arena_text(run->arena, text.bytes, text.length < 100 ? text.length : 100));
    }
    if (of->type == IS_MAP)
        TRY(value_find(run, of->map, key, &found));
    if (found) {
        *out = *found;
        return OK;
    }
    if (key->type == IS_STRING) {
        TRY(jinja_reserve(run, key->length + 1));
        const char *name = arena_text(run->arena, key->bytes, key->length);
        *out = value_undefined(name);
        return of->type == IS_MAP && !jinja_method(IS_MAP, name) ? OK : value_attribute(run, of, name, out);
    }
    if (!value_is_whole(key))
        return OK;
    if (of->type == IS_STRING)
        return string_item(run, of, key->integer, out);
    if ((of->type == IS_LIST || of->type == IS_TUPLE || of->type == IS_VIEW) && place_of(key->integer, of->items->count, &place))
        *out = of->items->item[place];
    return OK;
}

/* Python's slice.indices(): where to begin, where to end, for `count` items. */
static enum status clip(struct run *run, const struct value *bound, int64_t count, int64_t step, bool is_end, int64_t *out)
{
    const int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? count - 1 : count;
    TRY(argument_int(run, bound, is_end ? "end" : "begin", 0, out));
    if (bound->type == IS_NONE) {
        *out = is_end == (step < 0) ? lowest : highest;
        return OK;
    }
    if (*out < 0)
        *out = *out < -count ? lowest : *out + count;
    *out = *out < lowest ? lowest : *out > highest ? highest : *out;
    return OK;
}

enum status value_slice(struct run *run, const struct value *of, const struct value *begin, const struct value *end, const struct value *step,
                        struct value *out)
{
    struct value list;
    int64_t first, last, stride;
    if (of->type == IS_UNDEFINED)
        return of_undefined(run, of, "a slice");
    if (of->type != IS_STRING && of->type != IS_LIST && of->type != IS_TUPLE && of->type != IS_VIEW)
        return jinja_fail(run, "%s cannot be sliced", "strings and lists can; | list makes a list of what can be gone through", value_name(of));
    TRY(argument_int(run, step, "step", 1, &stride));
    if (stride == 0)
        return jinja_fail(run, "a slice with step 0", "give a step that is not 0");
    TRY(value_iterate(run, of, &list));
    const int64_t count = (int64_t)list.items->count;
    TRY(clip(run, begin, count, stride, false, &first));
    TRY(clip(run, end, count, stride, true, &last));
    stride = stride > count ? count + 1 : stride < -count ? -count - 1 : stride;
    if (of->type == IS_STRING) {
        struct text text = text_new(run->arena);
        for (int64_t i = first; stride > 0 ? i < last : i > last; i += stride)
            TRY(jinja_add(run, &text, list.items->item[i].bytes, list.items->item[i].length));
        *out = value_string(text.length ? text.bytes : "", text.length);
        return OK;
    }
    TRY(value_list_new(run, of->type, list.items->count, out));
    for (int64_t i = first; stride > 0 ? i < last : i > last; i += stride)
        TRY(value_push(run, out, &list.items->item[i]));
    return OK;
}

enum status value_path(struct run *run, const struct value *of, const struct value *path, struct value *out)
{
    *out = *of;
    if (value_is_whole(path))
        return value_item(run, of, path, out);
    if (path->type != IS_STRING)
        return jinja_fail(run, "'attribute' is %s", "give a name, or names with dots between them", value_name(path));
    for (size_t i = 0; i <= path->length;) {
        const char *from = path->bytes + i, *dot = memchr(from, '.', path->length - i);
        const size_t length = dot ? (size_t)(dot - from) : path->length - i;
        struct value of_part = *out, key = value_string(from, length);
        TRY(jinja_reserve(run, length + 1));
        const char *name = arena_text(run->arena, from, length);
        int64_t index;
        if (length > 0 && strspn(name, "0123456789") == length && text_to_int(name, &index))
            key = value_int(index);
        TRY(value_item(run, &of_part, &key, out));
        i += length + 1;
    }
    return OK;
}
