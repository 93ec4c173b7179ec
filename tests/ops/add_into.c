/* add_into: a sum in place, exact to the f32 bit. */
#include "tests/harness/op_case.h"

enum { SUM, X };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    add_into(g, in[SUM], in[X]);
}

static void reference(struct op_values *v)
{
    for (int64_t i = 0; i < v->n->in[SUM]->rows * v->n->in[SUM]->cols; i++)
        v->state[SUM][i] = v->in[SUM][i] + v->in[X][i];
}

static const struct op_test test = {
    .op = &op_add_into,
    .in = { { FLOAT32, FIXED, NO_GRADIENT }, { FLOAT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .tolerance = 6e-8,
};

static const struct op_case cases[] = {
    { "one value", .in = { { 1, 1 }, { 1, 1 } } },
    { "less than a block", .in = { { 1, 4095 }, { 1, 4095 } } },
    { "one block and one", .in = { { 1, 4097 }, { 1, 4097 } } },
    { "shared among threads", .in = { { 1, 100001 }, { 1, 100001 } } },
    { "rows", .in = { { 3, 7 }, { 3, 7 } } },
    { "nothing", .in = { { 0, 8 }, { 0, 8 } } },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
