/* Expressions: from a node to its value. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_run.h"

#include <string.h>

static size_t count_nodes(const struct jinja_node *node)
{
    size_t count = 0;
    for (; node; node = node->next)
        count++;
    return count;
}

static enum status evaluate_list(struct run *run, const struct jinja_node *node, struct value *out)
{
    TRY(value_list_new(run, node->kind == NODE_LIST ? IS_LIST : IS_TUPLE, count_nodes(node->list), out));
    for (const struct jinja_node *item = node->list; item; item = item->next) {
        struct value value;
        TRY(jinja_evaluate(run, item->one, &value));
        TRY(value_push(run, out, &value));
    }
    return OK;
}

static enum status evaluate_map(struct run *run, const struct jinja_node *node, struct value *out)
{
    TRY(value_map_new(run, IS_MAP, count_nodes(node->list), out));
    for (const struct jinja_node *pair = node->list; pair; pair = pair->next) {
        struct value key, value;
        TRY(jinja_evaluate(run, pair->one, &key));
        TRY(jinja_evaluate(run, pair->two, &value));
        TRY(value_put(run, out, &key, &value));
    }
    return OK;
}

static enum status evaluate_constant(struct run *run, const struct jinja_node *node, struct value *out)
{
    (void)run;
    *out = node->value;
    return OK;
}

static enum status evaluate_name(struct run *run, const struct jinja_node *node, struct value *out)
{
    return jinja_name(run, node->name, out);
}

static enum status evaluate_piped(struct run *run, const struct jinja_node *node, struct value *out)
{
    (void)node;
    *out = run->piped;
    return OK;
}

static enum status evaluate_attribute(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value of;
    TRY(jinja_evaluate(run, node->one, &of));
    run->at = node->at;
    return value_attribute(run, &of, node->name, out);
}

static enum status evaluate_part(struct run *run, const struct jinja_node *node, struct value *out)
{
    *out = (struct value){ .type = IS_NONE };
    return node ? jinja_evaluate(run, node, out) : OK;
}

static enum status evaluate_item(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value of, key, end, step;
    TRY(jinja_evaluate(run, node->one, &of));
    if (node->two->kind != NODE_SLICE) {
        TRY(jinja_evaluate(run, node->two, &key));
        run->at = node->at;
        return value_item(run, &of, &key, out);
    }
    TRY(evaluate_part(run, node->two->one, &key));
    TRY(evaluate_part(run, node->two->two, &end));
    TRY(evaluate_part(run, node->two->three, &step));
    run->at = node->at;
    return value_slice(run, &of, &key, &end, &step, out);
}

enum status jinja_call_arguments(struct run *run, const struct jinja_node *list, struct call *call)
{
    const size_t count = count_nodes(list);
    *call = (struct call){ 0 };
    if (count == 0)
        return OK;
    TRY(jinja_reserve(run, count * sizeof *call->keyword));
    call->position = NEW_ARRAY(run->arena, count, struct value);
    call->keyword = NEW_ARRAY(run->arena, count, struct keyword);
    for (const struct jinja_node *argument = list; argument; argument = argument->next) {
        struct value value;
        TRY(jinja_evaluate(run, argument->one, &value));
        if (argument->name)
            call->keyword[call->keywords++] = (struct keyword){ argument->name, value };
        else
            call->position[call->positions++] = value;
    }
    return OK;
}

static enum status evaluate_call(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value callee;
    struct call call;
    TRY(jinja_evaluate(run, node->one, &callee));
    TRY(jinja_call_arguments(run, node->list, &call));
    run->at = node->at;
    return jinja_call(run, &callee, &call, out);
}

static enum status evaluate_builtin(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value input;
    struct call call;
    TRY(jinja_evaluate(run, node->one, &input));
    TRY(jinja_call_arguments(run, node->list, &call));
    run->at = node->at;
    return jinja_call_builtin(run, node->builtin, &input, &call, out);
}

static enum status evaluate_not(struct run *run, const struct jinja_node *node, struct value *out)
{
    TRY(jinja_evaluate(run, node->one, out));
    *out = value_bool(!value_is_true(out));
    return OK;
}

static enum status evaluate_sign(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value number;
    const struct value zero = value_int(0);
    TRY(jinja_evaluate(run, node->one, &number));
    run->at = node->at;
    if (number.type == IS_REAL && node->kind == NODE_NEGATIVE) { /* 0 - 0.0 would not be -0.0 */
        *out = value_from_real(-number.real);
        return OK;
    }
    return jinja_binary(run, node->kind == NODE_NEGATIVE ? OPERATOR_SUBTRACT : OPERATOR_ADD, &zero, &number, out);
}

