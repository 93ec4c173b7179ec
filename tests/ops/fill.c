/* fill against what it says. */
#include "tests/harness/op_case.h"

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)in;
    fill(g, (int64_t)c->number[0], (int64_t)c->number[1], c->params.value);
}

static void reference(struct op_values *v)
{
    for (int64_t i = 0; i < v->n->out[0]->rows * v->n->out[0]->cols; i++)
        v->out[0][i] = (double)v->c->params.value;
}

static const struct op_test test = { .op = &op_fill, .build = build, .reference = reference };

static const struct op_case cases[] = {
    { "the root of backward", .number = { 1, 1 }, .params.value = 1 },
    { "zeros", .number = { 3, 5 }, .params.value = 0 },
    { "negative, odd width", .number = { 7, 13 }, .params.value = -0.37f },
    { "many rows", .number = { 301, 9 }, .params.value = 1e30f },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
