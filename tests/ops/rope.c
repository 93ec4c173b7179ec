/* rope: rotation of the first columns of every head, as a complex product. */
#include "tests/harness/op_case.h"

#include <complex.h>
#include <math.h>

enum { X, ANGLES };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    rope(g, in[X], in[ANGLES], c->params.rope.heads, c->params.rope.head_size, c->params.rope.pairs);
}

static void reference(struct op_values *v)
{
    const bool halves = v->c->params.rope.pairs == HALVES;
    int64_t size = v->c->params.rope.head_size, n = v->n->in[ANGLES]->cols / 2;
    for (int64_t r = 0; r < v->n->in[X]->rows; r++)
        for (int h = 0; h < v->c->params.rope.heads; h++) {
            const double *x = v->in[X] + r * v->n->in[X]->cols + h * size, *angle = v->in[ANGLES] + r * 2 * n;
            double *y = v->out[0] + r * v->n->in[X]->cols + h * size;
            for (int64_t j = 0; j < n; j++) {
                int64_t a = halves ? j : 2 * j, b = halves ? j + n : 2 * j + 1;
                double complex turned = (x[a] + I * x[b]) * (angle[j] + I * angle[n + j]);
                y[a] = creal(turned);
                y[b] = cimag(turned);
            }
            for (int64_t j = 2 * n; j < size; j++)
                y[j] = x[j];
        }
}

static void fill_angles(const struct op_case *c, const struct node *n, int i, double *values)
{
    (void)c;
    int64_t half = n->in[ANGLES]->cols / 2;
    for (int64_t r = 0; i == ANGLES && r < n->in[ANGLES]->rows; r++)
        for (int64_t j = 0; j < half; j++) {
            values[r * 2 * half + j] = cos((double)(r + 1) / (double)(j + 1));
            values[r * 2 * half + half + j] = sin((double)(r + 1) / (double)(j + 1));
        }
}

static const struct op_test test = {
    .op = &op_rope,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { FLOAT32, ROWS, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_angles,
};

#define HEADS(count, size) .params.rope = { .heads = count, .head_size = size }
#define NEXT(count, size)  .params.rope = { .heads = count, .head_size = size, .pairs = NEIGHBOURS }
static const struct op_case cases[] = {
    { "one row, one pair", .in = { { 1, 2 }, { 1, 2 } }, HEADS(1, 2) },
    { "heads of 64", .in = { { 7, 192 }, { 7, 64 } }, HEADS(3, 64) },
    { "part of each head, odd", .in = { { 5, 33 }, { 5, 6 } }, HEADS(3, 11) },
    { "more heads than a span holds", .in = { { 4, 2304 }, { 4, 96 } }, HEADS(24, 96) },
    { "many rows", .in = { { 700, 40 }, { 700, 20 } }, HEADS(2, 20) },
    { "bf16", .in = { { 9, 128 }, { 9, 32 } }, HEADS(4, 32), .dtype = BF16 },
    { "bf16, part of each head", .in = { { 9, 1100 }, { 9, 50 } }, HEADS(11, 100), .dtype = BF16 },
    { "neighbours", .in = { { 7, 192 }, { 7, 64 } }, NEXT(3, 64) },
    { "neighbours in part of each head, odd", .in = { { 5, 33 }, { 5, 6 } }, NEXT(3, 11) },
    { "bf16, neighbours", .in = { { 9, 1100 }, { 9, 50 } }, NEXT(11, 100), .dtype = BF16 },
    { "no rows", .in = { { 0, 64 }, { 0, 32 } }, HEADS(2, 32) },
};

static void angles_for_more_columns_than_a_head_has_are_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    const int64_t capacity[EXTENTS] = { 0, 4, 4, 4 };
    struct graph *g = graph_new(arena, capacity, true);
    rope(g, graph_input(g, "x", F32, ROWS, 0, 32), graph_input(g, "angles", F32, ROWS, 0, 18), 2, 16, HALVES);
    assert_int_equal(g->error.code, BAD_MODEL);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(angles_for_more_columns_than_a_head_has_are_refused) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
