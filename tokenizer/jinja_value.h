/* What templates compute with. Values never change once made (transformers' sandbox forbids it); only namespaces and loops do. So no value
 * contains itself, and `depth` of lists and mappings, counted as they are made, bounds every walk through them.
 */
#ifndef GRAFT_TOKENIZER_JINJA_VALUE_H
#define GRAFT_TOKENIZER_JINJA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jinja_type {
    IS_ABSENT, /* an argument that was not given; nothing else */
    IS_UNDEFINED,
    IS_NONE,
    IS_BOOL,
    IS_INT,
    IS_REAL,
    IS_STRING,
    IS_LIST,
    IS_TUPLE,
    IS_VIEW,     /* what keys(), values(), items() and range() give: a list that does not print as one */
    IS_ITERATOR, /* what map, select and their like give: can be gone through once, is always true, has no length */
    IS_MAP,
    IS_NAMESPACE,
    IS_LOOP,
    IS_MACRO,
    IS_BUILTIN, /* a function, or a method with what it is a method of */
};

struct value {
    enum jinja_type type;
    union {
        int64_t integer; /* BOOL: 0 or 1 */
        double real;
        struct {
            const char *bytes; /* STRING: UTF-8 of `length` bytes; UNDEFINED: what is undefined, NUL-terminated */
            size_t length;
        };
        struct items *items; /* LIST, TUPLE, VIEW, ITERATOR */
        struct map *map;     /* MAP, NAMESPACE */
        struct loop *loop;
        const struct macro *macro;
        struct {
            const struct builtin *builtin;
            const struct value *self; /* NULL: a function */
        };
    };
};

struct items {
    struct value *item;
    size_t count, from; /* from: where going on begins, of an ITERATOR */
    int depth;
};

struct pair {
    struct value key, value;
};

struct map {
    struct pair *pair;
    size_t count, capacity;
    int depth;
};

struct loop {
    const struct value *item;
    size_t index, count;
    struct value changed; /* what loop.changed() was given last, a TUPLE */
};

/* "string", "list", ... as errors say it. */
const char *value_name(const struct value *value);
bool value_is_true(const struct value *value);
/* BOOL, INT or REAL. */
bool value_is_number(const struct value *value);
bool value_is_whole(const struct value *value); /* BOOL or INT */
double value_real(const struct value *number);

static inline struct value value_bool(bool truth)
{
    return (struct value){ .type = IS_BOOL, .integer = truth };
}

static inline struct value value_int(int64_t integer)
{
    return (struct value){ .type = IS_INT, .integer = integer };
}

static inline struct value value_from_real(double real)
{
    return (struct value){ .type = IS_REAL, .real = real };
}

static inline struct value value_string(const char *bytes, size_t length)
{
    return (struct value){ .type = IS_STRING, .bytes = bytes, .length = length };
}

static inline struct value value_undefined(const char *name)
{
    return (struct value){ .type = IS_UNDEFINED, .bytes = name };
}

#endif
