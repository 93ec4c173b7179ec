/* sum_squares: exact to the last f32 bit, and NaN and infinity show. */
#include "tests/harness/op_case.h"

#include <math.h>

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    sum_squares(g, in[0]);
}

static void reference(struct op_values *v)
{
    *v->out[0] = 0;
    for (int64_t i = 0; i < v->n->in[0]->rows * v->n->in[0]->cols; i++)
        *v->out[0] += v->in[0][i] * v->in[0][i];
}

/* number[0]: put into the last place, number[1]: 1 if it is to be */
static void fill_last(const struct op_case *c, const struct node *n, int i, double *values)
{
    int64_t count = n->in[0]->rows * n->in[0]->cols;
    if (i == 0 && c->number[1] != 0)
        values[count - 1] = (double)c->number[0];
}

static const struct op_test test = {
    .op = &op_sum_squares,
    .in = { { FLOAT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_last,
    .tolerance = 6e-8,
};

static const struct op_case cases[] = {
    { "one value", .in = { { 1, 1 } } },
    { "less than a block", .in = { { 1, 4095 } } },
    { "one block and one", .in = { { 1, 4097 } } },
    { "many blocks", .in = { { 1, 100001 } } },
    { "NaN", .in = { { 1, 20000 } }, .number = { NAN, 1 } },
    { "infinity", .in = { { 1, 20000 } }, .number = { -INFINITY, 1 } },
    { "large and small", .in = { { 1, 20000 } }, .number = { 1e18f, 1 } },
    { "nothing", .in = { { 0, 8 } } },
};

static void nan_and_infinity_are_what_comes_out(void **state)
{
    (void)state;
    /* the harness leaves outputs alone whose reference is NaN, so this is asked for here: NaN + anything is not below infinity */
    struct arena *arena = arena_create(NULL);
    struct device device;
    struct error err = { 0 };
    assert_int_equal(device_open(&device, "cpu", 2, &err), OK);
    const int64_t capacity[EXTENTS] = { 0 };
    float values[5000] = { 0 }, sum;
    double partial[2];
    for (int k = 0; k < 3; k++) {
        struct graph *g = graph_new(arena, capacity, false);
        struct tensor *out = sum_squares(g, tensor_new(arena, "x", F32, STATE, 1, 5000, values));
        values[4999] = k == 0 ? 3 : k == 1 ? INFINITY : NAN;
        out->data = &sum;
        g->node[0]->scratch = partial;
        assert_int_equal(op_sum_squares.forward[device.kind](&device, g->node[0]), OK);
        assert_true(k == 0 ? sum == 9 : k == 1 ? isinf(sum) : isnan(sum));
    }
    device_close(&device);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(nan_and_infinity_are_what_comes_out) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
