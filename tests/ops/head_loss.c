/* head_loss: loss, rows, greedy ids and gradients; chunks, ties, large logits; labels outside the vocabulary. */
#include "autograd/cpu/rows.h"
#include "tests/harness/op_case.h"

#include <math.h>
#include <string.h>

enum { X, W, BIAS, LABELS, LOSS_WEIGHT, U, V };
enum { LOSS, ROW_LOSS, GREEDY, LSE, DX, DU, DV };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    (void)c;
    head_loss(g, in[X], in[W], in[BIAS], (struct low_rank){ in[U], in[V] }, in[LABELS], in[LOSS_WEIGHT]);
}

/* number[0]: the loss weight; number[1]: how much larger x is than a normal; number[2]: w repeats itself every ten rows (every logit ties). */
static void fill_inputs(const struct op_case *c, const struct node *n, int i, double *values)
{
    int64_t count = n->in[i]->rows * n->in[i]->cols;
    for (int64_t j = 0; j < count; j++) {
        if (i == LABELS)
            values[j] = (double)op_random(7, j, n->in[W]->rows);
        if (i == LOSS_WEIGHT)
            values[j] = (double)c->number[0];
        if (i == X && c->number[1] > 0)
            values[j] *= (double)c->number[1];
        if (i == W && c->number[2] > 0)
            values[j] = values[j % (10 * n->in[i]->cols)];
    }
}

static void gradient_of_rows(double *dx, const double *w, const double *dlogits, int64_t vocab, int64_t width)
{
    for (int64_t i = 0; i < width; i++) {
        dx[i] = 0;
        for (int64_t o = 0; o < vocab; o++)
            dx[i] += dlogits[o] * w[o * width + i];
    }
}

static void one_row(struct op_values *v, int64_t r)
{
    int64_t width = v->n->in[X]->cols, rank = v->in[U] ? v->n->in[U]->cols : 0, vocab = v->n->in[W]->rows, label = (int64_t)v->in[LABELS][r], greedy = 0;
    double largest = -INFINITY, sum = 0, of_label = 0, weight = v->in[LOSS_WEIGHT][0], logit[2100];
    assert_true(vocab <= 2100);
    for (int64_t o = 0; o < vocab; o++) {
        logit[o] = v->in[BIAS] ? v->in[BIAS][o] : 0;
        for (int64_t i = 0; i < width; i++)
            logit[o] += v->in[X][r * width + i] * v->in[W][o * width + i];
        for (int64_t k = 0; k < rank; k++)
            logit[o] += v->in[U][r * rank + k] * v->in[V][o * rank + k];
        if (logit[o] > largest) {
            largest = logit[o];
            greedy = o;
        }
    }
    for (int64_t o = 0; o < vocab; o++)
        sum += exp(logit[o] - largest);
    of_label = logit[label];
    v->out[LSE][2 * r] = largest;
    v->out[LSE][2 * r + 1] = log(sum);
    v->out[ROW_LOSS][r] = largest + log(sum) - of_label;
    v->out[GREEDY][r] = (double)greedy;
    v->out[LOSS][0] += weight * v->out[ROW_LOSS][r];
    for (int64_t o = 0; o < vocab; o++) /* to dlogits */
        logit[o] = weight * (exp(logit[o] - largest - log(sum)) - (o == label));
    if (v->out[DX])
        gradient_of_rows(v->out[DX] + r * width, v->in[W], logit, vocab, width);
    if (v->out[DU])
        gradient_of_rows(v->out[DU] + r * rank, v->in[V], logit, vocab, rank);
    for (int64_t o = 0; v->out[DV] && o < vocab; o++)
        for (int64_t k = 0; k < rank; k++)
            v->out[DV][o * rank + k] += logit[o] * v->in[U][r * rank + k];
}

static void reference(struct op_values *v)
{
    v->out[LOSS][0] = 0;
    for (int64_t i = 0; v->out[DV] && i < v->n->in[V]->rows * v->n->in[V]->cols; i++)
        v->out[DV][i] = 0;
    for (int64_t r = 0; r < v->n->in[X]->rows; r++)
        one_row(v, r);
}

