/* A pickle, read and never run.
 *
 * A pickle is a program for a stack machine, and Python's machine calls whatever the program names. This one knows the opcodes that a dict of tensors needs,
 * calls nothing but its caller's rows, and refuses every other opcode and name by what it is called. Each opcode takes a bounded time and a bounded piece of
 * memory, nothing recurses, and the stack, texts and values are counted. Protocol 2 only: torch.save writes no other unless told to.
 * Source of the opcodes: CPython 3.12, Lib/pickletools.py.
 */
#ifndef GRAFT_MODELS_PICKLE_H
#define GRAFT_MODELS_PICKLE_H

#include "common/arena.h"
#include "common/status.h"

#include <stdint.h>

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INTEGER,
    PICKLE_REAL, /* its value is of no use to anybody here and not kept */
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_GLOBAL,
    PICKLE_OBJECT, /* what a row of the caller made */
    PICKLE_MARK,   /* on the stack only */
};

struct pickle_value {
    enum pickle_kind kind;
    int64_t integer;            /* INTEGER, BOOL */
    const char *text;           /* TEXT: UTF-8 without NUL */
    struct pickle_value **item; /* TUPLE and LIST; of a DICT the keys, which are texts, and values by turns */
    int64_t count, room;        /* of item */
    const struct pickle_global *global;
    void *object;
};

struct pickle;

struct pickle_global {
    const char *module, *name;
    /* What calling it with this tuple gives. NULL: it is a name to be handed on, and cannot be called. */
    enum status (*call)(struct pickle *pickle, const struct pickle_value *arguments, struct pickle_value **result);
    const char *meaning; /* the caller's own */
};

struct pickle {
    const char *path;     /* for messages */
    const uint8_t *bytes; /* of the whole file */
    size_t size, at;      /* where the program may end, and where it begins; afterwards at is behind STOP */
    const struct pickle_global *global;
    size_t globals;
    /* What a persistent id stands for. */
    enum status (*persistent)(struct pickle *pickle, const struct pickle_value *id, struct pickle_value **result);
    void *self; /* the caller's own */
    struct arena *arena;
    struct error *err;
    /* of the machine: */
    struct pickle_value **stack, **memo, mark;
    int64_t depth, memos, memo_room, values;
};

/* Reads one pickle. Errors: BAD_FILE with the byte and what was refused. */
enum status pickle_read(struct pickle *pickle, struct pickle_value **root) MUST_USE;
/* A new value of that kind, with room for so many items. */
enum status pickle_new(struct pickle *pickle, enum pickle_kind kind, int64_t room, struct pickle_value **value) MUST_USE;
/* BAD_FILE: "path: byte N of the pickle: " and the text. */
enum status pickle_refuse(const struct pickle *pickle, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "a text", "a tuple", ...: for messages. */
const char *pickle_kind_name(enum pickle_kind kind);

#endif
