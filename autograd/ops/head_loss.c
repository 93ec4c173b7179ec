/* head_loss: the last projection and cross entropy as one op, by chunks of rows.
 *
 *     logits = x w^T + bias + u v^T       row_loss = log(sum exp(logits)) - logits[label]       loss = weight * sum of row_loss
 *     dlogits = weight * (softmax(logits) - onehot(label))       dx = dlogits w       dw = dlogits^T x       dbias = column sums of dlogits
 *                                                                du = dlogits v       dv = dlogits^T u
 *
 * A chunk's logits live in scratch only. While they are there the gradients of x, u and v are made too, for a loss gradient of 1; backward scales them.
 * Gradients of w and bias are for the rare runs that train the head itself: backward makes the logits again, with the log-sum that forward kept.
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <math.h>
#include <string.h>

enum { X, W, BIAS, LABELS, LOSS_WEIGHT, U, V }; /* in: see ops.h */
enum {
    LOSS,
    ROW_LOSS,
    GREEDY,
    LSE,
    DX,
    DU,
    DV
}; /* out: lse [n, 2]: largest logit, and log of the sum of exp(logit - largest); dx, du, dv like x, u, v: only of those that want a gradient */

enum { LOGITS_BYTES = 32 << 20, LEAST_ROWS = 16, MOST_ROWS = 512, PIECE = 1024 };

static bool wants_early(const struct graph *g, const struct tensor *t)
{
    return g->gradients && t && t->wants_grad;
}

struct head_loss head_loss(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *bias, struct low_rank update, struct tensor *labels,
                           struct tensor *weight)
{
    expect_shape(g, "head_loss", w, -1, x->cols);
    if (bias)
        expect_shape(g, "head_loss", bias, 1, w->capacity);
    if (!update.u != !update.v) {
        graph_fail(g, "head_loss: an update is two factors");
    } else if (update.u) {
        expect_shape(g, "head_loss", update.v, w->capacity, update.u->cols);
        expect_rows_of(g, "head_loss", update.u, x);
    }
    expect_shape(g, "head_loss", labels, -1, 1);
    expect_rows_of(g, "head_loss", labels, x);
    expect_shape(g, "head_loss", weight, 1, 1);
    struct node *n = record(g, &op_head_loss, x, w, bias, labels, weight, update.u, update.v);
    struct head_loss h = { .loss = output_fixed(n, LOSS, F32, 1, 1),
                           .row_loss = no_gradient(output(n, ROW_LOSS, F32, x, 1)),
                           .greedy = output(n, GREEDY, I32, x, 1) };
    no_gradient(output(n, LSE, F32, x, 2));
    if (wants_early(g, x))
        no_gradient(output(n, DX, x->dtype, x, x->cols));
    if (wants_early(g, update.u))
        no_gradient(output(n, DU, update.u->dtype, x, update.u->cols));
    if (wants_early(g, update.v))
        no_gradient(output_fixed(n, DV, F32, update.v->capacity, update.v->cols));
    return h;
}

/* Rows whose logits are made at a time: fixed by the vocabulary alone. */
static int64_t chunk_rows(const struct node *n)
{
    int64_t rows = LOGITS_BYTES / (int64_t)sizeof(float) / n->in[W]->rows / LEAST_ROWS * LEAST_ROWS;
    return rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
}

static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    int64_t rows = chunk_rows(n), capacity = n->in[X]->capacity;
    return (size_t)((rows < capacity ? rows : capacity) * n->in[W]->rows) * sizeof(float);
}

/* Some rows and their logits. */
struct chunk {
    const struct node *n;
    int64_t first, rows, vocab;
    float *logits;
    float weight;
};

static void *rows_from(const struct tensor *t, int64_t row)
{
    return row ? (char *)t->data + (size_t)(row * t->cols) * dtype_bytes(t->dtype) : t->data; /* there is no data yet when products are made ready */
}

