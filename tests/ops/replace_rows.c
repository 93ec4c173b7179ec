/* replace_rows: rows of certain ids become rows of another matrix. */
#include "tests/harness/op_case.h"

enum { X, IDS, PLACE, TAKEN };

static float scale_of(const struct op_case *c)
{
    return c->params.lookup.scale != 0 ? c->params.lookup.scale : 1;
}

/* Whether the case has an id without a gradient. What is taken for it is a constant, which the reference takes for granted: so no difference of it sees the
 * row. */
static bool is_padding(const struct op_case *c, int64_t id)
{
    return c->params.lookup.padding && id == c->params.lookup.padding;
}

static const double constant = 0.5;

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    replace_rows(g, in[X], in[IDS], in[PLACE], in[TAKEN], scale_of(c), c->params.lookup.padding ? c->params.lookup.padding : NO_PADDING);
}

static void reference(struct op_values *v)
{
    const int64_t width = v->n->in[X]->cols;
    for (int64_t r = 0; r < v->n->in[X]->rows; r++) {
        const int64_t id = v->in[IDS] ? (int64_t)v->in[IDS][r] : r, place = (int64_t)v->in[PLACE][id];
        for (int64_t i = 0; i < width; i++) {
            const double taken = place < 0 ? 0 : is_padding(v->c, id) ? constant : v->in[TAKEN][place * width + i];
            v->out[0][r * width + i] = place >= 0 ? (double)scale_of(v->c) * taken : v->in[X][r * width + i];
        }
    }
}

/* Every third id is replaced, in reverse order. */
static void fill_ids(const struct op_case *c, const struct node *n, int i, double *values)
{
    const struct tensor *taken = n->in[TAKEN];
    for (int64_t at = 0; i == TAKEN && c->params.lookup.padding && at < taken->cols; at++)
        values[(taken->rows - 1 - c->params.lookup.padding / 3) * taken->cols + at] = constant;
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
    { "scaled", .in = { { 40, 21 }, { 40, 1 }, { 9, 1 }, { 3, 21 } }, .params.lookup.scale = 4.5f },
    { "bf16, scaled", .in = { { 33, 70 }, { 33, 1 }, { 12, 1 }, { 4, 70 } }, .dtype = BF16, .params.lookup.scale = 0.75f },
    { "bf16", .in = { { 33, 70 }, { 33, 1 }, { 12, 1 }, { 4, 70 } }, .dtype = BF16 },
    { "padding", .in = { { 60, 13 }, { 60, 1 }, { 12, 1 }, { 4, 13 } }, .params.lookup = { 1.5f, 4 } },
    { "bf16, padding", .in = { { 60, 70 }, { 60, 1 }, { 12, 1 }, { 4, 70 } }, .dtype = BF16, .params.lookup = { 1, 7 } },
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
