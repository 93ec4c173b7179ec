/* The stack machine: one row per opcode. */
#include "models/pickle.h"

#include "common/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    DEEPEST_STACK = 8192, /* pickle.py writes items of dicts by the thousand */
    LONGEST_TEXT = 4096,
    LONGEST_NAME = 256,
    MOST_VALUES = 4 << 20,
};

const char *pickle_kind_name(enum pickle_kind kind)
{
    static const char *const names[] = {
        [PICKLE_NONE] = "nothing",     [PICKLE_BOOL] = "a truth value", [PICKLE_INTEGER] = "a whole number",
        [PICKLE_REAL] = "a number",    [PICKLE_TEXT] = "a text",        [PICKLE_TUPLE] = "a tuple",
        [PICKLE_LIST] = "a list",      [PICKLE_DICT] = "a dict",        [PICKLE_GLOBAL] = "a name",
        [PICKLE_OBJECT] = "an object", [PICKLE_MARK] = "a mark",
    };
    return names[kind];
}

enum status pickle_refuse(const struct pickle *p, const char *format, ...)
{
    char what[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return fail_with(p->err, BAD_FILE, "%s: byte %zu of the pickle: %s",
                     "graft runs no code of files: if you trust its origin, write the plain dict of tensors with safetensors.torch.save_file()", p->path, p->at,
                     text_make_printable(what));
}

enum status pickle_new(struct pickle *p, enum pickle_kind kind, int64_t room, struct pickle_value **value)
{
    if (p->values + room >= MOST_VALUES)
        return pickle_refuse(p, "more than %d values", MOST_VALUES);
    p->values += room + 1;
    *value = NEW(p->arena, struct pickle_value);
    **value = (struct pickle_value){ .kind = kind, .room = room, .item = room ? NEW_ARRAY(p->arena, room, struct pickle_value *) : NULL };
    return OK;
}

/* So many bytes of the program, in place. */
static enum status take(struct pickle *p, size_t count, const uint8_t **bytes)
{
    if (count > p->size - p->at)
        return pickle_refuse(p, "an opcode needs %zu more bytes, and %zu are left", count, p->size - p->at);
    *bytes = p->bytes + p->at;
    p->at += count;
    return OK;
}

static enum status take_number(struct pickle *p, size_t width, uint64_t *number)
{
    const uint8_t *bytes = NULL;
    *number = 0;
    TRY(take(p, width, &bytes));
    for (size_t i = width; i-- > 0;)
        *number = *number << 8 | bytes[i];
    return OK;
}

static enum status push(struct pickle *p, struct pickle_value *value)
{
    if (p->depth == DEEPEST_STACK)
        return pickle_refuse(p, "more than %d values on the stack", DEEPEST_STACK);
    p->stack[p->depth++] = value;
    return OK;
}

static enum status push_new(struct pickle *p, enum pickle_kind kind, int64_t integer)
{
    struct pickle_value *value = NULL;
    TRY(pickle_new(p, kind, 0, &value));
    value->integer = integer;
    return push(p, value);
}

/* The value so far below the top, which must be none of the marks. */
static enum status peek(const struct pickle *p, int64_t below, struct pickle_value **value)
{
    if (p->depth <= below || p->stack[p->depth - 1 - below] == &p->mark)
        return pickle_refuse(p, "an opcode finds no value on the stack");
    *value = p->stack[p->depth - 1 - below];
    return OK;
}

/* Where the values behind the last mark begin. */
static enum status find_mark(const struct pickle *p, int64_t *first)
{
    for (*first = p->depth; *first > 0; --*first)
        if (p->stack[*first - 1] == &p->mark)
            return OK;
    return pickle_refuse(p, "an opcode finds no mark on the stack");
}

static enum status append(struct pickle *p, struct pickle_value *to, struct pickle_value *value)
{
    if (to->count == to->room) {
        const int64_t room = to->room ? 2 * to->room : 8;
        if (p->values + room >= MOST_VALUES)
            return pickle_refuse(p, "more than %d values", MOST_VALUES);
        p->values += room;
        to->item = arena_grow(p->arena, to->item, (size_t)to->count, (size_t)room, sizeof *to->item);
        to->room = room;
    }
    to->item[to->count++] = value;
    return OK;
}

static enum status run_mark(struct pickle *p, int64_t unused)
{
    (void)unused;
    return push(p, &p->mark);
}

static enum status run_constant(struct pickle *p, int64_t kind)
{
    return push_new(p, (enum pickle_kind)kind, 0);
}

static enum status run_bool(struct pickle *p, int64_t truth)
{
    return push_new(p, PICKLE_BOOL, truth);
}

/* Numbers of 1 and 2 bytes have no sign. */
static enum status run_integer(struct pickle *p, int64_t width)
{
    uint64_t number;
    TRY(take_number(p, (size_t)width, &number));
    return push_new(p, PICKLE_INTEGER, width == 4 ? (int32_t)(uint32_t)number : (int64_t)number);
}

static enum status run_long1(struct pickle *p, int64_t unused)
{
    (void)unused;
    uint64_t width, number;
    TRY(take_number(p, 1, &width));
    if (width > 8)
        return pickle_refuse(p, "a whole number of %" PRIu64 " bytes", width);
    TRY(take_number(p, (size_t)width, &number));
    if (width > 0 && width < 8 && number >> (8 * width - 1))
        number |= ~(uint64_t)0 << 8 * width;
    return push_new(p, PICKLE_INTEGER, (int64_t)number);
}

static enum status run_real(struct pickle *p, int64_t unused)
{
    (void)unused;
    const uint8_t *bytes = NULL;
    TRY(take(p, 8, &bytes));
    return push_new(p, PICKLE_REAL, 0);
}

static enum status run_text(struct pickle *p, int64_t unused)
{
    (void)unused;
    uint64_t length;
    const uint8_t *bytes = NULL;
    struct pickle_value *value = NULL;
    TRY(take_number(p, 4, &length));
    if (length > LONGEST_TEXT)
        return pickle_refuse(p, "a text of %" PRIu64 " bytes, where %d are allowed", length, LONGEST_TEXT);
    TRY(take(p, (size_t)length, &bytes));
    if (memchr(bytes, 0, (size_t)length) || !utf8_valid((const char *)bytes, (size_t)length, NULL))
        return pickle_refuse(p, "a text that holds NUL or is no UTF-8");
    TRY(pickle_new(p, PICKLE_TEXT, 0, &value));
    value->text = arena_text(p->arena, (const char *)bytes, (size_t)length);
    return push(p, value);
}

static enum status make_tuple(struct pickle *p, int64_t first)
{
    struct pickle_value *value = NULL, *unused = NULL;
    for (int64_t i = first; i < p->depth; i++)
        TRY(peek(p, p->depth - 1 - i, &unused));
    TRY(pickle_new(p, PICKLE_TUPLE, p->depth - first, &value));
    for (int64_t i = first; i < p->depth; i++)
        value->item[value->count++] = p->stack[i];
    p->depth = first;
    return push(p, value);
}

static enum status run_tuple(struct pickle *p, int64_t unused)
{
    (void)unused;
    int64_t first;
    TRY(find_mark(p, &first));
    TRY(make_tuple(p, first));
    p->stack[first - 1] = p->stack[first];
    p->depth = first;
    return OK;
}

static enum status run_tuple_of(struct pickle *p, int64_t count)
{
    if (p->depth < count)
        return pickle_refuse(p, "an opcode finds no value on the stack");
    return make_tuple(p, p->depth - count);
}

/* The values from `first` on go into the container below `bottom`, which is cut off with them. */
static enum status fill(struct pickle *p, enum pickle_kind kind, int64_t first, int64_t bottom)
{
    struct pickle_value *to = NULL, *key = NULL;
    const int64_t count = p->depth - first;
    TRY(peek(p, p->depth - bottom, &to));
    if (to->kind != kind)
        return pickle_refuse(p, "items for %s, but %s is there", pickle_kind_name(kind), pickle_kind_name(to->kind));
    if (kind == PICKLE_DICT && count % 2)
        return pickle_refuse(p, "a key without a value");
    for (int64_t i = 0; i < count; i++) {
        TRY(peek(p, count - 1 - i, &key));
        if (kind == PICKLE_DICT && i % 2 == 0 && key->kind != PICKLE_TEXT)
            return pickle_refuse(p, "%s as a key of a dict, where only texts are expected", pickle_kind_name(key->kind));
        TRY(append(p, to, key));
    }
    p->depth = bottom;
    return OK;
}

static enum status run_append(struct pickle *p, int64_t unused)
{
    (void)unused;
    return p->depth < 1 ? pickle_refuse(p, "an opcode finds no value on the stack") : fill(p, PICKLE_LIST, p->depth - 1, p->depth - 1);
}

static enum status run_setitem(struct pickle *p, int64_t unused)
{
    (void)unused;
    return p->depth < 2 ? pickle_refuse(p, "an opcode finds no value on the stack") : fill(p, PICKLE_DICT, p->depth - 2, p->depth - 2);
}

static enum status run_items(struct pickle *p, int64_t kind)
{
    int64_t first;
    TRY(find_mark(p, &first));
    return fill(p, (enum pickle_kind)kind, first, first - 1);
}

/* Picklers number what they remember 0, 1, 2, ...: anything else is no pickler's work. */
static enum status run_put(struct pickle *p, int64_t width)
{
    uint64_t index;
    struct pickle_value *value = NULL;
    TRY(take_number(p, (size_t)width, &index));
    TRY(peek(p, 0, &value));
    if (index != (uint64_t)p->memos)
        return pickle_refuse(p, "remembers a value as number %" PRIu64 ", where %" PRId64 " would be next", index, p->memos);
    if (p->memos == p->memo_room) {
        p->memo_room = p->memo_room ? 2 * p->memo_room : 256;
        p->memo = arena_grow(p->arena, p->memo, (size_t)p->memos, (size_t)p->memo_room, sizeof *p->memo);
    }
    p->memo[p->memos++] = value;
    return OK;
}

static enum status run_get(struct pickle *p, int64_t width)
{
    uint64_t index;
    TRY(take_number(p, (size_t)width, &index));
    if (index >= (uint64_t)p->memos)
        return pickle_refuse(p, "recalls value number %" PRIu64 " of %" PRId64, index, p->memos);
    return push(p, p->memo[index]);
}

/* A line of the program, without its end. */
static enum status take_line(struct pickle *p, char line[LONGEST_NAME])
{
    const uint8_t *begin = p->bytes + p->at, *end = memchr(begin, '\n', p->size - p->at);
    if (!end || end - begin >= LONGEST_NAME)
        return pickle_refuse(p, "a name that does not end within %d bytes", LONGEST_NAME);
    memcpy(line, begin, (size_t)(end - begin));
    line[end - begin] = 0;
    p->at += (size_t)(end - begin) + 1;
    return OK;
}

static enum status run_global(struct pickle *p, int64_t unused)
{
    (void)unused;
    char module[LONGEST_NAME], name[LONGEST_NAME];
    struct pickle_value *value = NULL;
    TRY(take_line(p, module));
    TRY(take_line(p, name));
    for (size_t i = 0; i < p->globals; i++)
        if (strcmp(p->global[i].module, module) == 0 && strcmp(p->global[i].name, name) == 0) {
            TRY(pickle_new(p, PICKLE_GLOBAL, 0, &value));
            value->global = &p->global[i];
            return push(p, value);
        }
    return pickle_refuse(p, "asks for '%s.%s', which no dict of tensors needs", module, name);
}

static enum status run_reduce(struct pickle *p, int64_t unused)
{
    (void)unused;
    struct pickle_value *arguments = NULL, *callee = NULL, *result = NULL;
    TRY(peek(p, 0, &arguments));
    TRY(peek(p, 1, &callee));
    if (callee->kind != PICKLE_GLOBAL || !callee->global->call)
        return pickle_refuse(p, "REDUCE calls %s", callee->kind == PICKLE_GLOBAL ? callee->global->name : pickle_kind_name(callee->kind));
    if (arguments->kind != PICKLE_TUPLE)
        return pickle_refuse(p, "REDUCE calls %s with %s, not a tuple", callee->global->name, pickle_kind_name(arguments->kind));
    TRY(callee->global->call(p, arguments, &result));
    p->depth -= 2;
    return push(p, result);
}

/* The attributes of an ordered dict (torch's _metadata) say nothing about tensors. */
static enum status run_build(struct pickle *p, int64_t unused)
{
    (void)unused;
    struct pickle_value *state = NULL, *object = NULL;
    TRY(peek(p, 0, &state));
    TRY(peek(p, 1, &object));
    if (object->kind != PICKLE_DICT || state->kind != PICKLE_DICT)
        return pickle_refuse(p, "BUILD gives %s to %s", pickle_kind_name(state->kind), pickle_kind_name(object->kind));
    p->depth--;
    return OK;
}

static enum status run_persistent(struct pickle *p, int64_t unused)
{
    (void)unused;
    struct pickle_value *id = NULL, *result = NULL;
    TRY(peek(p, 0, &id));
    TRY(p->persistent(p, id, &result));
    p->depth--;
    return push(p, result);
}

static enum status run_stop(struct pickle *p, int64_t unused)
{
    (void)unused;
    return p->depth == 1 ? OK : pickle_refuse(p, "ends with %" PRId64 " values on the stack", p->depth);
}

static const struct opcode {
    enum status (*run)(struct pickle *p, int64_t operand);
    int64_t operand;
} opcodes[256] = {
    ['('] = { run_mark, 0 },
    ['.'] = { run_stop, 0 },
    ['N'] = { run_constant, PICKLE_NONE },
    ['}'] = { run_constant, PICKLE_DICT },
    [']'] = { run_constant, PICKLE_LIST },
    [')'] = { run_constant, PICKLE_TUPLE },
    [0x88] = { run_bool, 1 },
    [0x89] = { run_bool, 0 },
    ['K'] = { run_integer, 1 },
    ['M'] = { run_integer, 2 },
    ['J'] = { run_integer, 4 },
    [0x8a] = { run_long1, 0 },
    ['G'] = { run_real, 0 },
    ['X'] = { run_text, 0 },
    ['t'] = { run_tuple, 0 },
    [0x85] = { run_tuple_of, 1 },
    [0x86] = { run_tuple_of, 2 },
    [0x87] = { run_tuple_of, 3 },
    ['a'] = { run_append, 0 },
    ['e'] = { run_items, PICKLE_LIST },
    ['s'] = { run_setitem, 0 },
    ['u'] = { run_items, PICKLE_DICT },
    ['q'] = { run_put, 1 },
    ['r'] = { run_put, 4 },
    ['h'] = { run_get, 1 },
    ['j'] = { run_get, 4 },
    ['c'] = { run_global, 0 },
    ['R'] = { run_reduce, 0 },
    ['b'] = { run_build, 0 },
    ['Q'] = { run_persistent, 0 },
};

/* Opcodes of every protocol that are refused by name. */
static const char *const refused[256] = { [0x80] = "PROTO",
                                          ['I'] = "INT",
                                          ['L'] = "LONG",
                                          [0x8b] = "LONG4",
                                          ['F'] = "FLOAT",
                                          ['S'] = "STRING",
                                          ['T'] = "BINSTRING",
                                          ['U'] = "SHORT_BINSTRING",
                                          ['V'] = "UNICODE",
                                          [0x8c] = "SHORT_BINUNICODE",
                                          [0x8d] = "BINUNICODE8",
                                          ['B'] = "BINBYTES",
                                          ['C'] = "SHORT_BINBYTES",
                                          [0x8e] = "BINBYTES8",
                                          [0x96] = "BYTEARRAY8",
                                          [0x97] = "NEXT_BUFFER",
                                          [0x98] = "READONLY_BUFFER",
                                          ['l'] = "LIST",
                                          ['d'] = "DICT",
                                          [0x8f] = "EMPTY_SET",
                                          [0x90] = "ADDITEMS",
                                          [0x91] = "FROZENSET",
                                          ['0'] = "POP",
                                          ['1'] = "POP_MARK",
                                          ['2'] = "DUP",
                                          ['g'] = "GET",
                                          ['p'] = "PUT",
                                          [0x94] = "MEMOIZE",
                                          [0x82] = "EXT1",
                                          [0x83] = "EXT2",
                                          [0x84] = "EXT4",
                                          [0x93] = "STACK_GLOBAL",
                                          ['i'] = "INST",
                                          ['o'] = "OBJ",
                                          [0x81] = "NEWOBJ",
                                          [0x92] = "NEWOBJ_EX",
                                          [0x95] = "FRAME",
                                          ['P'] = "PERSID" };

enum status pickle_read(struct pickle *p, struct pickle_value **root)
{
    const uint8_t *head = NULL;
    p->stack = NEW_ARRAY(p->arena, DEEPEST_STACK, struct pickle_value *);
    p->depth = p->memos = p->memo_room = 0;
    p->mark = (struct pickle_value){ .kind = PICKLE_MARK };
    TRY(take(p, 2, &head));
    if (head[0] != 0x80)
        return pickle_refuse(p, "begins with byte 0x%02x: no pickle, or one of a protocol before 2", head[0]);
    if (head[1] != 2)
        return pickle_refuse(p, "protocol %d, where torch writes 2", head[1]);
    for (;;) {
        const uint8_t *code = NULL;
        TRY(take(p, 1, &code));
        const struct opcode *opcode = &opcodes[*code];
        if (!opcode->run)
            return refused[*code] ? pickle_refuse(p, "opcode %s, which no dict of tensors needs", refused[*code])
                                  : pickle_refuse(p, "0x%02x is no opcode", *code);
        TRY(opcode->run(p, opcode->operand));
        if (*code == '.')
            break;
    }
    return peek(p, 0, root);
}
