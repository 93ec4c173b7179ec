/* scale_columns: y = onto + bias + x * (magnitude / norm + shift). */
#include "tests/harness/op_case.h"

#include <math.h>

enum { X, MAGNITUDE, NORM, BIAS, ONTO };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    scale_columns(g, in[X], in[MAGNITUDE], in[NORM], in[BIAS], in[ONTO], c->params.shift);
}

static void reference(struct op_values *v)
{
    const int64_t cols = v->n->in[X]->cols;
    for (int64_t i = 0; i < v->n->in[X]->rows * cols; i++) {
        const double norm = v->in[NORM][i % cols], factor = norm > 0 ? v->in[MAGNITUDE][i % cols] / norm : 0;
        v->out[0][i] = v->in[X][i] * (factor + (double)v->c->params.shift) + (v->in[BIAS] ? v->in[BIAS][i % cols] : 0) + (v->in[ONTO] ? v->in[ONTO][i] : 0);
    }
}

/* Norms are positive, but every fifth is 0. */
static void fill_norms(const struct op_case *c, const struct node *n, int i, double *values)
{
    (void)c;
    for (int64_t k = 0; i == NORM && k < n->in[i]->cols; k++)
        values[k] = k % 5 == 4 ? 0 : 0.5 + fabs(values[k]);
}

static const struct op_test test = {
    .op = &op_scale_columns,
    .in = { { CASE_DTYPE, ROWS, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { WEIGHT_DTYPE, FIXED, GRADIENT },
            { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_norms,
};

static const struct op_case cases[] = {
    { "one number", .in = { { 1, 1 }, { 1, 1 }, { 1, 1 } } },
    { "factor alone", .in = { { 9, 13 }, { 1, 13 }, { 1, 13 } } },
    { "bias", .in = { { 33, 12 }, { 1, 12 }, { 1, 12 }, { 1, 12 } } },
    { "onto, shifted", .in = { { 70, 20 }, { 1, 20 }, { 1, 20 }, { 0, 0 }, { 70, 20 } }, .params.shift = -1 },
    { "bias and onto", .in = { { 40, 11 }, { 1, 11 }, { 1, 11 }, { 1, 11 }, { 40, 11 } }, .params.shift = 0.5f },
    { "wider than a span", .in = { { 5, 2051 }, { 1, 2051 }, { 1, 2051 }, { 1, 2051 }, { 5, 2051 } }, .params.shift = -1 },
    { "many values", .in = { { 300, 70 }, { 1, 70 }, { 1, 70 }, { 0, 0 }, { 300, 70 } } },
    { "no rows", .in = { { 0, 6 }, { 1, 6 }, { 1, 6 }, { 1, 6 }, { 0, 6 } } },
    { "bf16", .in = { { 40, 33 }, { 1, 33 }, { 1, 33 }, { 1, 33 }, { 40, 33 } }, .params.shift = -1, .dtype = BF16, .weight_dtype = BF16 },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
