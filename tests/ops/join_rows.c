/* join_rows: the rows of several matrices, one after the other. */
#include "tests/harness/op_case.h"

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    int count = 0;
    (void)c;
    while (count < MAX_IN && in[count])
        count++;
    join_rows(g, in, count);
}

static void reference(struct op_values *v)
{
    double *to = v->out[0];
    for (int i = 0; i < MAX_IN && v->in[i]; i++)
        for (int64_t k = 0; k < v->n->in[i]->rows * v->n->in[i]->cols; k++)
            *to++ = v->in[i][k];
}

static const struct op_test test = {
    .op = &op_join_rows,
    .in = { { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
};

static const struct op_case cases[] = {
    { "two", .in = { { 3, 5 }, { 1, 5 } } },
    { "three of a width that is no vector's", .in = { { 2, 13 }, { 7, 13 }, { 4, 13 } } },
    { "as many as a node can have", .in = { { 1, 4 }, { 2, 4 }, { 3, 4 }, { 4, 4 }, { 5, 4 }, { 6, 4 }, { 7, 4 }, { 8, 4 }, { 9, 4 }, { 10, 4 } } },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
