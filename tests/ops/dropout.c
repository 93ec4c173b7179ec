/* dropout: the documented mask, its statistics, and that it belongs to rows and not to batches. */
#include "common/random.h"
#include "tests/harness/op_case.h"

#include <math.h>
#include <stdlib.h>

enum { X, ROW_KEY, DRAW };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    dropout(g, in[X], in[ROW_KEY], in[DRAW], c->params.probability);
}

/* One Philox word per column: counter { step, row key, column / 4, stream }, key the seed apart from its other uses. */
static bool keeps(const int32_t draw[3], uint32_t stream, int32_t row_key, int64_t column, double probability)
{
    uint64_t seed = ((uint64_t)(uint32_t)draw[1] << 32 | (uint32_t)draw[0]) ^ random_stream("dropout");
    const uint32_t counter[4] = { (uint32_t)draw[2], (uint32_t)row_key, (uint32_t)(column / 4), stream }, key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    uint32_t word[4];
    philox(counter, key, word);
    return (double)word[column % 4] >= floor(probability * 0x1p32);
}

static void reference(struct op_values *v)
{
    const int32_t draw[3] = { (int32_t)v->in[DRAW][0], (int32_t)v->in[DRAW][1], (int32_t)v->in[DRAW][2] };
    double p = (double)v->c->params.probability;
    int64_t width = v->n->in[X]->cols;
    for (int64_t r = 0; r < v->n->in[X]->rows; r++)
        for (int64_t c = 0; c < width; c++)
            v->out[0][r * width + c] = keeps(draw, v->n->stream, (int32_t)v->in[ROW_KEY][r], c, p) ? v->in[X][r * width + c] / (1 - p) : 0;
}

static void fill_integers(const struct op_case *c, const struct node *n, int i, double *values)
{
    static const double draw[3] = { -123456789, 987654321, 17 };
    (void)c;
    for (int64_t k = 0; i == ROW_KEY && k < n->in[ROW_KEY]->rows; k++)
        values[k] = (double)(1000 + 3 * k);
    for (int k = 0; i == DRAW && k < 3; k++)
        values[k] = draw[k];
}

