/* Strings: what Python's methods and jinja2's filters of the same name do. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_unicode.h"

#include <string.h>

static enum status text_value(const struct text *text, struct value *out)
{
    *out = value_string(text->length ? text->bytes : "", text->length);
    return OK;
}

/* Bytes of the character that begins at, or (backward) ends at, a place. */
static size_t character_at(const char *bytes, size_t length, bool backward)
{
    size_t size = 1;
    while (size < length && ((unsigned char)bytes[backward ? length - size : size] & 0xC0) == 0x80)
        size++;
    return size;
}

static enum status strip(struct run *run, const struct value *self, const struct value *argument, bool left, bool right, struct value *out)
{
    struct value set;
    const char *bytes = self->bytes;
    size_t length = self->length;
    TRY(argument_string(run, &argument[0], "chars", &set));
    TRY(jinja_spend(run, length / 16));
    if (set.type == IS_ABSENT) {
        const size_t front = left ? unicode_leading_space(bytes, length) : 0;
        length -= front;
        *out = value_string(bytes + front, length - (right ? unicode_trailing_space(bytes + front, length) : 0));
        return OK;
    }
    for (size_t size; left && length && set.length; bytes += size, length -= size) {
        size = character_at(bytes, length, false);
        TRY(jinja_spend(run, 1 + set.length / 16));
        if (!memmem(set.bytes, set.length, bytes, size))
            break;
    }
    for (size_t size; right && length && set.length; length -= size) {
        size = character_at(bytes, length, true);
        TRY(jinja_spend(run, 1 + set.length / 16));
        if (!memmem(set.bytes, set.length, bytes + length - size, size))
            break;
    }
    *out = value_string(bytes, length);
    return OK;
}

enum status string_strip(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return strip(run, self, argument, true, true, out);
}

enum status string_strip_left(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return strip(run, self, argument, true, false, out);
}

enum status string_strip_right(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return strip(run, self, argument, false, true, out);
}

enum place { FIRST, INSIDE }; /* of a character in the string or in its word */
typedef enum unicode_case choice(enum place place);

/* by_word: a word begins behind every character without case; else the string is one. */
static enum status change_case(struct run *run, const struct value *self, choice *choose, bool by_word, struct value *out)
{
    struct text text = text_new(run->arena);
    enum place place = FIRST;
    TRY(jinja_reserve(run, 3 * self->length));
    for (size_t i = 0; i < self->length;) {
        uint32_t code = 0;
        const int size = utf8_decode(self->bytes + i, self->length - i, &code);
        unicode_add_case(&text, code, choose(place));
        place = by_word && !unicode_is_cased(code) ? FIRST : INSIDE;
        i += (size_t)(size > 0 ? size : 1);
    }
    return text_value(&text, out);
}

static enum unicode_case always_upper(enum place place)
{
    (void)place;
    return CASE_UPPER;
}

static enum unicode_case always_lower(enum place place)
{
    (void)place;
    return CASE_LOWER;
}

static enum unicode_case title_then_lower(enum place place)
{
    return place == FIRST ? CASE_TITLE : CASE_LOWER;
}

enum status string_upper(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return change_case(run, self, always_upper, false, out);
}

enum status string_lower(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return change_case(run, self, always_lower, false, out);
}

enum status string_title(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return change_case(run, self, title_then_lower, true, out);
}

enum status string_capitalize(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return change_case(run, self, title_then_lower, false, out);
}

enum status string_replace(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value old, new;
    struct text text = text_new(run->arena);
    int64_t most;
    TRY(argument_int(run, &argument[2], "count", -1, &most));
    TRY(value_to_string(run, &argument[0], &old));
    TRY(value_to_string(run, &argument[1], &new));
    const char *from = self->bytes, *end = self->bytes + self->length;
    for (int64_t done = 0; done != most; done++) {
        const char *found = memmem(from, (size_t)(end - from), old.bytes, old.length);
        if (!found)
            break;
        TRY(jinja_add(run, &text, from, (size_t)(found - from)));
        TRY(jinja_add(run, &text, new.bytes, new.length));
        from = found + old.length;
        if (old.length == 0) { /* before every character, and at the end */
            if (from == end)
                break;
            const size_t size = character_at(from, (size_t)(end - from), false);
            TRY(jinja_add(run, &text, from, size));
            from += size;
        }
    }
    TRY(jinja_add(run, &text, from, (size_t)(end - from)));
    return text_value(&text, out);
}