static enum status add_product(struct device *device, const struct chunk *c, const struct tensor *x, const struct tensor *w, bool add, gemm_call *call)
{
    struct operand rows = { rows_from(x, c->first), x->dtype, x->cols, false }, vocab = { w->data, w->dtype, w->cols, true };
    return call(device, c->rows, c->vocab, x->cols, 1, rows, vocab, add ? 1 : 0, c->logits, F32, c->vocab);
}

static enum status make_logits(struct device *device, const struct chunk *c, gemm_call *call)
{
    struct tensor *const *in = c->n->in;
    TRY(add_product(device, c, in[X], in[W], false, call));
    return in[U] ? add_product(device, c, in[U], in[V], true, call) : OK;
}

static void add_bias(float *logits, const struct tensor *bias)
{
    float values[PIECE];
    for (int64_t j = 0; bias && j < bias->cols; j += PIECE) {
        int64_t count = bias->cols - j < PIECE ? bias->cols - j : PIECE;
        widen(values, (char *)bias->data + (size_t)j * dtype_bytes(bias->dtype), bias->dtype, count);
        for (int64_t i = 0; i < count; i++)
            logits[j + i] += values[i];
    }
}

/* The largest logit, where it is first, and the sum of exp(logit - largest): in pieces, so that a long sum stays exact. */
static WIDE double sum_exp(const float *logits, int64_t vocab, float *largest, int32_t *where)
{
    float top = -INFINITY;
    double total = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < vocab; j++)
        top = top > logits[j] ? top : logits[j];
    int64_t at = 0;
    while (at < vocab && logits[at] != top)
        at++;
    *where = (int32_t)(at < vocab ? at : 0);
    *largest = top;
    for (int64_t j = 0; j < vocab; j += PIECE) {
        int64_t end = j + PIECE < vocab ? j + PIECE : vocab;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = j; i < end; i++)
            sum += exp_f32(logits[i] - top);
        total += (double)sum;
    }
    return total;
}

/* Logits become dlogits. lse: the logarithm of the sum of exponentials in two parts, whose sum would round p - 1 away where p is almost 1. */
static WIDE void logit_gradients(float *logits, int64_t vocab, const float *lse, int32_t label, float weight)
{
    const float top = lse[0], log_sum = lse[1];
#pragma omp simd
    for (int64_t j = 0; j < vocab; j++)
        logits[j] = exp_f32(logits[j] - top - log_sum) * weight;
    logits[label] -= weight;
}

/* The product with bf16 weights is a bf16 product: the row shrinks where it lies. */
static void shrink_row(float *row, int64_t count)
{
    float values[PIECE];
    for (int64_t j = 0; j < count; j += PIECE) {
        int64_t some = count - j < PIECE ? count - j : PIECE;
        memcpy(values, row + j, (size_t)some * sizeof(float));
        narrow((char *)row + 2 * j, values, BF16, some);
    }
}

static bool shrinks(const struct node *n)
{
    return n->in[X]->dtype == BF16 && n->in[W]->dtype == BF16;
}

static bool makes_gradients(const struct node *n)
{
    return n->out[DX] || n->out[DU] || n->out[DV];
}

static void finish_rows(struct device *device, const struct chunk *c)
{
    const struct node *n = c->n;
    const int32_t *label = (const int32_t *)n->in[LABELS]->data + c->first;
    float *lse = (float *)n->out[LSE]->data + 2 * c->first, *row_loss = (float *)n->out[ROW_LOSS]->data + c->first;
    int32_t *greedy = (int32_t *)n->out[GREEDY]->data + c->first;
#pragma omp parallel for schedule(dynamic) num_threads(device->threads) if (c->rows > 1)
    for (int64_t r = 0; r < c->rows; r++) {
        float *logits = c->logits + r * c->vocab, largest;
        add_bias(logits, n->in[BIAS]);
        double log_sum = log(sum_exp(logits, c->vocab, &largest, &greedy[r]));
        lse[2 * r] = largest;
        lse[2 * r + 1] = (float)log_sum;
        row_loss[r] = (float)((double)largest - (double)logits[label[r]] + log_sum);
        if (!makes_gradients(n))
            continue;
        logit_gradients(logits, c->vocab, lse + 2 * r, label[r], c->weight);
        if (shrinks(n))
            shrink_row(logits, c->vocab);
    }
}

