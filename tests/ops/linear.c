/* linear: y = onto + scale * (x w^T + bias), with and without each part, frozen weights in every storage dtype. */
#include "autograd/cpu/rows.h"
#include "tests/harness/op_case.h"

#include <stdlib.h>
#include <string.h>

enum { X, W, BIAS, ONTO };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    linear(g, in[X], in[W], in[BIAS], in[ONTO], c->params.scale);
}

static void reference(struct op_values *v)
{
    int64_t rows = v->n->in[X]->rows, width = v->n->in[X]->cols, out = v->n->in[W]->rows;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < out; o++) {
            double sum = 0;
            for (int64_t i = 0; i < width; i++)
                sum += v->in[X][r * width + i] * v->in[W][o * width + i];
            v->out[0][r * out + o] = (double)v->c->params.scale * (sum + (v->in[BIAS] ? v->in[BIAS][o] : 0)) + (v->in[ONTO] ? v->in[ONTO][r * out + o] : 0);
        }
}

static const struct op_case cases[] = {
    { "one number", .in = { { 1, 1 }, { 1, 1 } }, .params.scale = 1 },
    { "plain", .in = { { 5, 7 }, { 9, 7 } }, .params.scale = 1 },
    { "bias", .in = { { 33, 12 }, { 70, 12 }, { 1, 70 } }, .params.scale = 1 },
    { "onto, scaled", .in = { { 12, 16 }, { 24, 16 }, { 0, 0 }, { 12, 24 } }, .params.scale = 0.25f },
    { "bias and onto", .in = { { 40, 20 }, { 11, 20 }, { 1, 11 }, { 40, 11 } }, .params.scale = 2 },
    { "into a rank", .in = { { 40, 130 }, { 4, 130 } }, .params.scale = 1 },
    { "no rows", .in = { { 0, 6 }, { 5, 6 }, { 1, 5 }, { 0, 5 } }, .params.scale = 1 },
    { "wider than tiles", .in = { { 40, 30 }, { 500, 30 } }, .params.scale = 1 },
    { "weight bf16", .in = { { 21, 18 }, { 13, 18 }, { 1, 13 } }, .params.scale = 1, .weight_dtype = BF16 },
    { "weight f16", .in = { { 10, 18 }, { 13, 18 } }, .params.scale = 1, .weight_dtype = F16 },
    { "all bf16", .in = { { 37, 40 }, { 48, 40 }, { 1, 48 }, { 37, 48 } }, .params.scale = 1, .dtype = BF16, .weight_dtype = BF16 },
    { "bf16, one row", .in = { { 1, 40 }, { 50, 40 } }, .params.scale = 1, .dtype = BF16, .weight_dtype = BF16 },
    { "bf16 activations, f32 weight", .in = { { 35, 24 }, { 8, 24 }, { 0, 0 }, { 35, 8 } }, .params.scale = 0.5f, .dtype = BF16 },
};

static const struct op_test test = {
    .op = &op_linear,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { WEIGHT_DTYPE, FIXED, GRADIENT }, { WEIGHT_DTYPE, FIXED, GRADIENT }, { CASE_DTYPE, ROWS, GRADIENT } },
    .build = build,
    .reference = reference,
};

/* A fresh LoRA adapter (B is zero) is the base model to the bit. */
static void a_zero_weight_leaves_onto_as_it_was(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = { F32, BF16 };
    for (int d = 0; d < 2; d++) {
        struct error err = { 0 };
        struct device device;
        assert_int_equal(device_open(&device, "cpu", 2, &err), OK);
        struct arena *arena = arena_create(NULL);
        enum { ROWS_ = 45, RANK = 16, OUT_ = 130 };
        struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ [ROWS] = ROWS_ }, false);
        struct tensor *x = graph_input(g, "x", dtypes[d], ROWS, 0, RANK), *onto = graph_input(g, "onto", dtypes[d], ROWS, 0, OUT_);
        struct tensor *w = tensor_new(arena, "w", dtypes[d], WEIGHT, OUT_, RANK, arena_alloc(arena, OUT_ * RANK * 4));
        struct tensor *y = linear(g, x, w, NULL, onto, 2);
        float values[ROWS_ * OUT_];
        for (int i = 0; i < ROWS_ * OUT_; i++)
            values[i] = 1.0f / (float)(i + 3);
        x->data = arena_alloc(arena, tensor_bytes(x));
        onto->data = arena_alloc(arena, tensor_bytes(onto));
        y->data = arena_alloc(arena, tensor_bytes(y));
        narrow(x->data, values, dtypes[d], ROWS_ * RANK);
        narrow(onto->data, values, dtypes[d], ROWS_ * OUT_);
        assert_int_equal(op_linear.forward[CPU](&device, g->node[0]), OK);
        assert_memory_equal(y->data, onto->data, tensor_bytes(y));
        arena_destroy(arena);
        device_close(&device);
    }
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(a_zero_weight_leaves_onto_as_it_was) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
