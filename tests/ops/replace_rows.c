/* replace_rows: rows of certain ids become rows of another matrix. */
#include "tests/harness/op_case.h"

enum { X, IDS, PLACE, TAKEN };

static float scale_of(const struct op_case *c)
{
    return c->params.scale != 0 ? c->params.scale : 1;
}

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    replace_rows(g, in[X], in[IDS], in[PLACE], in[TAKEN], scale_of(c));
}

static void reference(struct op_values *v)
{
    const int64_t width = v->n->in[X]->cols;
    for (int64_t r = 0; r < v->n->in[X]->rows; r++) {
        const int64_t place = (int64_t)v->in[PLACE][v->in[IDS] ? (int64_t)v->in[IDS][r] : r];
        for (int64_t i = 0; i < width; i++)
            v->out[0][r * width + i] = place >= 0 ? (double)scale_of(v->c) * v->in[TAKEN][place * width + i] : v->in[X][r * width + i];
    }
}

/* Every third id is replaced, in reverse order. */
static void fill_ids(const struct op_case *c, const struct node *n, int i, double *values)
{
    (void)c;
    for (int64_t k = 0; k < n->in[i]->rows && (i == IDS || i == PLACE); k++) {
        const int64_t place = n->in[TAKEN]->rows - 1 - k / 3;
        values[k] = i == IDS ? (double)op_random(5, k, n->in[PLACE]->rows) : k % 3 == 1 && place >= 0 ? (double)place : -1;
    }
}

static const struct op_test test = {
    .op = &op_replace_rows,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { INT32, ROWS, NO_GRADIENT }, { INT32, FIXED, NO_GRADIENT }, { FLOAT32, FIXED, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_ids,
};

static const struct op_case cases[] = {
    { "one of one", .in = { { 1, 4 }, { 1, 1 }, { 2, 1 }, { 1, 4 } } },
    { "equal ids", .in = { { 50, 13 }, { 50, 1 }, { 9, 1 }, { 3, 13 } } },
    { "wider than a span", .in = { { 5, 1030 }, { 5, 1 }, { 4, 1 }, { 2, 1030 } } },
    { "many rows", .in = { { 700, 40 }, { 700, 1 }, { 60, 1 }, { 20, 40 } } },
    { "scaled", .in = { { 40, 21 }, { 40, 1 }, { 9, 1 }, { 3, 21 } }, .params.scale = 4.5f },
    { "bf16, scaled", .in = { { 33, 70 }, { 33, 1 }, { 12, 1 }, { 4, 70 } }, .dtype = BF16, .params.scale = 0.75f },
    { "bf16", .in = { { 33, 70 }, { 33, 1 }, { 12, 1 }, { 4, 70 } }, .dtype = BF16 },
    { "no rows", .in = { { 0, 6 }, { 0, 1 }, { 3, 1 }, { 1, 6 } } },
};

/* Without ids the rows are the table's own: as many as there are places. */
static const struct op_test table_test = {
    .op = &op_replace_rows,
    .in = { { CASE_DTYPE, FIXED, GRADIENT }, { INT32, FIXED, NO_GRADIENT }, { INT32, FIXED, NO_GRADIENT }, { FLOAT32, FIXED, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_ids,
};

static const struct op_case tables[] = {
    { "a table", .in = { { 11, 20 }, { 0, 0 }, { 11, 1 }, { 3, 20 } } },
    { "a large table", .in = { { 400, 70 }, { 0, 0 }, { 400, 1 }, { 100, 70 } } },
};

int main(void)
{
    const int lookups = op_test_run(&test, cases, COUNT(cases), NULL, 0);
    return lookups | op_test_run(&table_test, tables, COUNT(tables), NULL, 0);
}
