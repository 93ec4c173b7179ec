/* A rendering under way: its scopes, its output, its limits, and what filters, methods and the evaluator ask of each other. */
#ifndef GRAFT_TOKENIZER_JINJA_RUN_H
#define GRAFT_TOKENIZER_JINJA_RUN_H

#include "common/text.h"
#include "tokenizer/jinja_tree.h"

struct binding {
    const char *name;
    struct value value;
    struct binding *next;
};

/* Names are looked for from the inside out. */
struct scope {
    struct binding *binding;
    struct scope *outside;
};

struct macro {
    const struct jinja_node *node;
    struct scope *scope; /* where it was defined */
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct run {
    const struct jinja *jinja;
    struct arena *arena; /* of this rendering alone: what it uses is the memory that counts */
    struct scope *scope;
    struct text *out, main;
    struct value piped;
    struct jinja_span *span;
    size_t spans, span_capacity;
    enum flow flow;
    int64_t now;
    size_t at; /* where the template is, for errors */
    int64_t steps;
    int depth;
    struct error *err;
};

struct keyword {
    const char *name;
    struct value value;
};

struct call {
    struct value *position;
    size_t positions;
    struct keyword *keyword;
    size_t keywords;
    const struct macro *caller; /* of a call block, or NULL */
};

/* A failure at the place that is being evaluated. */
enum status jinja_fail(struct run *run, const char *what, const char *cure, ...) __attribute__((format(printf, 2, 4)));
/* Counts work; fails beyond the limit. */
enum status jinja_spend(struct run *run, size_t work) MUST_USE;
/* Asks for memory before it is allocated; fails beyond the limit. Counts as work too. */
enum status jinja_reserve(struct run *run, size_t bytes) MUST_USE;
/* Adds to a text that the rendering makes, under the limit of the output. */
enum status jinja_add(struct run *run, struct text *text, const char *bytes, size_t length) MUST_USE;

enum status jinja_evaluate(struct run *run, const struct jinja_node *node, struct value *out) MUST_USE;
enum status jinja_execute(struct run *run, const struct jinja_node *body) MUST_USE;
enum status jinja_call_macro(struct run *run, const struct macro *macro, const struct call *call, struct value *out) MUST_USE;
enum status jinja_call_builtin(struct run *run, const struct builtin *row, const struct value *self, const struct call *call, struct value *out) MUST_USE;
/* The arguments of a call, evaluated. */
enum status jinja_call_arguments(struct run *run, const struct jinja_node *list, struct call *call) MUST_USE;
/* Anything callable. */
enum status jinja_call(struct run *run, const struct value *callee, const struct call *call, struct value *out) MUST_USE;
/* The body's output as a value. */
enum status jinja_capture(struct run *run, const struct jinja_node *body, struct value *out) MUST_USE;

/* scopes */
struct scope *jinja_scope(struct run *run, struct scope *outside);
enum status jinja_set(struct run *run, const char *name, const struct value *value) MUST_USE;
enum status jinja_name(struct run *run, const char *name, struct value *out) MUST_USE;

/* values (jinja_value.c) */
enum status value_list(struct run *run, enum jinja_type type, const struct value *item, size_t count, struct value *out) MUST_USE;
/* A list that is filled afterwards: room for `count`, count 0. value_push() keeps its depth. */
enum status value_list_new(struct run *run, enum jinja_type type, size_t room, struct value *out) MUST_USE;
enum status value_push(struct run *run, struct value *list, const struct value *item) MUST_USE;
enum status value_map_new(struct run *run, enum jinja_type type, size_t room, struct value *out) MUST_USE;
enum status value_put(struct run *run, struct value *map, const struct value *key, const struct value *value) MUST_USE;
/* NULL: not there. */
enum status value_find(struct run *run, const struct map *map, const struct value *key, const struct value **out) MUST_USE;
enum status value_from_json(struct run *run, const json_t *json, struct value *out) MUST_USE;
/* What a loop would go through, as a LIST: characters of a string, keys of a mapping; empties an iterator. */
enum status value_iterate(struct run *run, const struct value *value, struct value *list) MUST_USE;
enum status value_equal(struct run *run, const struct value *a, const struct value *b, bool *equal) MUST_USE;
/* -1, 0, 1; fails where Python has no order. */
enum status value_order(struct run *run, const struct value *a, const struct value *b, int *order) MUST_USE;
enum status value_contains(struct run *run, const struct value *in, const struct value *what, bool *contains) MUST_USE;
enum status value_length(struct run *run, const struct value *value, int64_t *length) MUST_USE;

/* looking into values (jinja_subscript.c): a.name and a[key], undefined where there is nothing */
enum status value_attribute(struct run *run, const struct value *of, const char *name, struct value *out) MUST_USE;
enum status value_item(struct run *run, const struct value *of, const struct value *key, struct value *out) MUST_USE;
enum status value_slice(struct run *run, const struct value *of, const struct value *begin, const struct value *end, const struct value *step,
                        struct value *out) MUST_USE;
/* "a.b.0" of filters' attribute=; an integer is an index. */
enum status value_path(struct run *run, const struct value *of, const struct value *path, struct value *out) MUST_USE;

/* as text (jinja_text.c) */
/* What {{ }} prints: Python's str(). */
enum status value_print(struct run *run, struct text *text, const struct value *value) MUST_USE;
enum status value_to_string(struct run *run, const struct value *value, struct value *out) MUST_USE;
/* json.dumps(): indent -1 is one line. */
struct json_style {
    int64_t indent;
    const char *between_items, *behind_key;
    bool ascii, sorted;
};
enum status value_to_json(struct run *run, struct text *text, const struct value *value, const struct json_style *style) MUST_USE;

enum status jinja_binary(struct run *run, enum jinja_operator operation, const struct value *left, const struct value *right, struct value *out) MUST_USE;
enum status jinja_compare(struct run *run, enum jinja_operator operation, const struct value *left, const struct value *right, bool *out) MUST_USE;

#endif
