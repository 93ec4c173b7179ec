/* kv_append: rows into their slots, everything else of the cache as it was. */
#include "tests/harness/op_case.h"

#include <string.h>

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    kv_append(g, in[0], in[1], in[2]);
}

static void reference(struct op_values *v)
{
    int64_t width = v->n->in[1]->cols;
    for (int64_t r = 0; r < v->n->in[1]->rows; r++)
        memcpy(v->state[0] + (int64_t)v->in[2][r] * width, v->in[1] + r * width, (size_t)width * sizeof(double));
}

/* Distinct slots in no order: multiples of 7 modulo the (never divisible by 7) number of slots. */
static void fill_slots(const struct op_case *c, const struct node *n, int i, double *values)
{
    if (i == 2)
        for (int64_t r = 0; r < n->in[2]->rows; r++)
            values[r] = (double)((7 * r + 3) % n->in[0]->rows + (int64_t)c->number[0]);
}

static const struct op_test test = {
    .op = &op_kv_append,
    .in = { { WEIGHT_DTYPE, FIXED, NO_GRADIENT }, { CASE_DTYPE, ROWS, NO_GRADIENT }, { INT32, ROWS, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_slots,
};

static const struct op_case cases[] = {
    { "one row", .in = { { 5, 8 }, { 1, 8 }, { 1, 1 } } },
    { "odd width, every slot", .in = { { 16, 13 }, { 16, 13 }, { 16, 1 } } },
    { "wider than a span", .in = { { 9, 1500 }, { 4, 1500 }, { 4, 1 } } },
    { "many rows", .in = { { 1000, 24 }, { 800, 24 }, { 800, 1 } } },
    { "bf16", .in = { { 20, 24 }, { 8, 24 }, { 8, 1 } }, .dtype = BF16, .weight_dtype = BF16 },
    { "f32 into bf16", .in = { { 20, 24 }, { 8, 24 }, { 8, 1 } }, .weight_dtype = BF16 },
    { "no rows", .in = { { 4, 6 }, { 0, 6 }, { 0, 1 } } },
};

static void slots_outside_the_cache_are_refused(void **state)
{
    (void)state;
    static const struct op_case outside[] = {
        { "behind", .in = { { 9, 4 }, { 9, 4 }, { 9, 1 } }, .number = { 1 } },
        { "in front", .in = { { 9, 4 }, { 9, 4 }, { 9, 1 } }, .number = { -1 } },
    };
    struct error err;
    for (size_t i = 0; i < COUNT(outside); i++) {
        assert_int_equal(op_forward_status(&test, &outside[i], &err), BAD_DATA);
        assert_non_null(strstr(err.what, "of 9"));
    }
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(slots_outside_the_cache_are_refused) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
