/* rope_angles: cos and sin of f32 products, and frequencies that depend on the length of each sequence. */
#include "tests/harness/op_case.h"

#include <math.h>
#include <string.h>

enum { POSITIONS, SPANS, INV_FREQ };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    rope_angles(g, in[POSITIONS], in[SPANS], in[INV_FREQ], c->params.angles.dynamic, c->params.angles.amplitude);
}

/* The product is rounded to f32, as in transformers: at position 100000 that moves an angle by up to 0.004. */
static void reference_rows(struct op_values *v, int64_t first, int64_t end, const double *frequency)
{
    int64_t n = v->n->in[INV_FREQ]->cols;
    double amplitude = (double)v->c->params.angles.amplitude;
    for (int64_t r = first; r < end; r++)
        for (int64_t j = 0; j < n; j++) {
            double angle = (double)((float)v->in[POSITIONS][r] * (float)frequency[j]);
            v->out[0][r * 2 * n + j] = amplitude * cos(angle);
            v->out[0][r * 2 * n + n + j] = amplitude * sin(angle);
        }
}

static void reference(struct op_values *v)
{
    const struct dynamic_rope dynamic = v->c->params.angles.dynamic;
    int64_t n = v->n->in[INV_FREQ]->cols;
    if (dynamic.factor == 0) {
        reference_rows(v, 0, v->n->in[POSITIONS]->rows, v->in[INV_FREQ]);
        return;
    }
    for (int64_t s = 0; s < v->n->in[SPANS]->rows; s++) {
        int64_t first = (int64_t)v->in[SPANS][4 * s], end = first + (int64_t)v->in[SPANS][4 * s + 1];
        double grown[64], length = 0, size = 2 * (double)n, factor = (double)dynamic.factor;
        for (int64_t r = first; r < end; r++)
            length = fmax(length, v->in[POSITIONS][r] + 1);
        double base = (double)dynamic.base * pow(factor * length / dynamic.original - (factor - 1), size / (size - 2));
        for (int64_t j = 0; j < n; j++)
            grown[j] = length > dynamic.original ? pow(base, -2 * (double)j / size) : v->in[INV_FREQ][j];
        reference_rows(v, first, end, grown);
    }
}

/* number[0]: where positions start; number[1]: added to the first row of the last sequence. Sequences share the rows about evenly. */
static void fill_inputs(const struct op_case *c, const struct node *n, int i, double *values)
{
    int64_t rows = n->in[POSITIONS]->rows, sequences = n->in[SPANS]->rows;
    for (int64_t j = 0; i == INV_FREQ && j < n->in[INV_FREQ]->cols; j++)
        values[j] = pow(10000, -(double)j / (double)n->in[INV_FREQ]->cols);
    for (int64_t s = 0; i != INV_FREQ && s < sequences; s++) {
        /* the first sequence is the longest */
        int64_t first = s == 0 ? 0 : rows / 2 + (rows - rows / 2) * (s - 1) / (sequences - 1);
        int64_t end = s + 1 == sequences ? rows : rows / 2 + (rows - rows / 2) * s / (sequences - 1);
        for (int64_t r = first; i == POSITIONS && r < end; r++)
            values[r] = (double)(r - first) + (double)c->number[0];
        const double span[] = { (double)first + (s + 1 == sequences ? (double)c->number[1] : 0), (double)(end - first), 0, (double)(end - first) };
        if (i == SPANS)
            memcpy(values + 4 * s, span, sizeof span);
    }
}

static const struct op_test test = {
    .op = &op_rope_angles,
    .in = { { INT32, ROWS, NO_GRADIENT }, { INT32, SEQUENCES, NO_GRADIENT }, { FLOAT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_inputs,
    .tolerance = 2e-7,
};

#define PLAIN            .params.angles.amplitude = 1
#define DYNAMIC(b, f, o) .params.angles = { .dynamic = { .base = b, .factor = f, .original = o }, .amplitude = 1 }, .tolerance = 2e-5
static const struct op_case cases[] = {
    { "one row", .in = { { 1, 1 }, { 1, 4 }, { 1, 4 } }, PLAIN },
    { "odd count, amplitude", .in = { { 9, 1 }, { 2, 4 }, { 1, 5 } }, .params.angles.amplitude = 1.2f },
    { "far positions", .in = { { 40, 1 }, { 1, 4 }, { 1, 32 } }, PLAIN, .number = { 131000 } },
    { "many rows", .in = { { 900, 1 }, { 3, 4 }, { 1, 33 } }, PLAIN },
    { "dynamic, all short", .in = { { 40, 1 }, { 3, 4 }, { 1, 8 } }, DYNAMIC(10000, 4, 64) },
    { "dynamic, one long", .in = { { 90, 1 }, { 3, 4 }, { 1, 8 } }, DYNAMIC(10000, 4, 30) },
    { "dynamic, all long", .in = { { 90, 1 }, { 3, 4 }, { 1, 16 } }, DYNAMIC(500000, 2, 8) },
    { "no rows", .in = { { 0, 1 }, { 0, 4 }, { 1, 8 } }, PLAIN },
};

static void sequences_outside_the_batch_are_refused(void **state)
{
    (void)state;
    static const struct op_case outside[] = {
        { "behind", .in = { { 40, 1 }, { 3, 4 }, { 1, 8 } }, DYNAMIC(10000, 4, 64), .number = { 0, 1 } },
        { "in front", .in = { { 40, 1 }, { 3, 4 }, { 1, 8 } }, DYNAMIC(10000, 4, 64), .number = { 0, -31 } },
    };
    struct error err;
    for (size_t i = 0; i < COUNT(outside); i++) {
        assert_int_equal(op_forward_status(&test, &outside[i], &err), BAD_DATA);
        assert_non_null(strstr(err.what, "sequence 2"));
    }
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(sequences_outside_the_batch_are_refused) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