static const struct op_test test = {
    .op = &op_dropout,
    .in = { { CASE_DTYPE, ROWS, GRADIENT }, { INT32, ROWS, NO_GRADIENT }, { INT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_integers,
};

#define SHAPE(rows, cols) .in = { { rows, cols }, { rows, 1 }, { 1, 3 } }
static const struct op_case cases[] = {
    { "one row", SHAPE(1, 8), .params.probability = 0.5f },
    { "odd width", SHAPE(5, 13), .params.probability = 0.1f },
    { "wider than a span", SHAPE(3, 1027), .params.probability = 0.25f },
    { "many rows", SHAPE(400, 66), .params.probability = 0.05f },
    { "nearly all dropped", SHAPE(9, 70), .params.probability = 0.999f },
    { "bf16", SHAPE(9, 70), .params.probability = 0.5f, .dtype = BF16 },
    { "no rows", SHAPE(0, 70), .params.probability = 0.5f },
};

/* ----- the mask, through the kernel itself */

struct mask_run {
    struct arena *arena;
    struct device device;
    struct error err;
};

static int open_run(void **state)
{
    struct mask_run *run = calloc(1, sizeof *run);
    run->arena = arena_create(NULL);
    *state = run;
    return device_open(&run->device, "cpu", 2, &run->err) == OK ? 0 : -1;
}

static int close_run(void **state)
{
    struct mask_run *run = *state;
    device_close(&run->device);
    arena_destroy(run->arena);
    free(run);
    return 0;
}

/* Dropout of ones: [rows, width] values. */
static float *masked(struct mask_run *run, int64_t rows, int64_t width, const int32_t *keys, const int32_t draw[3], uint32_t stream, float probability)
{
    const int64_t capacity[EXTENTS] = { 0, rows, 0, 0 };
    struct graph *g = graph_new(run->arena, capacity, false);
    struct tensor *x = graph_input(g, "x", F32, ROWS, 0, width), *row_key = graph_input(g, "row_key", I32, ROWS, 0, 1);
    struct tensor *at = graph_input(g, "draw", I32, FIXED, 1, 3), *y = dropout(g, x, row_key, at, probability);
    float *ones = NEW_ARRAY(run->arena, rows * width, float), *out = NEW_ARRAY(run->arena, rows * width, float);
    for (int64_t i = 0; i < rows * width; i++)
        ones[i] = 1;
    x->data = ones;
    row_key->data = (void *)(uintptr_t)keys;
    at->data = (void *)(uintptr_t)draw;
    y->data = out;
    g->node[0]->stream = stream;
    assert_int_equal(op_dropout.forward[run->device.kind](&run->device, g->node[0]), OK);
    return out;
}

enum { ROWS_DRAWN = 500, WIDTH = 203 };
static const int32_t first_draw[3] = { 42, 0, 1 };

static int32_t *counted_keys(struct mask_run *run, int64_t rows, int32_t first)
{
    int32_t *keys = NEW_ARRAY(run->arena, rows, int32_t);
    for (int64_t r = 0; r < rows; r++)
        keys[r] = first + (int32_t)r;
    return keys;
}

static void the_mask_belongs_to_rows_in_any_order_and_batch(void **state)
{
    struct mask_run *run = *state;
    const int32_t *keys = counted_keys(run, ROWS_DRAWN, 0);
    const float *whole = masked(run, ROWS_DRAWN, WIDTH, keys, first_draw, 3, 0.3f);
    int64_t order[ROWS_DRAWN];
    int32_t *shuffled = NEW_ARRAY(run->arena, ROWS_DRAWN, int32_t);
    random_permutation(1, 1, order, ROWS_DRAWN);
    for (int64_t r = 0; r < ROWS_DRAWN; r++)
        shuffled[r] = keys[order[r]];
    const float *mixed = masked(run, ROWS_DRAWN, WIDTH, shuffled, first_draw, 3, 0.3f);
    for (int64_t r = 0; r < ROWS_DRAWN; r++)
        assert_memory_equal(mixed + r * WIDTH, whole + order[r] * WIDTH, WIDTH * sizeof(float));
    const float *tail = masked(run, 100, WIDTH, keys + 400, first_draw, 3, 0.3f);
    assert_memory_equal(tail, whole + 400 * WIDTH, 100 * WIDTH * sizeof(float));
}

static void means_are_kept_and_values_are_zero_or_scaled(void **state)
{
    struct mask_run *run = *state;
    static const float probabilities[] = { 0.05f, 0.3f, 0.5f, 0.9f };
    for (size_t k = 0; k < COUNT(probabilities); k++) {
        float p = probabilities[k];
        const float *y = masked(run, ROWS_DRAWN, WIDTH, counted_keys(run, ROWS_DRAWN, 0), first_draw, 3, p);
        double n = ROWS_DRAWN * WIDTH, kept = 0, pairs = 0;
        for (int i = 0; i < ROWS_DRAWN * WIDTH; i++) {
            assert_true(y[i] == 0 || y[i] == 1 / (1 - p));
            kept += y[i] != 0;
            pairs += i > 0 && y[i] != 0 && y[i - 1] != 0;
        }
        double q = 1 - (double)p;
        assert_true(fabs(kept / n - q) < 4 * sqrt(q * (1 - q) / n));
        assert_true(fabs(pairs / n - q * q) < 8 * sqrt(q * q * (1 - q * q) / n)); /* neighbours do not know each other */
    }
}

/* Each thing a mask depends on, changed alone, gives an unrelated mask. */
static void seed_step_stream_and_row_change_the_mask(void **state)
{
    struct mask_run *run = *state;
    static const struct {
        int32_t draw[3], first_key;
        uint32_t stream;
    } others[] = { { { 43, 0, 1 }, 0, 3 }, { { 42, 1, 1 }, 0, 3 }, { { 42, 0, 2 }, 0, 3 }, { { 42, 0, 1 }, 1, 3 }, { { 42, 0, 1 }, 0, 4 } };
    const float *y = masked(run, ROWS_DRAWN, WIDTH, counted_keys(run, ROWS_DRAWN, 0), first_draw, 3, 0.5f);
    for (size_t k = 0; k < COUNT(others); k++) {
        const float *z = masked(run, ROWS_DRAWN, WIDTH, counted_keys(run, ROWS_DRAWN, others[k].first_key), others[k].draw, others[k].stream, 0.5f);
        double same = 0, n = ROWS_DRAWN * WIDTH;
        for (int i = 0; i < ROWS_DRAWN * WIDTH; i++)
            same += (y[i] != 0) == (z[i] != 0);
        assert_true(fabs(same / n - 0.5) < 4 * sqrt(0.25 / n));
    }
}

static void probability_zero_is_no_op_and_others_are_refused(void **state)
{
    struct mask_run *run = *state;
    const int64_t capacity[EXTENTS] = { 0, 4, 0, 0 };
    static const float refused[] = { -0.1f, 1, 2, NAN };
    for (size_t k = 0; k <= COUNT(refused); k++) {
        struct graph *g = graph_new(run->arena, capacity, false);
        struct tensor *x = graph_input(g, "x", F32, ROWS, 0, 8), *row_key = graph_input(g, "row_key", I32, ROWS, 0, 1);
        struct tensor *y = dropout(g, x, row_key, graph_input(g, "draw", I32, FIXED, 1, 3), k < COUNT(refused) ? refused[k] : 0);
        assert_int_equal(g->error.code, k < COUNT(refused) ? BAD_MODEL : OK);
        assert_true((y == x) == (k == COUNT(refused)));
    }
}

int main(void)
{
    const struct CMUnitTest more[] = {
        cmocka_unit_test_setup_teardown(the_mask_belongs_to_rows_in_any_order_and_batch, open_run, close_run),
        cmocka_unit_test_setup_teardown(means_are_kept_and_values_are_zero_or_scaled, open_run, close_run),
        cmocka_unit_test_setup_teardown(seed_step_stream_and_row_change_the_mask, open_run, close_run),
        cmocka_unit_test_setup_teardown(probability_zero_is_no_op_and_others_are_refused, open_run, close_run),
    };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
