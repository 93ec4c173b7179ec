/* take_columns: some columns of every row. */
#include "tests/harness/op_case.h"

#include <string.h>

enum { FROM, WIDTH }; /* of case->number */

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    take_columns(g, in[0], (int64_t)c->number[FROM], (int64_t)c->number[WIDTH]);
}

static void reference(struct op_values *v)
{
    const int64_t cols = v->n->in[0]->cols, from = (int64_t)v->c->number[FROM], width = (int64_t)v->c->number[WIDTH];
    for (int64_t r = 0; r < v->n->in[0]->rows; r++)
        for (int64_t j = 0; j < width; j++)
            v->out[0][r * width + j] = v->in[0][r * cols + from + j];
}

static const struct op_test test = {
    .op = &op_take_columns,
    .in = { { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
};

static const struct op_case cases[] = {
    { "the first", .in = { { 3, 8 } }, .number = { 0, 3 } },
    { "the last", .in = { { 3, 8 } }, .number = { 5, 3 } },
    { "all", .in = { { 1, 5 } }, .number = { 0, 5 } },
    { "wider than a span", .in = { { 2, 5000 } }, .number = { 1300, 2500 } },
    { "bf16", .in = { { 7, 33 } }, .number = { 8, 9 }, .dtype = BF16 },
    { "no rows", .in = { { 0, 6 } }, .number = { 2, 2 } },
};

static void columns_outside_are_an_error_of_the_graph(void **state)
{
    (void)state;
    static const int64_t outside[][2] = { { -1, 3 }, { 3, 6 }, { 9, 1 }, { 2, -1 } };
    for (size_t i = 0; i < COUNT(outside); i++) {
        struct arena *arena = arena_create(NULL);
        struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ 0 }, false);
        take_columns(g, tensor_new(arena, "wide", F32, WEIGHT, 2, 8, NULL), outside[i][0], outside[i][1]);
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
