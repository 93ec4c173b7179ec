/* clamp: bounds on both sides. */
#include "tests/harness/op_case.h"

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    clamp(g, in[0], c->params.value);
}

static void reference(struct op_values *v)
{
    const double bound = (double)v->c->params.value;
    for (int64_t i = 0; i < v->n->in[0]->rows * v->n->in[0]->cols; i++)
        v->out[0][i] = v->in[0][i] > bound ? bound : v->in[0][i] < -bound ? -bound : v->in[0][i];
}

/* No value so near to a bound that a difference quotient would cross it. */
static void fill_x(const struct op_case *c, const struct node *n, int i, double *values)
{
    for (int64_t k = 0; k < n->in[i]->rows * n->in[i]->cols; k++)
        if (values[k] * values[k] > 0.81 * (double)(c->params.value * c->params.value) &&
            values[k] * values[k] < 1.21 * (double)(c->params.value * c->params.value))
            values[k] *= 1.5;
}

static const struct op_test test = {
    .op = &op_clamp,
    .in = { { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_x,
};

static const struct op_case cases[] = {
    { "one row", .in = { { 1, 8 } }, .params.value = 0.5f },
    { "odd width", .in = { { 5, 13 } }, .params.value = 1 },
    { "more than a span", .in = { { 30, 100 } }, .params.value = 0.25f },
    { "many rows", .in = { { 700, 40 } }, .params.value = 1.5f },
    { "bf16", .in = { { 9, 128 } }, .params.value = 1, .dtype = BF16 },
    { "no rows", .in = { { 0, 64 } }, .params.value = 1 },
};

static void a_bound_that_is_not_above_zero_is_an_error_of_the_graph(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ 0 }, false);
    clamp(g, tensor_new(arena, "x", F32, WEIGHT, 2, 8, NULL), 0);
    assert_int_equal(g->error.code, BAD_MODEL);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(a_bound_that_is_not_above_zero_is_an_error_of_the_graph) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
