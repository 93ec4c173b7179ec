/* adamw: one update against PyTorch's formulas in double precision. */
#include "tests/harness/op_case.h"

#include <math.h>

enum { VALUE, GRAD, FIRST, SECOND, NORM_SQUARED, HYPER, ENDS, FACTORS };
enum { RATE, BETA1, BETA2, EPSILON, DECAY, MAX_NORM, STEP };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    adamw(g, in[VALUE], in[GRAD], in[FIRST], in[SECOND], in[NORM_SQUARED], in[HYPER], in[ENDS], in[FACTORS]);
}

static void reference(struct op_values *v)
{
    const double *hyper = v->in[HYPER];
    double clip = 1, norm = sqrt(*v->in[NORM_SQUARED]), beta1 = hyper[BETA1], beta2 = hyper[BETA2];
    if (hyper[MAX_NORM] > 0)
        clip = fmin(1, hyper[MAX_NORM] / (norm + 1e-6));
    const int64_t ranges = v->n->in[ENDS]->rows;
    for (int64_t i = 0, range = 0; i < v->n->in[VALUE]->cols; i++) {
        while (range < ranges - 1 && (double)i >= 16 * v->in[ENDS][range])
            range++;
        const double rate = hyper[RATE] * v->in[FACTORS][2 * range], decay = hyper[DECAY] * v->in[FACTORS][2 * range + 1];
        double g = v->in[GRAD][i] * clip;
        double m = v->state[FIRST][i] = beta1 * v->in[FIRST][i] + (1 - beta1) * g;
        double s = v->state[SECOND][i] = beta2 * v->in[SECOND][i] + (1 - beta2) * g * g;
        double p = v->in[VALUE][i] * (1 - rate * decay);
        if (m != 0)
            p -= rate / (1 - pow(beta1, hyper[STEP])) * m / (sqrt(s) / sqrt(1 - pow(beta2, hyper[STEP])) + hyper[EPSILON]);
        v->state[VALUE][i] = p;
    }
}

/* number: learning rate, weight decay, max norm, step. Moments of the first step are zero; every fifth gradient and its moments always are; eps is 0 in steps
 * beyond 1000, so that gaps are tried without it. */
static void fill_inputs(const struct op_case *c, const struct node *n, int i, double *values)
{
    int64_t count = n->in[i]->cols;
    const double hyper[8] = { (double)c->number[0], 0.9, 0.999, c->number[3] > 1000 ? 0 : 1e-8, (double)c->number[1], (double)c->number[2],
                              (double)c->number[3], NAN };
    for (int64_t k = 0; k < count; k++) {
        if (i == HYPER)
            values[k] = hyper[k];
        for (int64_t r = 0; i == ENDS && r < n->in[i]->rows; r++)
            values[r] = (double)(r + 1);
        if (i == SECOND)
            values[k] *= values[k];
        if ((i == FIRST || i == SECOND) && c->number[3] <= 1)
            values[k] = 0;
        if ((i == GRAD || i == FIRST || i == SECOND) && k % 5 == 4)
            values[k] = 0;
        if (i == NORM_SQUARED)
            values[k] = 9;
    }
}

static const struct op_test test = {
    .op = &op_adamw,
    .in = { { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { INT32, FIXED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_inputs,
    .tolerance = 5e-7,
};

#define CUT(n, ranges) .in = { { 1, n }, { 1, n }, { 1, n }, { 1, n }, { 1, 1 }, { 1, 8 }, { ranges, 1 }, { ranges, 2 } }
#define COUNTED(n)     CUT(n, 1)
static const struct op_case cases[] = {
    { "first step", COUNTED(16), .number = { 1e-3f, 0, 0, 1 } },
    { "weight decay", COUNTED(37), .number = { 1e-2f, 0.1f, 0, 2 } },
    { "clipped", COUNTED(4097), .number = { 1e-3f, 0.01f, 1, 7 } },
    { "below the largest norm", COUNTED(64), .number = { 1e-3f, 0, 5, 3 } },
    { "many values", COUNTED(20011), .number = { 3e-4f, 0.01f, 1, 100 } },
    { "four ranges", CUT(75, 4), .number = { 1e-2f, 0.1f, 1, 3 } },
    { "late, no epsilon", COUNTED(50), .number = { 1e-4f, 0, 0, 100000 } },
};

static void what_is_zero_stays_zero_and_what_has_no_gradient_stays_put(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    struct device device;
    struct error err = { 0 };
    assert_int_equal(device_open(&device, "cpu", 2, &err), OK);
    const int64_t capacity[EXTENTS] = { 0 };
    float value[32] = { 0 }, grad[32] = { 0 }, first[32] = { 0 }, second[32] = { 0 }, norm = 0, hyper[8] = { 0.1f, 0.9f, 0.999f, 0, 0, 1, 1, 0 };
    value[7] = 0.1f;
    struct graph *g = graph_new(arena, capacity, false);
    float *const vectors[] = { value, grad, first, second };
    struct tensor *t[4];
    for (int i = 0; i < 4; i++)
        t[i] = tensor_new(arena, "vector", F32, STATE, 1, 32, vectors[i]);
    int32_t end = 1;
    float factors[2] = { 1, 1 };
    adamw(g, t[0], t[1], t[2], t[3], tensor_new(arena, "norm", F32, STATE, 1, 1, &norm), tensor_new(arena, "hyper", F32, STATE, 1, 8, hyper),
          tensor_new(arena, "ends", I32, STATE, 1, 1, &end), tensor_new(arena, "factors", F32, STATE, 1, 2, factors));
    assert_int_equal(op_adamw.forward[device.kind](&device, g->node[0]), OK);
    for (int i = 0; i < 32; i++)
        assert_true(value[i] == (i == 7 ? 0.1f : 0) && first[i] == 0 && second[i] == 0);
    device_close(&device);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(what_is_zero_stays_zero_and_what_has_no_gradient_stays_put) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