/* Room for the pieces of a split. */
static enum status pieces(struct run *run, const struct value *self, struct value *out)
{
    return value_list_new(run, IS_LIST, self->length + 1, out);
}

static enum status push_piece(struct run *run, struct value *list, const char *bytes, size_t length)
{
    const struct value piece = value_string(bytes, length);
    return value_push(run, list, &piece);
}

static enum status split_at_space(struct run *run, const struct value *self, int64_t most, struct value *out)
{
    const char *c = self->bytes, *end = c + self->length;
    for (int64_t done = 0;; done++) {
        c += unicode_leading_space(c, (size_t)(end - c));
        if (c == end)
            return OK;
        const char *from = c;
        if (done == most)
            return push_piece(run, out, from, (size_t)(end - from));
        while (c < end && unicode_leading_space(c, (size_t)(end - c)) == 0)
            c += character_at(c, (size_t)(end - c), false);
        TRY(push_piece(run, out, from, (size_t)(c - from)));
    }
}

static enum status separator(struct run *run, const struct value *argument, struct value *out)
{
    TRY(argument_string(run, argument, "sep", out));
    return out->type == IS_STRING && out->length == 0 ? jinja_fail(run, "an empty separator", "give the text to split at") : OK;
}

enum status string_split(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value sep;
    int64_t most;
    TRY(separator(run, &argument[0], &sep));
    TRY(argument_int(run, &argument[1], "maxsplit", -1, &most));
    TRY(pieces(run, self, out));
    if (sep.type == IS_ABSENT)
        return split_at_space(run, self, most, out);
    const char *from = self->bytes, *end = from + self->length;
    for (int64_t done = 0; done != most; done++) {
        const char *found = memmem(from, (size_t)(end - from), sep.bytes, sep.length);
        if (!found)
            break;
        TRY(push_piece(run, out, from, (size_t)(found - from)));
        from = found + sep.length;
    }
    return push_piece(run, out, from, (size_t)(end - from));
}

/* From the end: the pieces are found backward and then turned. */
enum status string_split_right(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value sep;
    int64_t most;
    TRY(separator(run, &argument[0], &sep));
    TRY(argument_int(run, &argument[1], "maxsplit", -1, &most));
    if (most < 0)
        return string_split(run, self, argument, out);
    if (sep.type == IS_ABSENT)
        return jinja_fail(run, "rsplit() at white space with a limit is not supported", "give the separator");
    TRY(pieces(run, self, out));
    size_t end = self->length;
    for (size_t i = end; i >= sep.length && most > 0; i--) {
        if (memcmp(self->bytes + i - sep.length, sep.bytes, sep.length) != 0)
            continue;
        TRY(push_piece(run, out, self->bytes + i, end - i));
        end = i - sep.length;
        i = end + 1;
        most--;
    }
    TRY(push_piece(run, out, self->bytes, end));
    for (size_t a = 0, b = out->items->count - 1; a < b; a++, b--) {
        const struct value swap = out->items->item[a];
        out->items->item[a] = out->items->item[b];
        out->items->item[b] = swap;
    }
    return OK;
}

static bool ends_line(uint32_t code)
{
    return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 || code == 0x2029;
}

enum status string_split_lines(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    const bool keep = value_is_true(&argument[0]);
    size_t from = 0;
    TRY(pieces(run, self, out));
    for (size_t i = 0; i < self->length;) {
        uint32_t code = 0;
        const int size = utf8_decode(self->bytes + i, self->length - i, &code);
        const size_t line_end = i;
        i += (size_t)(size > 0 ? size : 1);
        if (!ends_line(code))
            continue;
        i += code == '\r' && i < self->length && self->bytes[i] == '\n';
        TRY(push_piece(run, out, self->bytes + from, (keep ? i : line_end) - from));
        from = i;
    }
    return from < self->length ? push_piece(run, out, self->bytes + from, self->length - from) : OK;
}

