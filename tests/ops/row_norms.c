/* row_norms: the norms of the rows of w + scale * b a. */
#include "tests/harness/op_case.h"

#include <math.h>
#include <string.h>

enum { W, A, B };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    row_norms(g, in[W], in[A], in[B], c->params.scale);
}

static void reference(struct op_values *v)
{
    const int64_t width = v->n->in[W]->cols, rank = v->n->in[A]->rows;
    for (int64_t j = 0; j < v->n->in[W]->rows; j++) {
        double squares = 0;
        for (int64_t i = 0; i < width; i++) {
            double value = v->in[W][j * width + i];
            for (int64_t k = 0; k < rank; k++)
                value += (double)v->c->params.scale * v->in[B][j * rank + k] * v->in[A][k * width + i];
            squares += value * value;
        }
        v->out[0][j] = sqrt(squares);
    }
}

static void fill_zeros(const struct op_case *c, const struct node *n, int i, double *values)
{
    if (c->number[0] > 0 && (i == W || i == B))
        memset(values, 0, (size_t)n->in[i]->cols * sizeof *values);
}

static const struct op_test test = {
    .op = &op_row_norms,
    .in = { { WEIGHT_DTYPE, FIXED, NO_GRADIENT }, { FLOAT32, FIXED, NO_GRADIENT }, { FLOAT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_zeros,
};

#define SHAPES(out, width, rank) .in = { { out, width }, { rank, width }, { out, rank } }
static const struct op_case cases[] = {
    { "one number", SHAPES(1, 1, 1), .params.scale = 1 },
    { "some", SHAPES(9, 13, 4), .params.scale = 2 },
    { "no update", SHAPES(20, 12, 3), .params.scale = 0 },
    { "several tiles", SHAPES(70, 33, 8), .params.scale = 0.5f },
    { "wider than a span", SHAPES(18, 2051, 3), .params.scale = 0.25f },
    { "an output of zeros", SHAPES(17, 12, 2), .params.scale = 1, .number = { 1 } },
    { "weight bf16", SHAPES(21, 40, 4), .params.scale = 1, .weight_dtype = BF16, .tolerance = 3e-6 },
    { "weight f16", SHAPES(21, 40, 4), .params.scale = 1, .weight_dtype = F16 },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