static struct operand dlogits_of(const struct chunk *c, bool transposed)
{
    const bool shrunk = shrinks(c->n);
    return (struct operand){ c->logits, shrunk ? BF16 : F32, shrunk ? 2 * c->vocab : c->vocab, transposed };
}

/* dlogits w, where it is to be made: dx of w, du of v. */
static enum status make_rows(struct device *device, const struct chunk *c, const struct tensor *w, const struct tensor *dx, gemm_call *call)
{
    if (!dx)
        return OK;
    struct operand vocab = { w->data, w->dtype, w->cols, false };
    return call(device, c->rows, dx->cols, c->vocab, 1, dlogits_of(c, false), vocab, 0, rows_from(dx, c->first), dx->dtype, dx->cols);
}

static enum status make_dv(struct device *device, const struct chunk *c, bool add, gemm_call *call)
{
    const struct tensor *u = c->n->in[U], *dv = c->n->out[DV];
    if (!dv)
        return OK;
    struct operand rows = { rows_from(u, c->first), u->dtype, u->cols, false };
    return call(device, c->vocab, dv->cols, c->rows, 1, dlogits_of(c, true), rows, add ? 1 : 0, dv->data, F32, dv->cols);
}

static enum status make_gradients(struct device *device, const struct chunk *c, bool add, gemm_call *call)
{
    const struct node *n = c->n;
    TRY(make_rows(device, c, n->in[W], n->out[DX], call));
    TRY(make_rows(device, c, n->in[V], n->out[DU], call));
    return make_dv(device, c, add, call);
}

static enum status check_labels(struct device *device, const struct node *n)
{
    const int32_t *label = n->in[LABELS]->data;
    for (int64_t r = 0; r < n->in[X]->rows; r++)
        if (label[r] < 0 || label[r] >= n->in[W]->rows)
            return fail_with(device->err, BAD_DATA, "head_loss: row %lld has label %d, the vocabulary has %lld entries",
                             "the tokenizer and the model may not belong together", (long long)r, (int)label[r], (long long)n->in[W]->rows);
    return OK;
}

static struct chunk chunk_at(const struct node *n, int64_t first, float weight)
{
    int64_t rows = chunk_rows(n), left = n->in[X]->rows - first;
    return (struct chunk){ n, first, rows < left ? rows : left, n->in[W]->rows, n->scratch, weight };
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    float weight = *(const float *)n->in[LOSS_WEIGHT]->data;
    double sum = 0;
    TRY(check_labels(device, n));
    int64_t first = 0;
    do { /* once without rows too: dv is set to 0 */
        struct chunk c = chunk_at(n, first, weight);
        TRY(make_logits(device, &c, gemm));
        finish_rows(device, &c);
        TRY(make_gradients(device, &c, first > 0, gemm));
        for (int64_t r = 0; r < c.rows; r++)
            sum += (double)((const float *)n->out[ROW_LOSS]->data)[first + r];
        first += chunk_rows(n);
    } while (first < n->in[X]->rows);
    *(float *)n->out[LOSS]->data = (float)((double)weight * sum);
    return OK;
}

static void scale_gradient(struct device *device, const struct tensor *to, const struct tensor *dx, float scale, bool add)
{
    int64_t size = dx->rows * dx->cols;
#pragma omp parallel for num_threads(device->threads)
    for (int64_t at = 0; at < size; at += PIECE) {
        float values[PIECE], there[PIECE];
        int64_t count = size - at < PIECE ? size - at : PIECE;
        char *out = (char *)to->data + (size_t)at * dtype_bytes(to->dtype);
        widen(values, (char *)dx->data + (size_t)at * dtype_bytes(dx->dtype), dx->dtype, count);
        if (add)
            widen(there, out, to->dtype, count);
        for (int64_t i = 0; i < count; i++)
            values[i] = values[i] * scale + (add ? there[i] : 0);
        narrow(out, values, to->dtype, count);
    }
}