static const struct op_case cases[] = {
    { "one row", .in = { { 1, 6 }, { 9, 6 }, { 0, 0 }, { 1, 1 }, { 1, 1 } }, .number = { 1 } },
    { "rows", .in = { { 21, 12 }, { 50, 12 }, { 0, 0 }, { 21, 1 }, { 1, 1 } }, .number = { 0.125f } },
    { "bias", .in = { { 10, 12 }, { 33, 12 }, { 1, 33 }, { 10, 1 }, { 1, 1 } }, .number = { 0.5f } },
    { "a vocabulary of one", .in = { { 3, 4 }, { 1, 4 }, { 0, 0 }, { 3, 1 }, { 1, 1 } }, .number = { 1 } },
    { "no rows", .in = { { 0, 4 }, { 7, 4 }, { 1, 7 }, { 0, 1 }, { 1, 1 } }, .number = { 1 } },
    { "wider than a piece", .in = { { 5, 3 }, { 2050, 3 }, { 1, 2050 }, { 5, 1 }, { 1, 1 } }, .number = { 1 } },
    { "several chunks", .in = { { 530, 3 }, { 5, 3 }, { 1, 5 }, { 530, 1 }, { 1, 1 } }, .number = { 0.01f } },
    { "large logits", .in = { { 6, 12 }, { 40, 12 }, { 0, 0 }, { 6, 1 }, { 1, 1 } }, .number = { 1, 20 }, .tolerance = 1e-5, .gradient_tolerance = 1e-4 },
    { "the lowest id wins a tie", .in = { { 6, 12 }, { 40, 12 }, { 0, 0 }, { 6, 1 }, { 1, 1 } }, .number = { 1, 1, 1 } },
    { "weight bf16", .in = { { 9, 12 }, { 40, 12 }, { 0, 0 }, { 9, 1 }, { 1, 1 } }, .number = { 1 }, .weight_dtype = BF16 },
    { "weight f16", .in = { { 9, 12 }, { 40, 12 }, { 0, 0 }, { 9, 1 }, { 1, 1 } }, .number = { 1 }, .weight_dtype = F16 },
    { "all bf16", .in = { { 40, 32 }, { 100, 32 }, { 0, 0 }, { 40, 1 }, { 1, 1 } }, .number = { 0.25f }, .dtype = BF16, .weight_dtype = BF16 },
    { "update", .in = { { 21, 12 }, { 50, 12 }, { 0, 0 }, { 21, 1 }, { 1, 1 }, { 21, 3 }, { 50, 3 } }, .number = { 0.125f } },
    { "update and bias", .in = { { 10, 12 }, { 33, 12 }, { 1, 33 }, { 10, 1 }, { 1, 1 }, { 10, 8 }, { 33, 8 } }, .number = { 0.5f } },
    { "update of several chunks", .in = { { 530, 3 }, { 5, 3 }, { 0, 0 }, { 530, 1 }, { 1, 1 }, { 530, 2 }, { 5, 2 } }, .number = { 0.01f } },
    { "update without rows", .in = { { 0, 4 }, { 7, 4 }, { 1, 7 }, { 0, 1 }, { 1, 1 }, { 0, 2 }, { 7, 2 } }, .number = { 1 } },
    { "update of weights in f16", .in = { { 9, 12 }, { 40, 12 }, { 0, 0 }, { 9, 1 }, { 1, 1 }, { 9, 4 }, { 40, 4 } }, .number = { 1 }, .weight_dtype = F16 },
    { "update in bf16", .in = { { 40, 32 }, { 100, 32 }, { 0, 0 }, { 40, 1 }, { 1, 1 }, { 40, 2 }, { 100, 2 } }, .number = { 0.25f, 0.25f }, .dtype = BF16,
      .weight_dtype = BF16 },
};

static const struct op_test test = {
    .op = &op_head_loss,
    .in = { { CASE_DTYPE, SELECTED, GRADIENT },
            { WEIGHT_DTYPE, FIXED, GRADIENT },
            { WEIGHT_DTYPE, FIXED, GRADIENT },
            { INT32, SELECTED, NO_GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT },
            { CASE_DTYPE, SELECTED, GRADIENT },
            { WEIGHT_DTYPE, FIXED, GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_inputs,
};

static void fill_bad(const struct op_case *c, const struct node *n, int i, double *values)
{
    fill_inputs(c, n, i, values);
    if (i == LABELS)
        values[1] = (double)c->number[3];
}

static void labels_outside_the_vocabulary_are_refused(void **state)
{
    (void)state;
    static const float bad_label[] = { -1, 9, -100 };
    struct op_test bad = test;
    bad.fill = fill_bad;
    for (size_t i = 0; i < COUNT(bad_label); i++) {
        struct op_case c = { "bad", .in = { { 2, 6 }, { 9, 6 }, { 0, 0 }, { 2, 1 }, { 1, 1 } }, .number = { 1, 0, 0, bad_label[i] } };
        struct error err = { 0 };
        assert_int_equal(op_forward_status(&bad, &c, &err), BAD_DATA);
        assert_non_null(strstr(err.what, "row 1"));
    }
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(labels_outside_the_vocabulary_are_refused) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
