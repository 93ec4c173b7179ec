/* rmsnorm against its formula. */
#include "tests/harness/op_case.h"

#include <math.h>

enum { X, W };
enum { Y, RSTD };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    rmsnorm(g, in[X], in[W], c->params.rms.shift, c->params.rms.eps);
}

static void reference(struct op_values *v)
{
    int64_t width = v->n->in[W]->cols;
    for (int64_t r = 0; r < v->n->in[X]->rows * v->n->in[X]->cols / width; r++) {
        const double *x = v->in[X] + r * width;
        double sum = 0;
        for (int64_t c = 0; c < width; c++)
            sum += x[c] * x[c];
        double rstd = 1 / sqrt(sum / (double)width + (double)v->c->params.rms.eps);
        v->out[RSTD][r] = rstd;
        for (int64_t c = 0; c < width; c++)
            v->out[Y][r * width + c] = (v->in[W][c] + (double)v->c->params.rms.shift) * x[c] * rstd;
    }
}

/* number[0]: x is that much larger, number[1]: x is moved by that much (the first values of a residual stream are not centred) */
static void fill_x(const struct op_case *c, const struct node *n, int i, double *values)
{
    if (i == X && c->number[0] != 0)
        for (int64_t k = 0; k < n->in[X]->rows * n->in[X]->cols; k++)
            values[k] = values[k] * (double)c->number[0] + (double)c->number[1];
}

static const struct op_test test = {
    .op = &op_rmsnorm,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { WEIGHT_DTYPE, FIXED, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_x,
};

static const struct op_case cases[] = {
    { "one row", .in = { { 1, 8 }, { 1, 8 } }, .params.rms.eps = 1e-5f },
    { "one column", .in = { { 3, 1 }, { 1, 1 } }, .params.rms.eps = 0.5f },
    { "odd width", .in = { { 5, 13 }, { 1, 13 } }, .params.rms.eps = 1e-6f },
    { "wider than a span", .in = { { 3, 1027 }, { 1, 1027 } }, .params.rms.eps = 1e-6f },
    { "many rows", .in = { { 333, 24 }, { 1, 24 } }, .params.rms.eps = 1e-6f },
    { "more row tiles than partial sums", .in = { { 2100, 10 }, { 1, 10 } }, .params.rms.eps = 1e-6f },
    { "large and moved", .in = { { 9, 200 }, { 1, 200 } }, .params.rms.eps = 1e-6f, .number = { 30, 100 } },
    { "small beside eps", .in = { { 9, 200 }, { 1, 200 } }, .params.rms.eps = 1, .number = { 0.01f, 0 } },
    { "bf16, f32 weight", .in = { { 40, 36 }, { 1, 36 } }, .dtype = BF16, .params.rms.eps = 1e-5f },
    { "bf16, bf16 weight", .in = { { 40, 1030 }, { 1, 1030 } }, .dtype = BF16, .weight_dtype = BF16, .params.rms.eps = 1e-5f },
    { "f32, f16 weight", .in = { { 4, 36 }, { 1, 36 } }, .weight_dtype = F16, .tolerance = 3e-6, .gradient_tolerance = 3e-6, .params.rms.eps = 1e-5f },
    { "two pieces", .in = { { 5, 26 }, { 1, 13 } }, .params.rms.eps = 1e-5f },
    { "more pieces than values in one", .in = { { 70, 48 }, { 1, 4 } }, .params.rms.eps = 1e-6f },
    { "pieces wider than a span, shifted", .in = { { 3, 2054 }, { 1, 1027 } }, .params.rms = { 1e-6f, 1 } },
    { "shifted", .in = { { 40, 36 }, { 1, 36 } }, .params.rms = { 1e-6f, 1 } },
    { "bf16 pieces, shifted", .in = { { 40, 36 }, { 1, 12 } }, .dtype = BF16, .params.rms = { 1e-5f, 1 } },
    { "no rows", .in = { { 0, 36 }, { 1, 36 } }, .params.rms.eps = 1e-5f },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