/* Column sums of the chunk's dlogits, set or added; threads share columns, rows are summed in order. */
static void bias_gradient(struct device *device, const struct chunk *c, const struct tensor *dbias, bool add)
{
#pragma omp parallel for num_threads(device->threads)
    for (int64_t j = 0; j < c->vocab; j += PIECE) {
        float sum[PIECE] = { 0 };
        int64_t count = c->vocab - j < PIECE ? c->vocab - j : PIECE;
        char *out = (char *)dbias->data + (size_t)j * dtype_bytes(dbias->dtype);
        if (add)
            widen(sum, out, dbias->dtype, count);
        for (int64_t r = 0; r < c->rows; r++)
            for (int64_t i = 0; i < count; i++)
                sum[i] += c->logits[r * c->vocab + j + i];
        narrow(out, sum, dbias->dtype, count);
    }
}

static enum status make_dw(struct device *device, const struct chunk *c, bool add, gemm_call *call)
{
    const struct tensor *x = c->n->in[X], *dw = c->n->in[W]->grad;
    struct operand dlogits = { c->logits, F32, c->vocab, true }, rows = { rows_from(x, c->first), x->dtype, x->cols, false };
    return call(device, c->vocab, dw->cols, c->rows, 1, dlogits, rows, add ? 1 : 0, dw->data, dw->dtype, dw->cols);
}

static enum status head_gradients(struct device *device, const struct chunk *c, bool add_w, bool add_bias_too)
{
    const struct node *n = c->n;
    const int32_t *label = (const int32_t *)n->in[LABELS]->data + c->first;
    const float *lse = (const float *)n->out[LSE]->data + 2 * c->first;
    TRY(make_logits(device, c, gemm));
#pragma omp parallel for schedule(dynamic) num_threads(device->threads)
    for (int64_t r = 0; r < c->rows; r++) {
        add_bias(c->logits + r * c->vocab, n->in[BIAS]);
        logit_gradients(c->logits + r * c->vocab, c->vocab, lse + 2 * r, label[r], c->weight);
    }
    if (wants(n, BIAS))
        bias_gradient(device, c, n->in[BIAS]->grad, add_bias_too);
    return wants(n, W) ? make_dw(device, c, add_w, gemm) : OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    float dloss = *(const float *)n->out[LOSS]->grad->data;
    const int early[][2] = { { X, DX }, { U, DU }, { V, DV } };
    for (size_t i = 0; i < COUNT(early); i++)
        if (wants(n, early[i][0]))
            scale_gradient(device, n->in[early[i][0]]->grad, n->out[early[i][1]], dloss, adds(n, early[i][0]));
    if (!wants(n, W) && !wants(n, BIAS))
        return OK;
    float weight = dloss * *(const float *)n->in[LOSS_WEIGHT]->data;
    int64_t first = 0;
    do { /* once without rows too: gradients are set to 0 */
        struct chunk c = chunk_at(n, first, weight);
        TRY(head_gradients(device, &c, first > 0 || adds(n, W), first > 0 || adds(n, BIAS)));
        first += chunk_rows(n);
    } while (first < n->in[X]->rows);
    return OK;
}

static enum status prepare_cpu(struct device *device, const struct node *n)
{
    const struct chunk c = chunk_at(n, 0, 0);
    TRY(make_logits(device, &c, gemm_prepare));
    TRY(make_gradients(device, &c, true, gemm_prepare));
    return wants(n, W) ? make_dw(device, &c, true, gemm_prepare) : OK;
}

enum { HEAD = IN(X) | IN(W) | IN(BIAS) | IN(LABELS) | IN(LOSS_WEIGHT) | IN(U) | IN(V) | OUT(LSE) };

const struct op op_head_loss = {
    .name = "head_loss",
    .reads = { [X] = OUT(DX), [W] = HEAD, [BIAS] = HEAD, [U] = OUT(DU), [V] = OUT(DV) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(head_loss_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(head_loss_backward) },
    .prepare = { [CPU] = prepare_cpu },
    .scratch = scratch,
    .in_place = NONE,
};
