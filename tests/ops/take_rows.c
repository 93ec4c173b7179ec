/* take_rows: the rows of an increasing index. */
#include "tests/harness/op_case.h"

#include <string.h>

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    take_rows(g, in[0], in[1]);
}

static void reference(struct op_values *v)
{
    int64_t width = v->n->in[0]->cols;
    for (int64_t i = 0; i < v->n->in[1]->rows; i++)
        for (int64_t c = 0; c < width; c++)
            v->out[0][i * width + c] = v->in[0][(int64_t)v->in[1][i] * width + c];
}

/* Spread over all rows. */
static void fill_index(const struct op_case *c, const struct node *n, int i, double *values)
{
    if (i == 1)
        for (int64_t k = 0; k < n->in[1]->rows; k++)
            values[k] = (double)(((k + 1) * n->in[0]->rows - 1) / n->in[1]->rows + (int64_t)c->number[0]);
}

static const struct op_test test = {
    .op = &op_take_rows,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { INT32, SELECTED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_index,
};

static const struct op_case cases[] = {
    { "one row of one", .in = { { 1, 8 }, { 1, 1 } } }, { "some rows", .in = { { 9, 13 }, { 4, 1 } } },
    { "all rows", .in = { { 17, 5 }, { 17, 1 } } },     { "wider than a span", .in = { { 5, 2051 }, { 2, 1 } } },
    { "many rows", .in = { { 700, 40 }, { 511, 1 } } }, { "bf16", .in = { { 40, 33 }, { 7, 1 } }, .dtype = BF16 },
    { "none selected", .in = { { 6, 4 }, { 0, 1 } } },
};

static void fill_backwards(const struct op_case *c, const struct node *n, int i, double *values)
{
    (void)c;
    if (i == 1)
        for (int64_t k = 0; k < n->in[1]->rows; k++)
            values[k] = (double)(n->in[1]->rows - 1 - k);
}

static void indices_outside_or_out_of_order_are_refused(void **state)
{
    (void)state;
    static const struct op_case outside[] = {
        { "behind the live rows", .in = { { 6, 4 }, { 3, 1 } }, .number = { 1 } },
        { "in front", .in = { { 6, 4 }, { 3, 1 } }, .number = { -2 } },
    };
    struct op_test backwards = test;
    struct error err;
    for (size_t i = 0; i < COUNT(outside); i++) {
        assert_int_equal(op_forward_status(&test, &outside[i], &err), BAD_DATA);
        assert_non_null(strstr(err.what, "of 6 rows"));
    }
    backwards.fill = fill_backwards;
    assert_int_equal(op_forward_status(&backwards, &cases[1], &err), BAD_DATA);
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(indices_outside_or_out_of_order_are_refused) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
