/* choose_rows: each row from one of two matrices. */
#include "tests/harness/op_case.h"

enum { OTHERS, MINE, CHOICE };
enum { NUMBER = 2 };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    choose_rows(g, in[OTHERS], in[MINE], in[CHOICE], NUMBER);
}

static void reference(struct op_values *v)
{
    const int64_t width = v->n->in[OTHERS]->cols;
    for (int64_t r = 0; r < v->n->in[OTHERS]->rows; r++)
        for (int64_t i = 0; i < width; i++)
            v->out[0][r * width + i] = v->in[v->in[CHOICE][r] == NUMBER ? MINE : OTHERS][r * width + i];
}

static void fill_choices(const struct op_case *c, const struct node *n, int i, double *values)
{
    (void)c;
    for (int64_t k = 0; i == CHOICE && k < n->in[i]->rows; k++)
        values[k] = (double)op_random(6, k, 4);
}

static const struct op_test test = {
    .op = &op_choose_rows,
    .in = { { CASE_DTYPE, ROWS, NO_GRADIENT }, { CASE_DTYPE, ROWS, NO_GRADIENT }, { INT32, ROWS, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_choices,
};

static const struct op_case cases[] = {
    { "one of one", .in = { { 1, 4 }, { 1, 4 }, { 1, 1 } } },
    { "some of many", .in = { { 50, 13 }, { 50, 13 }, { 50, 1 } } },
    { "wider than a span", .in = { { 5, 1030 }, { 5, 1030 }, { 5, 1 } } },
    { "bf16", .in = { { 33, 70 }, { 33, 70 }, { 33, 1 } }, .dtype = BF16 },
    { "no rows", .in = { { 0, 6 }, { 0, 6 }, { 0, 1 } } },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
