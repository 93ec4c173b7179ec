/* + - * / // % ** ~ and the comparisons, as Python computes them; whole numbers stay within 64 bits or are refused. */
#include "tokenizer/jinja_run.h"

#include <math.h>
#include <string.h>

static enum status too_large(struct run *run)
{
    return jinja_fail(run, "a whole number that 64 bits cannot hold", "graft computes with 64 bits");
}

static enum status divided_by_zero(struct run *run)
{
    return jinja_fail(run, "division by zero", "test the divisor first");
}

static enum status whole_power(struct run *run, int64_t base, int64_t exponent, int64_t *out)
{
    *out = 1;
    for (; exponent > 0; exponent--) {
        TRY(jinja_spend(run, 1));
        if (__builtin_mul_overflow(*out, base, out))
            return too_large(run);
    }
    return OK;
}

static enum status whole_numbers(struct run *run, enum jinja_operator operation, int64_t a, int64_t b, struct value *out)
{
    int64_t result = 0;
    bool overflows = false;
    if (b == 0 && (operation == OPERATOR_FLOOR_DIVIDE || operation == OPERATOR_REMAINDER))
        return divided_by_zero(run);
    if (operation == OPERATOR_ADD)
        overflows = __builtin_add_overflow(a, b, &result);
    else if (operation == OPERATOR_SUBTRACT)
        overflows = __builtin_sub_overflow(a, b, &result);
    else if (operation == OPERATOR_MULTIPLY)
        overflows = __builtin_mul_overflow(a, b, &result);
    else if (operation == OPERATOR_POWER)
        TRY(whole_power(run, a, b, &result));
    else if (b == -1) /* the smallest number has no opposite */
        overflows = operation == OPERATOR_FLOOR_DIVIDE && __builtin_sub_overflow(0, a, &result);
    else if (operation == OPERATOR_FLOOR_DIVIDE)
        result = a / b - (a % b != 0 && (a < 0) != (b < 0));
    else
        result = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
    *out = value_int(result);
    return overflows ? too_large(run) : OK;
}

static enum status real_numbers(struct run *run, enum jinja_operator operation, double a, double b, struct value *out)
{
    double result = 0;
    if (b == 0 && (operation == OPERATOR_DIVIDE || operation == OPERATOR_FLOOR_DIVIDE || operation == OPERATOR_REMAINDER))
        return divided_by_zero(run);
    if (operation == OPERATOR_ADD) {
        result = a + b;
    } else if (operation == OPERATOR_SUBTRACT) {
        result = a - b;
    } else if (operation == OPERATOR_MULTIPLY) {
        result = a * b;
    } else if (operation == OPERATOR_DIVIDE) {
        result = a / b;
    } else if (operation == OPERATOR_POWER) {
        if ((a < 0 && b != floor(b)) || (a == 0 && b < 0))
            return jinja_fail(run, "%g ** %g is no real number", "test the numbers first", a, b);
        result = pow(a, b);
    } else {
        double rest = fmod(a, b);
        if (rest != 0 && (rest < 0) != (b < 0))
            rest += b;
        result = operation == OPERATOR_REMAINDER ? rest : floor((a - rest) / b + 0.5);
    }
    *out = value_from_real(result);
    return OK;
}

static enum status join_strings(struct run *run, const struct value *left, const struct value *right, struct value *out)
{
    TRY(jinja_reserve(run, left->length + right->length + 1));
    char *bytes = NEW_ARRAY(run->arena, left->length + right->length + 1, char);
    memcpy(bytes, left->bytes, left->length);
    memcpy(bytes + left->length, right->bytes, right->length);
    *out = value_string(bytes, left->length + right->length);
    return OK;
}

static enum status join_lists(struct run *run, const struct value *left, const struct value *right, struct value *out)
{
    TRY(value_list_new(run, left->type, left->items->count + right->items->count, out));
    for (size_t i = 0; i < left->items->count; i++)
        TRY(value_push(run, out, &left->items->item[i]));
    for (size_t i = 0; i < right->items->count; i++)
        TRY(value_push(run, out, &right->items->item[i]));
    return OK;
}

static bool is_sequence(const struct value *value)
{
    return value->type == IS_STRING || value->type == IS_LIST || value->type == IS_TUPLE;
}

