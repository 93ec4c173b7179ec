/* Filters, tests, methods and functions: rows of name, parameters and function. */
#ifndef GRAFT_TOKENIZER_JINJA_BUILTINS_H
#define GRAFT_TOKENIZER_JINJA_BUILTINS_H

#include "tokenizer/jinja_run.h"

enum { MOST_PARAMETERS = 4 };

struct builtin {
    const char *name;
    const char *parameters; /* their names, separated by blanks; a method's and a filter's input is none of them */
    int required;           /* so many must be given */
    /* argument[i]: the parameter number i, ABSENT where it was not given. */
    enum status (*apply)(struct run *run, const struct value *self, const struct value *argument, struct value *out);
    /* In place of apply: takes its arguments as they stand. */
    enum status (*apply_call)(struct run *run, const struct value *self, const struct call *call, struct value *out);
    enum jinja_type of; /* methods: of what; filters: IS_STRING makes a string of the input first */
};

struct builtins {
    const struct builtin *row;
    size_t count;
};
extern const struct builtins jinja_text_filters, jinja_list_filters, jinja_pick_filters, jinja_tests, jinja_methods, jinja_functions;

/* NULL: graft does not know it. */
const struct builtin *jinja_filter(const char *name);
const struct builtin *jinja_test(const char *name);
const struct builtin *jinja_function(const char *name);
const struct builtin *jinja_method(enum jinja_type of, const char *name);
/* Whether any type has a method of that name. */
bool jinja_is_method(const char *name);
/* Functions of jinja2 that graft does not have. */
bool jinja_is_left_out(const char *name);

/* Strings, shared by filters and methods (jinja_strings.c); self is a STRING. */
enum status string_strip(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_strip_left(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_strip_right(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_upper(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_lower(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_title(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_capitalize(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_replace(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_split(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_split_right(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_split_lines(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_starts(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_ends(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_find(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_count(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_join(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_remove_prefix(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_remove_suffix(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;
enum status string_is_space(struct run *run, const struct value *self, const struct value *argument, struct value *out) MUST_USE;

/* An argument as a whole number; `fallback` where it is absent or none. Fails for anything else, naming the parameter. */
enum status argument_int(struct run *run, const struct value *argument, const char *name, int64_t fallback, int64_t *out) MUST_USE;
/* The same for a string, which may be NULL where absent. */
enum status argument_string(struct run *run, const struct value *argument, const char *name, struct value *out) MUST_USE;

#endif
