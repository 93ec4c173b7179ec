/* activation: every curve, values and slopes. */
#include "tests/harness/op_case.h"

#include <math.h>

static double activate(enum activation which, double x)
{
    switch (which) {
    case SILU:
        return x / (1 + exp(-x));
    case GELU:
        return 0.5 * x * erfc(-x / sqrt(2));
    case GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case RELU:
        return x > 0 ? x : 0;
    case TANH:
        return tanh(x);
    }
    return NAN;
}

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    activation(g, in[0], c->params.activation);
}

static void reference(struct op_values *v)
{
    for (int64_t i = 0; i < v->n->in[0]->rows * v->n->in[0]->cols; i++)
        v->out[0][i] = activate(v->c->params.activation, v->in[0][i]);
}

static const struct op_test test = {
    .op = &op_activation,
    .in = { { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
};

static const struct op_case cases[] = {
    { "tanh, one row", .in = { { 1, 8 } }, .params.activation = TANH },
    { "tanh, wider than a span", .in = { { 3, 1027 } }, .params.activation = TANH },
    { "tanh, many rows", .in = { { 300, 67 } }, .params.activation = TANH },
    { "tanh, bf16", .in = { { 6, 33 } }, .params.activation = TANH, .dtype = BF16 },
    { "relu", .in = { { 5, 40 } }, .params.activation = RELU },
    { "relu, bf16", .in = { { 6, 33 } }, .params.activation = RELU, .dtype = BF16 },
    { "silu", .in = { { 5, 13 } }, .params.activation = SILU },
    { "gelu", .in = { { 5, 13 } }, .params.activation = GELU },
    { "gelu_tanh", .in = { { 5, 13 } }, .params.activation = GELU_TANH },
    { "no rows", .in = { { 0, 40 } }, .params.activation = TANH },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
