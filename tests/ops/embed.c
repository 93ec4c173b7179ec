/* embed: rows of a table and of virtual rows behind it. */
#include "tests/harness/op_case.h"

#include <string.h>

enum { IDS, TABLE, VIRTUAL, ONTO };

/* Whether the case has a row without a gradient. All its values are a constant, which the reference takes for granted: so no difference of it sees the row. */
static bool is_padding(const struct op_case *c, int64_t id)
{
    return c->params.lookup.padding && id == c->params.lookup.padding;
}

static const double constant = 0.5;

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    embed(g, in[IDS], in[TABLE], in[VIRTUAL], in[ONTO], c->params.lookup.scale, c->params.lookup.padding ? c->params.lookup.padding : NO_PADDING, c->dtype);
}

static void reference(struct op_values *v)
{
    int64_t width = v->n->in[TABLE]->cols, vocab = v->n->in[TABLE]->rows;
    for (int64_t r = 0; r < v->n->in[IDS]->rows; r++) {
        int64_t id = (int64_t)v->in[IDS][r];
        for (int64_t c = 0; c < width; c++) {
            const double found = is_padding(v->c, id) ? constant : id < vocab ? v->in[TABLE][id * width + c] : v->in[VIRTUAL][(id - vocab) * width + c];
            v->out[0][r * width + c] = (v->in[ONTO] ? v->in[ONTO][r * width + c] : 0) + (id < vocab ? (double)v->c->params.lookup.scale * found : found);
        }
    }
}

/* Few distinct ids among many rows, so that equal ids meet. number[0]: added to the last id */
static void fill_ids(const struct op_case *c, const struct node *n, int i, double *values)
{
    for (int64_t at = 0; i == TABLE && c->params.lookup.padding && at < n->in[TABLE]->cols; at++)
        values[c->params.lookup.padding * n->in[TABLE]->cols + at] = constant;
    if (i != IDS)
        return;
    int64_t rows = n->in[IDS]->rows, below = n->in[TABLE]->rows + (n->in[VIRTUAL] ? n->in[VIRTUAL]->rows : 0);
    for (int64_t r = 0; r < rows; r++)
        values[r] = (double)(op_random(5, r, below * below) / below);
    if (rows > 0)
        values[rows - 1] = (double)(below - 1) + (double)c->number[0];
}

static const struct op_test test = {
    .op = &op_embed,
    .in = { { INT32, ROWS, NO_GRADIENT }, { WEIGHT_DTYPE, FIXED, GRADIENT }, { FLOAT32, FIXED, GRADIENT }, { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_ids,
};

static const struct op_case cases[] = {
    { "one row", .in = { { 1, 1 }, { 5, 8 } }, .params.lookup.scale = 1 },
    { "odd width, scaled", .in = { { 20, 1 }, { 7, 13 } }, .params.lookup.scale = 3.5f },
    { "virtual rows", .in = { { 20, 1 }, { 7, 70 }, { 3, 70 } }, .params.lookup.scale = 2 },
    { "wider than a span", .in = { { 6, 1 }, { 4, 1100 }, { 2, 1100 } }, .params.lookup.scale = 1 },
    { "many rows", .in = { { 600, 1 }, { 40, 66 }, { 8, 66 } }, .params.lookup.scale = 1 },
    { "bf16", .in = { { 33, 1 }, { 9, 40 }, { 2, 40 } }, .dtype = BF16, .weight_dtype = BF16, .params.lookup.scale = 1 },
    { "bf16 of an f16 table", .in = { { 33, 1 }, { 9, 40 }, { 2, 40 } }, .dtype = BF16, .weight_dtype = F16, .params.lookup.scale = 1 },
    { "onto", .in = { { 20, 1 }, { 7, 13 }, [ONTO] = { 20, 13 } }, .params.lookup.scale = 1 },
    { "onto, virtual rows, wider than a span", .in = { { 6, 1 }, { 4, 1100 }, { 2, 1100 }, { 6, 1100 } }, .params.lookup.scale = 3 },
    { "onto, bf16", .in = { { 33, 1 }, { 9, 40 }, { 2, 40 }, { 33, 40 } }, .dtype = BF16, .weight_dtype = BF16, .params.lookup.scale = 1 },
    { "a padding row, scaled", .in = { { 40, 1 }, { 7, 13 }, { 2, 13 } }, .params.lookup = { .scale = 2, .padding = 1 } },
    { "no rows", .in = { { 0, 1 }, { 9, 40 }, { 2, 40 } }, .params.lookup.scale = 1 },
};

static void ids_outside_both_tables_are_refused(void **state)
{
    (void)state;
    static const struct op_case outside[] = {
        { "behind the table", .in = { { 4, 1 }, { 5, 8 } }, .params.lookup.scale = 1, .number = { 1 } },
        { "behind the virtual rows", .in = { { 4, 1 }, { 3, 8 }, { 2, 8 } }, .params.lookup.scale = 1, .number = { 1 } },
        { "negative", .in = { { 4, 1 }, { 5, 8 } }, .params.lookup.scale = 1, .number = { -5 } },
    };
    struct error err;
    for (size_t i = 0; i < COUNT(outside); i++) {
        assert_int_equal(op_forward_status(&test, &outside[i], &err), BAD_DATA);
        assert_non_null(strstr(err.what, "at row 3 is outside the table of 5 rows"));
    }
}

static void a_table_that_would_sum_in_bf16_is_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    const int64_t capacity[EXTENTS] = { 0, 4, 4, 4 };
    struct graph *g = graph_new(arena, capacity, true);
    struct tensor *table = tensor_new(arena, "table", BF16, WEIGHT, 5, 8, NULL);
    table->wants_grad = true;
    embed(g, graph_input(g, "ids", I32, ROWS, 0, 1), table, NULL, NULL, 1, NO_PADDING, BF16);
    assert_int_equal(g->error.code, BAD_MODEL);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest more[] = {
        cmocka_unit_test(ids_outside_both_tables_are_refused),
        cmocka_unit_test(a_table_that_would_sum_in_bf16_is_refused),
    };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
