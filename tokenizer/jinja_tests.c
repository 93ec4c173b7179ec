/* What may stand behind `is`. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_unicode.h"

#define ANSWER(name, claim)                                                                                                                                    \
    static enum status name(struct run *run, const struct value *self, const struct value *argument, struct value *out)                                        \
    {                                                                                                                                                          \
        (void)run, (void)argument, (void)self;                                                                                                                 \
        *out = value_bool(claim);                                                                                                                              \
        return OK;                                                                                                                                             \
    }

static bool has_type(const struct value *self, enum jinja_type from, enum jinja_type to)
{
    return self->type >= from && self->type <= to;
}

ANSWER(is_defined, self->type != IS_UNDEFINED)
ANSWER(is_undefined, self->type == IS_UNDEFINED)
ANSWER(is_none, self->type == IS_NONE)
ANSWER(is_boolean, self->type == IS_BOOL)
ANSWER(is_true, self->type == IS_BOOL && self->integer)
ANSWER(is_false, self->type == IS_BOOL && !self->integer)
ANSWER(is_integer, self->type == IS_INT)
ANSWER(is_float, self->type == IS_REAL)
ANSWER(is_number, value_is_number(self))
ANSWER(is_string, self->type == IS_STRING)
ANSWER(is_mapping, self->type == IS_MAP)
ANSWER(is_sequence, has_type(self, IS_STRING, IS_VIEW) || self->type == IS_MAP || self->type == IS_UNDEFINED)
ANSWER(is_iterable, has_type(self, IS_STRING, IS_MAP) || self->type == IS_UNDEFINED || self->type == IS_LOOP)
ANSWER(is_callable, self->type == IS_MACRO || self->type == IS_BUILTIN || self->type == IS_UNDEFINED)

/* Some character has case, and none is of the other one. */
static enum status has_case(struct run *run, const struct value *self, bool upper, struct value *out)
{
    struct value changed;
    bool same, cased = false;
    TRY(upper ? string_upper(run, self, NULL, &changed) : string_lower(run, self, NULL, &changed));
    TRY(value_equal(run, self, &changed, &same));
    for (size_t i = 0; i < self->length && !cased;) {
        uint32_t code = 0;
        const int size = utf8_decode(self->bytes + i, self->length - i, &code);
        cased = unicode_is_cased(code);
        i += (size_t)(size > 0 ? size : 1);
    }
    *out = value_bool(same && cased);
    return OK;
}

static enum status is_upper(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return has_case(run, self, true, out);
}

static enum status is_lower(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    (void)argument;
    return has_case(run, self, false, out);
}

static enum status divides(struct run *run, const struct value *self, const struct value *by, int64_t rest, struct value *out)
{
    struct value remainder;
    const struct value wanted = value_int(rest);
    bool equal;
    TRY(jinja_binary(run, OPERATOR_REMAINDER, self, by, &remainder));
    TRY(value_equal(run, &remainder, &wanted, &equal));
    *out = value_bool(equal);
    return OK;
}

static enum status is_odd(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    const struct value two = value_int(2);
    (void)argument;
    return divides(run, self, &two, 1, out);
}

static enum status is_even(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    const struct value two = value_int(2);
    (void)argument;
    return divides(run, self, &two, 0, out);
}

static enum status is_divisible(struct run *run, const struct value *self, const struct value *argument, struct value *out)
{
    return divides(run, self, argument, 0, out);
}

static enum status compare(struct run *run, enum jinja_operator operation, const struct value *self, const struct value *argument, struct value *out)
{
    bool holds;
    TRY(jinja_compare(run, operation, self, argument, &holds));
    *out = value_bool(holds);
    return OK;
}

#define COMPARISON(name, operation)                                                                                                                            \
    static enum status name(struct run *run, const struct value *self, const struct value *argument, struct value *out)                                        \
    {                                                                                                                                                          \
        return compare(run, operation, self, argument, out);                                                                                                   \
    }

COMPARISON(is_equal, OPERATOR_EQUAL)
COMPARISON(is_unequal, OPERATOR_UNEQUAL)
COMPARISON(is_less, OPERATOR_LESS)
COMPARISON(is_less_equal, OPERATOR_LESS_EQUAL)
COMPARISON(is_greater, OPERATOR_GREATER)
COMPARISON(is_greater_equal, OPERATOR_GREATER_EQUAL)
COMPARISON(is_in, OPERATOR_IN)

static const struct builtin rows[] = {
    { "defined", "", 0, is_defined, NULL, IS_ABSENT },
    { "undefined", "", 0, is_undefined, NULL, IS_ABSENT },
    { "none", "", 0, is_none, NULL, IS_ABSENT },
    { "boolean", "", 0, is_boolean, NULL, IS_ABSENT },
    { "true", "", 0, is_true, NULL, IS_ABSENT },
    { "false", "", 0, is_false, NULL, IS_ABSENT },
    { "integer", "", 0, is_integer, NULL, IS_ABSENT },
    { "float", "", 0, is_float, NULL, IS_ABSENT },
    { "number", "", 0, is_number, NULL, IS_ABSENT },
    { "string", "", 0, is_string, NULL, IS_ABSENT },
    { "mapping", "", 0, is_mapping, NULL, IS_ABSENT },
    { "sequence", "", 0, is_sequence, NULL, IS_ABSENT },
    { "iterable", "", 0, is_iterable, NULL, IS_ABSENT },
    { "callable", "", 0, is_callable, NULL, IS_ABSENT },
    { "upper", "", 0, is_upper, NULL, IS_STRING },
    { "lower", "", 0, is_lower, NULL, IS_STRING },
    { "odd", "", 0, is_odd, NULL, IS_ABSENT },
    { "even", "", 0, is_even, NULL, IS_ABSENT },
    { "divisibleby", "num", 1, is_divisible, NULL, IS_ABSENT },
    { "equalto", "other", 1, is_equal, NULL, IS_ABSENT },
    { "eq", "other", 1, is_equal, NULL, IS_ABSENT },
    { "==", "other", 1, is_equal, NULL, IS_ABSENT },
    { "ne", "other", 1, is_unequal, NULL, IS_ABSENT },
    { "!=", "other", 1, is_unequal, NULL, IS_ABSENT },
    { "lt", "other", 1, is_less, NULL, IS_ABSENT },
    { "lessthan", "other", 1, is_less, NULL, IS_ABSENT },
    { "<", "other", 1, is_less, NULL, IS_ABSENT },
    { "le", "other", 1, is_less_equal, NULL, IS_ABSENT },
    { "<=", "other", 1, is_less_equal, NULL, IS_ABSENT },
    { "gt", "other", 1, is_greater, NULL, IS_ABSENT },
    { "greaterthan", "other", 1, is_greater, NULL, IS_ABSENT },
    { ">", "other", 1, is_greater, NULL, IS_ABSENT },
    { "ge", "other", 1, is_greater_equal, NULL, IS_ABSENT },
    { ">=", "other", 1, is_greater_equal, NULL, IS_ABSENT },
    { "in", "seq", 1, is_in, NULL, IS_ABSENT },
};
const struct builtins jinja_tests = { rows, COUNT(rows) };