static bool stands_at(const struct value *self, const struct value *part, bool at_end)
{
    return part->length <= self->length && memcmp(self->bytes + (at_end ? self->length - part->length : 0), part->bytes, part->length) == 0;
}

/* The argument is a string or a tuple of them. */
static enum status stands_any(struct run *run, const struct value *self, const struct value *argument, bool at_end, struct value *out)
{
    const bool is_tuple = argument->type == IS_TUPLE;
    const struct value *part = is_tuple ? argument->items->item : argument;
    *out = value_bool(false);
    for (size_t i = 0; i < (is_tuple ? argument->items->count : 1); i++) {
        if (part[i].type != IS_STRING)
            return jinja_fail(run, "a string cannot begin or end with %s", "give a string or a tuple of strings", value_name(&part[i]));
        TRY(jinja_spend(run, 1 + part[i].length / 16));
        if (stands_at(self, &part[i], at_end))
            *out = value_bool(true);
    }
    return OK;
}

enum status string_starts(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return stands_any(run, self, argument, false, out);
}

enum status string_ends(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return stands_any(run, self, argument, true, out);
}

enum status string_find(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value part;
    TRY(argument_string(run, &argument[0], "sub", &part));
    TRY(jinja_spend(run, self->length / 16));
    const char *found = part.type == IS_STRING ? memmem(self->bytes, self->length, part.bytes, part.length) : NULL;
    *out = value_int(found ? (int64_t)unicode_length(self->bytes, (size_t)(found - self->bytes)) : -1);
    return OK;
}

enum status string_count(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct value part;
    int64_t count = 0;
    TRY(separator(run, &argument[0], &part));
    TRY(jinja_spend(run, self->length));
    const char *from = self->bytes, *end = from + self->length;
    while (part.type == IS_STRING && (from = memmem(from, (size_t)(end - from), part.bytes, part.length))) {
        count++;
        from += part.length;
    }
    *out = value_int(count);
    return OK;
}

enum status string_join(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    struct text text = text_new(run->arena);
    struct value list;
    TRY(value_iterate(run, &argument[0], &list));
    for (size_t i = 0; i < list.items->count; i++) {
        const struct value *item = &list.items->item[i];
        if (item->type != IS_STRING)
            return jinja_fail(run, "join() of %s", "the filter | join takes values of any kind", value_name(item));
        TRY(jinja_add(run, &text, self->bytes, i ? self->length : 0));
        TRY(jinja_add(run, &text, item->bytes, item->length));
    }
    return text_value(&text, out);
}

static enum status remove_part(struct run *run, const struct value *self, const struct value *argument, bool at_end, struct value *out)
{
    struct value part;
    TRY(argument_string(run, argument, "part", &part));
    *out = *self;
    if (part.type == IS_STRING && stands_at(self, &part, at_end))
        *out = value_string(self->bytes + (at_end ? 0 : part.length), self->length - part.length);
    return OK;
}

enum status string_remove_prefix(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return remove_part(run, self, argument, false, out);
}

enum status string_remove_suffix(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return remove_part(run, self, argument, true, out);
}

/* True of a string that is not empty and whose characters all are such. */
static enum status all_are(struct run *run, const struct value *self, bool (*is)(uint32_t code), struct value *out)
{
    bool all = self->length > 0;
    TRY(jinja_spend(run, self->length));
    for (size_t i = 0; i < self->length && all;) {
        uint32_t code = 0;
        const int size = utf8_decode(self->bytes + i, self->length - i, &code);
        all = is(code);
        i += (size_t)(size > 0 ? size : 1);
    }
    *out = value_bool(all);
    return OK;
}

enum status string_is_space(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return all_are(run, self, unicode_is_space, out);
}
