/* cast between all float dtypes; the gradient keeps the dtype of what was cast. */
#include "tests/harness/op_case.h"

#include <math.h>

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    cast(g, in[0], (enum dtype)(int)c->number[0]);
}

/* Nothing is rounded here: bf16 keeps 8 bits and f16 11, which the cases' tolerances allow. */
static void reference(struct op_values *v)
{
    for (int64_t i = 0; i < v->n->out[0]->rows * v->n->out[0]->cols; i++)
        v->out[0][i] = v->in[0][i];
}

static const struct op_test test = { .op = &op_cast, .in = { { CASE_DTYPE, ROWS, GRADIENT } }, .build = build, .reference = reference };
static const struct op_test parameter_test = { .op = &op_cast, .in = { { WEIGHT_DTYPE, FIXED, GRADIENT } }, .build = build, .reference = reference };

/* Gradients are copied, so they are exact. number[0]: the dtype wanted */
static const struct op_case cases[] = {
    { "f32 to bf16, one row", .in = { { 1, 8 } }, .number = { BF16 }, .tolerance = 0x1p-8 },
    { "f32 to bf16, wider than a span", .in = { { 3, 1027 } }, .number = { BF16 }, .tolerance = 0x1p-8 },
    { "f32 to f16, odd width", .in = { { 5, 13 } }, .number = { F16 }, .tolerance = 0x1p-11 },
    { "bf16 to f32, many rows", .in = { { 300, 70 } }, .dtype = BF16, .number = { F32 }, .tolerance = 1e-12 },
    { "f16 to f32", .in = { { 4, 33 } }, .dtype = F16, .number = { F32 }, .tolerance = 1e-12 },
    { "bf16 to f16", .in = { { 4, 33 } }, .dtype = BF16, .number = { F16 }, .tolerance = 0x1p-11 },
    { "f16 to bf16", .in = { { 4, 33 } }, .dtype = F16, .number = { BF16 }, .tolerance = 0x1p-8 },
    { "no rows", .in = { { 0, 16 } }, .number = { BF16 } },
};
static const struct op_case parameter_cases[] = {
    { "a parameter", .in = { { 9, 130 } }, .number = { BF16 }, .tolerance = 0x1p-8 },
    { "a parameter in bf16", .in = { { 9, 130 } }, .weight_dtype = BF16, .number = { F32 }, .tolerance = 1e-12 },
};

static void an_equal_dtype_is_no_cast(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    const int64_t capacity[EXTENTS] = { 0, 4, 4, 4 };
    struct graph *g = graph_new(arena, capacity, true);
    struct tensor *x = graph_input(g, "x", BF16, ROWS, 0, 3);
    assert_ptr_equal(cast(g, x, BF16), x);
    assert_int_equal(g->nodes, 0);
    arena_destroy(arena);
}

static void the_gradient_of_a_cast_parameter_is_f32(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    const int64_t capacity[EXTENTS] = { 0 };
    struct graph *g = graph_new(arena, capacity, true);
    struct tensor *w = tensor_new(arena, "w", F32, PARAMETER, 4, 3, NULL);
    w->wants_grad = true;
    struct tensor *y = cast(g, w, BF16);
    assert_int_equal(y->dtype, BF16);
    assert_int_equal(y->grad_dtype, F32);
    assert_true(y->wants_grad);
    cast(g, graph_input(g, "ids", I32, FIXED, 1, 3), F32);
    assert_int_equal(g->error.code, BAD_MODEL);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest more[] = {
        cmocka_unit_test(an_equal_dtype_is_no_cast),
        cmocka_unit_test(the_gradient_of_a_cast_parameter_is_f32),
    };
    int failed = op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
    return failed + op_test_run(&parameter_test, parameter_cases, COUNT(parameter_cases), NULL, 0);
}
