/* layernorm against its formula, with and without a bias. */
#include "tests/harness/op_case.h"

#include <math.h>

enum { X, W, B };
enum { Y, STATISTICS };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    layernorm(g, in[X], in[W], in[B], c->params.eps);
}

static void reference(struct op_values *v)
{
    int64_t width = v->n->in[X]->cols;
    for (int64_t r = 0; r < v->n->in[X]->rows; r++) {
        const double *x = v->in[X] + r * width;
        double mean = 0, squares = 0;
        for (int64_t c = 0; c < width; c++)
            mean += x[c] / (double)width;
        for (int64_t c = 0; c < width; c++)
            squares += (x[c] - mean) * (x[c] - mean) / (double)width;
        double rstd = 1 / sqrt(squares + (double)v->c->params.eps);
        v->out[STATISTICS][2 * r] = mean;
        v->out[STATISTICS][2 * r + 1] = rstd;
        for (int64_t c = 0; c < width; c++)
            v->out[Y][r * width + c] = v->in[W][c] * (x[c] - mean) * rstd + (v->in[B] ? v->in[B][c] : 0);
    }
}

/* number[0]: x is that much larger, number[1]: x is moved by that much */
static void fill_x(const struct op_case *c, const struct node *n, int i, double *values)
{
    if (i == X && c->number[0] != 0)
        for (int64_t k = 0; k < n->in[X]->rows * n->in[X]->cols; k++)
            values[k] = values[k] * (double)c->number[0] + (double)c->number[1];
}

static const struct op_test test = {
    .op = &op_layernorm,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { WEIGHT_DTYPE, FIXED, GRADIENT }, { WEIGHT_DTYPE, FIXED, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_x,
};

static const struct op_case cases[] = {
    { "one row", .in = { { 1, 8 }, { 1, 8 }, { 1, 8 } }, .params.eps = 1e-5f },
    { "no bias", .in = { { 4, 9 }, { 1, 9 } }, .params.eps = 1e-5f },
    { "two columns", .in = { { 3, 2 }, { 1, 2 }, { 1, 2 } }, .params.eps = 0.5f },
    { "odd width", .in = { { 5, 13 }, { 1, 13 }, { 1, 13 } }, .params.eps = 1e-6f },
    { "wider than a span", .in = { { 3, 1027 }, { 1, 1027 }, { 1, 1027 } }, .params.eps = 1e-6f },
    { "many rows", .in = { { 333, 24 }, { 1, 24 }, { 1, 24 } }, .params.eps = 1e-6f },
    { "more row tiles than partial sums", .in = { { 2100, 10 }, { 1, 10 }, { 1, 10 } }, .params.eps = 1e-6f },
    { "large and moved a little", .in = { { 9, 200 }, { 1, 200 }, { 1, 200 } }, .params.eps = 1e-6f, .number = { 30, 10 } },
    { "small beside eps", .in = { { 9, 200 }, { 1, 200 }, { 1, 200 } }, .params.eps = 1, .number = { 0.01f, 0 } },
    { "bf16, f32 weight", .in = { { 40, 36 }, { 1, 36 }, { 1, 36 } }, .dtype = BF16, .params.eps = 1e-5f },
    { "bf16, bf16 weight", .in = { { 40, 1030 }, { 1, 1030 } }, .dtype = BF16, .weight_dtype = BF16, .params.eps = 1e-5f },
    { "no rows", .in = { { 0, 36 }, { 1, 36 }, { 1, 36 } }, .params.eps = 1e-5f },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
