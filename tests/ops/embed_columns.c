/* embed_columns: columns of a table by id. */
#include "tests/harness/op_case.h"

#include <string.h>

/* The column without a gradient. All its values are a constant, which the reference takes for granted: so no difference of it sees the column. */
static bool is_padding(const struct op_case *c, int64_t id)
{
    return c->params.lookup.padding && id == c->params.lookup.padding;
}

static const double constant = 0.5;

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    embed_columns(g, in[0], in[1], c->params.lookup.padding ? c->params.lookup.padding : NO_PADDING, c->dtype);
}

static void reference(struct op_values *v)
{
    const int64_t width = v->n->in[1]->rows, vocab = v->n->in[1]->cols;
    for (int64_t r = 0; r < v->n->in[0]->rows; r++) {
        const int64_t id = (int64_t)v->in[0][r];
        for (int64_t k = 0; k < width; k++)
            v->out[0][r * width + k] = is_padding(v->c, id) ? constant : id < vocab ? v->in[1][k * vocab + id] : 0;
    }
}

static void fill_ids(const struct op_case *c, const struct node *n, int i, double *values)
{
    for (int64_t k = 0; i == 1 && c->params.lookup.padding && k < n->in[1]->rows; k++)
        values[k * n->in[1]->cols + c->params.lookup.padding] = constant;
    for (int64_t k = 0; i == 0 && k < n->in[0]->rows; k++)
        values[k] = (double)(op_random(5, k, n->in[1]->cols) + (int64_t)c->number[0]);
}

static const struct op_test test = {
    .op = &op_embed_columns,
    .in = { { INT32, ROWS, NO_GRADIENT }, { FLOAT32, FIXED, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_ids,
};

static const struct op_case cases[] = {
    { "one of one", .in = { { 1, 1 }, { 1, 1 } } },
    { "equal ids", .in = { { 40, 1 }, { 3, 7 } } },
    { "wider than a span", .in = { { 5, 1 }, { 1030, 4 } } },
    { "bf16", .in = { { 33, 1 }, { 8, 50 } }, .dtype = BF16 },
    { "some ids behind the table", .in = { { 40, 1 }, { 3, 7 } }, .number = { 3 } },
    { "all ids behind the table", .in = { { 6, 1 }, { 2, 4 } }, .number = { 4 } },
    { "a padding column", .in = { { 40, 1 }, { 3, 7 } }, .params.lookup.padding = 2 },
    { "no rows", .in = { { 0, 1 }, { 4, 9 } } },
};

static void negative_ids_are_refused(void **state)
{
    (void)state;
    static const struct op_case outside = { "in front", .in = { { 6, 1 }, { 2, 4 } }, .number = { -4 } };
    struct error err;
    assert_int_equal(op_forward_status(&test, &outside, &err), BAD_DATA);
    assert_non_null(strstr(err.what, "is negative"));
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(negative_ids_are_refused) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
