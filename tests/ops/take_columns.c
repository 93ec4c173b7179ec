/* take_columns: some columns of every row. */
#include "tests/harness/op_case.h"

#include <string.h>

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    take_columns(g, in[0], c->params.columns);
}

static void reference(struct op_values *v)
{
    const struct columns c = v->c->params.columns;
    const int64_t cols = v->n->in[0]->cols;
    double *y = v->out[0];
    for (int64_t r = 0; r < v->n->in[0]->rows; r++)
        for (int64_t i = 0; i < c.pieces; i++)
            for (int64_t j = 0; j < c.width; j++)
                *y++ = v->in[0][r * cols + c.from + i * c.step + j];
}

static const struct op_test test = {
    .op = &op_take_columns,
    .in = { { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
};

static const struct op_case cases[] = {
    { "the first", .in = { { 3, 8 } }, .params.columns = { 0, 3, 1, 0 } },
    { "the last", .in = { { 3, 8 } }, .params.columns = { 5, 3, 1, 0 } },
    { "all", .in = { { 1, 5 } }, .params.columns = { 0, 5, 1, 0 } },
    { "wider than a span", .in = { { 2, 5000 } }, .params.columns = { 1300, 2500, 1, 0 } },
    { "bf16", .in = { { 7, 33 } }, .params.columns = { 8, 9, 1, 0 }, .dtype = BF16 },
    { "every third", .in = { { 4, 12 } }, .params.columns = { 1, 1, 4, 3 } },
    { "heads of a fused projection", .in = { { 50, 480 } }, .params.columns = { 20, 10, 16, 30 } },
    { "touching pieces to the end", .in = { { 3, 12 } }, .params.columns = { 2, 5, 2, 5 } },
    { "no pieces", .in = { { 3, 12 } }, .params.columns = { 12, 3, 0, 3 } },
    { "no rows", .in = { { 0, 6 } }, .params.columns = { 2, 2, 1, 0 } },
};

static void columns_outside_are_an_error_of_the_graph(void **state)
{
    (void)state;
    static const struct columns outside[] = {
        { -1, 3, 1, 0 }, { 3, 6, 1, 0 }, { 9, 1, 1, 0 }, { 2, -1, 1, 0 }, { 0, 3, 3, 3 }, { 0, 3, 2, 2 }, { 0, 1, -1, 1 }, { 0, 1, INT64_MAX, INT64_MAX },
    };
    for (size_t i = 0; i < COUNT(outside); i++) {
        struct arena *arena = arena_create(NULL);
        struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ 0 }, false);
        take_columns(g, tensor_new(arena, "wide", F32, WEIGHT, 2, 8, NULL), outside[i]);
        assert_int_equal(g->error.code, BAD_MODEL);
        assert_non_null(strstr(g->error.what, "wide, which has 8"));
        arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(columns_outside_are_an_error_of_the_graph) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
