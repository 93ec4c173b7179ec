/* gated: every activation, values and slopes. */
#include "tests/harness/op_case.h"

#include <math.h>

static double activate(enum activation activation, double x)
{
    switch (activation) {
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
    gated(g, in[0], in[1], c->params.activation);
}

static void reference(struct op_values *v)
{
    for (int64_t i = 0; i < v->n->in[0]->rows * v->n->in[0]->cols; i++)
        v->out[0][i] = activate(v->c->params.activation, v->in[0][i]) * v->in[1][i];
}

/* number[0]: gates that much larger, into the flat ends of the activations */
static void fill_gate(const struct op_case *c, const struct node *n, int i, double *values)
{
    if (i == 0 && c->number[0] != 0)
        for (int64_t k = 0; k < n->in[0]->rows * n->in[0]->cols; k++)
            values[k] *= (double)c->number[0];
}

static const struct op_test test = {
    .op = &op_gated,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_gate,
};

static const struct op_case cases[] = {
    { "silu, one row", .in = { { 1, 8 }, { 1, 8 } }, .params.activation = SILU },
    { "silu, odd width", .in = { { 5, 13 }, { 5, 13 } }, .params.activation = SILU },
    { "silu, wider than a span", .in = { { 3, 1027 }, { 3, 1027 } }, .params.activation = SILU },
    { "silu, many rows", .in = { { 300, 67 }, { 300, 67 } }, .params.activation = SILU },
    { "silu, far out", .in = { { 5, 40 }, { 5, 40 } }, .params.activation = SILU, .number = { 30 } },
    { "silu, bf16", .in = { { 6, 33 }, { 6, 33 } }, .params.activation = SILU, .dtype = BF16 },
    { "gelu", .in = { { 5, 40 }, { 5, 40 } }, .params.activation = GELU },
    { "gelu, far out", .in = { { 5, 40 }, { 5, 40 } }, .params.activation = GELU, .number = { 10 } },
    { "gelu, bf16", .in = { { 6, 33 }, { 6, 33 } }, .params.activation = GELU, .dtype = BF16 },
    { "gelu_tanh", .in = { { 5, 40 }, { 5, 40 } }, .params.activation = GELU_TANH },
    { "gelu_tanh, far out", .in = { { 5, 40 }, { 5, 40 } }, .params.activation = GELU_TANH, .number = { 10 } },
    { "gelu_tanh, many rows of bf16", .in = { { 600, 33 }, { 600, 33 } }, .params.activation = GELU_TANH, .dtype = BF16 },
    { "relu", .in = { { 5, 40 }, { 5, 40 } }, .params.activation = RELU },
    { "relu, bf16", .in = { { 6, 33 }, { 6, 33 } }, .params.activation = RELU, .dtype = BF16 },
    { "tanh", .in = { { 5, 40 }, { 5, 40 } }, .params.activation = TANH },
    { "no rows", .in = { { 0, 40 }, { 0, 40 } }, .params.activation = SILU },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