/* The left value if it decides, else the right one. */
static enum status evaluate_logic(struct run *run, const struct jinja_node *node, struct value *out)
{
    TRY(jinja_evaluate(run, node->one, out));
    return value_is_true(out) == (node->kind == NODE_OR) ? OK : jinja_evaluate(run, node->two, out);
}

static enum status evaluate_binary(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value left, right;
    TRY(jinja_evaluate(run, node->one, &left));
    TRY(jinja_evaluate(run, node->two, &right));
    run->at = node->at;
    return jinja_binary(run, node->operation, &left, &right, out);
}

/* a < b < c is a < b and b < c. */
static enum status evaluate_compare(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value left, right;
    bool holds = true;
    TRY(jinja_evaluate(run, node->one, &left));
    for (const struct jinja_node *operand = node->list; operand && holds; operand = operand->next) {
        TRY(jinja_evaluate(run, operand->one, &right));
        run->at = node->at;
        TRY(jinja_compare(run, operand->operation, &left, &right, &holds));
        left = right;
    }
    *out = value_bool(holds);
    return OK;
}

static enum status evaluate_conditional(struct run *run, const struct jinja_node *node, struct value *out)
{
    struct value condition;
    TRY(jinja_evaluate(run, node->one, &condition));
    if (value_is_true(&condition))
        return jinja_evaluate(run, node->two, out);
    *out = value_undefined("the value of an `if` without `else`");
    return node->three ? jinja_evaluate(run, node->three, out) : OK;
}

static enum status (*const expressions[])(struct run *run, const struct jinja_node *node, struct value *out) = {
    [NODE_CONSTANT] = evaluate_constant,
    [NODE_NAME] = evaluate_name,
    [NODE_LIST] = evaluate_list,
    [NODE_TUPLE] = evaluate_list,
    [NODE_MAP] = evaluate_map,
    [NODE_ATTRIBUTE] = evaluate_attribute,
    [NODE_ITEM] = evaluate_item,
    [NODE_CALL] = evaluate_call,
    [NODE_FILTER] = evaluate_builtin,
    [NODE_TEST] = evaluate_builtin,
    [NODE_PIPED] = evaluate_piped,
    [NODE_NOT] = evaluate_not,
    [NODE_NEGATIVE] = evaluate_sign,
    [NODE_POSITIVE] = evaluate_sign,
    [NODE_AND] = evaluate_logic,
    [NODE_OR] = evaluate_logic,
    [NODE_BINARY] = evaluate_binary,
    [NODE_COMPARE] = evaluate_compare,
    [NODE_CONDITIONAL] = evaluate_conditional,
};

enum status jinja_evaluate(struct run *run, const struct jinja_node *node, struct value *out)
{
    run->at = node->at;
    if (++run->depth > JINJA_DEEPEST_RUN)
        return jinja_fail(run, "blocks, macros and expressions inside each other, deeper than %d", "look for a macro that calls itself without end",
                          JINJA_DEEPEST_RUN);
    TRY(jinja_spend(run, 1));
    TRY(expressions[node->kind](run, node, out));
    run->depth--;
    return OK;
}