static enum status repeat(struct run *run, const struct value *what, int64_t times, struct value *out)
{
    const size_t one = what->type == IS_STRING ? what->length : what->items->count * sizeof(struct value);
    const size_t count = times > 0 ? (size_t)times : 0;
    size_t bytes;
    if (__builtin_mul_overflow(one, count, &bytes) || bytes > JINJA_MOST_MEMORY)
        bytes = JINJA_MOST_MEMORY + 1;
    TRY(jinja_reserve(run, bytes));
    if (what->type == IS_STRING) {
        char *text = NEW_ARRAY(run->arena, bytes + 1, char);
        for (size_t i = 0; one && i < count; i++)
            memcpy(text + i * one, what->bytes, one);
        *out = value_string(text, bytes);
        return OK;
    }
    TRY(value_list_new(run, what->type, what->items->count * (one ? count : 0), out));
    for (size_t i = 0; one && i < count; i++)
        for (size_t j = 0; j < what->items->count; j++)
            TRY(value_push(run, out, &what->items->item[j]));
    return OK;
}

static const char *operator_name(enum jinja_operator operation)
{
    static const char *const names[] = { [OPERATOR_ADD] = "+",           [OPERATOR_SUBTRACT] = "-",  [OPERATOR_MULTIPLY] = "*", [OPERATOR_DIVIDE] = "/",
                                         [OPERATOR_FLOOR_DIVIDE] = "//", [OPERATOR_REMAINDER] = "%", [OPERATOR_POWER] = "**",   [OPERATOR_JOIN] = "~" };
    return names[operation];
}

enum status jinja_binary(struct run *run, enum jinja_operator operation, const struct value *left, const struct value *right, struct value *out)
{
    if (operation == OPERATOR_JOIN) {
        struct value a, b;
        TRY(value_to_string(run, left, &a));
        TRY(value_to_string(run, right, &b));
        return join_strings(run, &a, &b, out);
    }
    if (value_is_number(left) && value_is_number(right)) {
        const bool whole =
            value_is_whole(left) && value_is_whole(right) && operation != OPERATOR_DIVIDE && !(operation == OPERATOR_POWER && right->integer < 0);
        return whole ? whole_numbers(run, operation, left->integer, right->integer, out)
                     : real_numbers(run, operation, value_real(left), value_real(right), out);
    }
    if (operation == OPERATOR_ADD && left->type == right->type && is_sequence(left))
        return left->type == IS_STRING ? join_strings(run, left, right, out) : join_lists(run, left, right, out);
    if (operation == OPERATOR_MULTIPLY && is_sequence(left) && value_is_whole(right))
        return repeat(run, left, right->integer, out);
    if (operation == OPERATOR_MULTIPLY && is_sequence(right) && value_is_whole(left))
        return repeat(run, right, left->integer, out);
    if (left->type == IS_UNDEFINED || right->type == IS_UNDEFINED)
        return jinja_fail(run, "'%.100s' is undefined, so %s cannot be applied", "give the conversation what the template asks for, or test `is defined`",
                          left->type == IS_UNDEFINED ? left->bytes : right->bytes, operator_name(operation));
    if (operation == OPERATOR_REMAINDER && left->type == IS_STRING)
        return jinja_fail(run, "formatting with %% is not supported", "join the parts with ~");
    return jinja_fail(run, "%s %s %s", "~ joins values of any kind as text; | string and | int change what a value is", value_name(left),
                      operator_name(operation), value_name(right));
}

enum status jinja_compare(struct run *run, enum jinja_operator operation, const struct value *left, const struct value *right, bool *out)
{
    int order = 0;
    if (operation == OPERATOR_EQUAL || operation == OPERATOR_UNEQUAL) {
        TRY(value_equal(run, left, right, out));
        *out = *out == (operation == OPERATOR_EQUAL);
        return OK;
    }
    if (operation == OPERATOR_IN || operation == OPERATOR_NOT_IN) {
        TRY(value_contains(run, right, left, out));
        *out = *out == (operation == OPERATOR_IN);
        return OK;
    }
    TRY(value_order(run, left, right, &order));
    *out = operation == OPERATOR_LESS ? order < 0 : operation == OPERATOR_LESS_EQUAL ? order <= 0 : operation == OPERATOR_GREATER ? order > 0 : order >= 0;
    return OK;
}
