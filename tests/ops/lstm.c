/* lstm: one bidirectional layer, in PyTorch's order of gates. */
#include "tests/harness/op_case.h"

#include <math.h>

enum { X, WEIGHTS = 4, INPUTS = 9 };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    lstm(g, in[X], (struct lstm_weights){ in[1], in[2], in[3], in[4] }, (struct lstm_weights){ in[5], in[6], in[7], in[8] });
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

/* Gate number `gate` of unit j before its curve. */
static double sum_of(const struct op_values *v, int direction, int64_t t, const double *h, int gate, int64_t j)
{
    const double *const *w = v->in + 1 + direction * WEIGHTS;
    const int64_t in = v->n->in[X]->cols, hidden = v->n->in[2]->cols, row = gate * hidden + j;
    double sum = w[2][row] + w[3][row];
    for (int64_t i = 0; i < in; i++)
        sum += w[0][row * in + i] * v->in[X][t * in + i];
    for (int64_t i = 0; i < hidden; i++)
        sum += w[1][row * hidden + i] * h[i];
    return sum;
}

static void run_direction(struct op_values *v, int direction)
{
    enum { MOST = 64 };
    const int64_t rows = v->n->in[X]->rows, hidden = v->n->in[2]->cols;
    double h[MOST] = { 0 }, c[MOST] = { 0 };
    assert_true(hidden <= MOST);
    for (int64_t step = 0; step < rows; step++) {
        const int64_t t = direction ? rows - 1 - step : step;
        double *y = v->out[0] + (2 * t + direction) * hidden, *gates = v->out[1] + (2 * t + direction) * 4 * hidden;
        for (int64_t j = 0; j < hidden; j++) {
            for (int gate = 0; gate < 4; gate++) {
                const double sum = sum_of(v, direction, t, h, gate, j);
                gates[gate * hidden + j] = gate == 2 ? tanh(sum) : logistic(sum);
            }
            c[j] = gates[hidden + j] * c[j] + gates[j] * gates[2 * hidden + j];
            y[j] = gates[3 * hidden + j] * tanh(c[j]);
            v->out[2][(2 * t + direction) * hidden + j] = c[j];
        }
        for (int64_t j = 0; j < hidden; j++)
            h[j] = y[j];
    }
}

static void reference(struct op_values *v)
{
    run_direction(v, 0);
    run_direction(v, 1);
}

/* Weights as large as layers have them: wide sums of unit normals would drive every gate into its flat ends, where 1 - s has few digits in f32. */
static void fill_weights(const struct op_case *c, const struct node *n, int i, double *values)
{
    (void)c;
    for (int64_t k = 0; i > X && k < n->in[i]->rows * n->in[i]->cols; k++)
        values[k] /= sqrt((double)n->in[i]->cols);
}

static const struct op_test test = {
    .op = &op_lstm,
    .in = { { FLOAT32, ROWS, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, GRADIENT },
            { FLOAT32, FIXED, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_weights,
};

#define LAYER(in, h)                                                                                                                                           \
    { 4 * (h), in }, { 4 * (h), h }, { 1, 4 * (h) },                                                                                                           \
    {                                                                                                                                                          \
        1, 4 * (h)                                                                                                                                             \
    }
#define CASE(rows, in, h)                                                                                                                                      \
    {                                                                                                                                                          \
        { rows, in }, LAYER(in, h), LAYER(in, h)                                                                                                               \
    }

static const struct op_case cases[] = {
    { "one row", .in = CASE(1, 3, 2) },     { "two rows", .in = CASE(2, 5, 3) }, { "one unit", .in = CASE(4, 1, 1) },    { "a few rows", .in = CASE(5, 4, 7) },
    { "wide input", .in = CASE(3, 33, 4) }, { "no rows", .in = CASE(0, 4, 3) },  { "many units", .in = CASE(4, 6, 20) },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
