/* lstm: one bidirectional layer over the rows of x as one sequence, from zero states. Per direction, with r the row that came before in its order:
 *
 *     i, f, g, o = s(a_i), s(a_f), tanh(a_g), s(a_o)        a[t] = W_ih x[t] + b_ih + W_hh h[r] + b_hh
 *     c[t] = f c[r] + i g                                   h[t] = o tanh(c[t])          y[t] = (h forward, h reverse)
 *
 * and backward, in the opposite order, with dh[t] = dy[t] + W_hh^T da[n] and dc[t] = dh[t] o (1 - tanh(c[t])^2) + f[n] dc[n], n the row that comes next:
 *
 *     da_i = dc g i (1 - i)    da_f = dc c[r] f (1 - f)    da_g = dc i (1 - g^2)    da_o = dh tanh(c) o (1 - o)
 *     dx = da W_ih       dW_ih = da^T x       dW_hh = da^T h[r]       db_ih = db_hh = sum over rows of da
 *
 * Gates lie in PyTorch's order. Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers et al. 2000; PyTorch's nn.LSTM
 * for layout and biases.
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { X, FIRST };                        /* in:  x [rows, in], then for forward and reverse: */
enum { W_IH, W_HH, B_IH, B_HH, WEIGHTS }; /*      w_ih [4h, in], w_hh [4h, h], b_ih [1, 4h], b_hh [1, 4h] */
enum { Y, GATES, CELLS };                 /* out: y [rows, 2h]; i, f, g, o of both directions [rows, 8h]; c of both [rows, 2h] */
enum { FORWARD_ORDER, REVERSE_ORDER, DIRECTIONS };

/* One direction of a node: where its columns begin, and the rows in its order. */
struct direction {
    const struct node *n;
    int which;
    int64_t rows, hidden;
};

static int input_of(const struct direction *d, int weight)
{
    return FIRST + d->which * WEIGHTS + weight;
}

static const struct tensor *weight_of(const struct direction *d, int weight)
{
    return d->n->in[input_of(d, weight)];
}

/* The row at a place of the direction's order. */
static int64_t row_at(const struct direction *d, int64_t place)
{
    return d->which == FORWARD_ORDER ? place : d->rows - 1 - place;
}

static float *gates_of(const struct direction *d, int64_t row)
{
    return (float *)d->n->out[GATES]->data + (row * DIRECTIONS + d->which) * 4 * d->hidden;
}

/* h of y, or c of cells. */
static float *state_of(const struct direction *d, int out, int64_t row)
{
    return (float *)d->n->out[out]->data + (row * DIRECTIONS + d->which) * d->hidden;
}

static struct direction direction_of(const struct node *n, int which)
{
    return (struct direction){ n, which, n->in[X]->rows, n->in[FIRST + W_HH]->cols };
}

struct tensor *lstm(struct graph *g, struct tensor *x, struct lstm_weights forward, struct lstm_weights reverse)
{
    const struct lstm_weights both[DIRECTIONS] = { forward, reverse };
    const int64_t hidden = forward.w_hh->cols;
    for (int d = 0; d < DIRECTIONS; d++) {
        expect_shape(g, op_lstm.name, both[d].w_ih, 4 * hidden, x->cols);
        expect_shape(g, op_lstm.name, both[d].w_hh, 4 * hidden, hidden);
        expect_shape(g, op_lstm.name, both[d].b_ih, 1, 4 * hidden);
        expect_shape(g, op_lstm.name, both[d].b_hh, 1, 4 * hidden);
    }
    struct node *n = record(g, &op_lstm, x, forward.w_ih, forward.w_hh, forward.b_ih, forward.b_hh, reverse.w_ih, reverse.w_hh, reverse.b_ih, reverse.b_hh);
    for (int i = 0; i < FIRST + DIRECTIONS * WEIGHTS; i++)
        if (n->in[i]->dtype != F32 || n->in[i]->grad_dtype != F32)
            graph_fail(g, "lstm: %s is %s, float32 is needed", n->in[i]->name, dtype_name(n->in[i]->dtype));
    no_gradient(output(n, GATES, F32, x, DIRECTIONS * 4 * hidden));
    no_gradient(output(n, CELLS, F32, x, DIRECTIONS * hidden));
    return output(n, Y, F32, x, DIRECTIONS * hidden);
}

static struct operand matrix(const float *data, int64_t stride, bool transposed)
{
    return (struct operand){ data, F32, stride, transposed };
}

/* One step behind its products: gates holds W_ih x + W_hh h on entry. before: c of the row before, or NULL. */
static WIDE void step_values(float *gates, float *c, float *h, const float *before, const float *b_ih, const float *b_hh, int64_t hidden)
{
    float *i = gates, *f = gates + hidden, *g = gates + 2 * hidden, *o = gates + 3 * hidden;
    for (int64_t j = 0; j < hidden; j++) {
        i[j] = sigmoid_f32(i[j] + (b_ih[j] + b_hh[j]));
        f[j] = sigmoid_f32(f[j] + (b_ih[hidden + j] + b_hh[hidden + j]));
        g[j] = tanh_f32(g[j] + (b_ih[2 * hidden + j] + b_hh[2 * hidden + j]));
        o[j] = sigmoid_f32(o[j] + (b_ih[3 * hidden + j] + b_hh[3 * hidden + j]));
        c[j] = i[j] * g[j] + (before ? f[j] * before[j] : 0);
        h[j] = o[j] * tanh_f32(c[j]);
    }
}

static enum status forward_direction(struct device *device, const struct direction *d)
{
    const int64_t hidden = d->hidden, stride = DIRECTIONS * hidden;
    const struct tensor *x = d->n->in[X], *w_ih = weight_of(d, W_IH), *w_hh = weight_of(d, W_HH);
    TRY(gemm(device, d->rows, 4 * hidden, x->cols, 1, matrix(x->data, x->cols, false), matrix(w_ih->data, x->cols, true), 0, gates_of(d, 0), F32, 4 * stride));
    for (int64_t place = 0; place < d->rows; place++) {
        const int64_t row = row_at(d, place), before = row_at(d, place - 1);
        if (place > 0)
            TRY(gemm(device, 1, 4 * hidden, hidden, 1, matrix(state_of(d, Y, before), stride, false), matrix(w_hh->data, hidden, true), 1, gates_of(d, row),
                     F32, 4 * stride));
        step_values(gates_of(d, row), state_of(d, CELLS, row), state_of(d, Y, row), place > 0 ? state_of(d, CELLS, before) : NULL, weight_of(d, B_IH)->data,
                    weight_of(d, B_HH)->data, hidden);
    }
    return OK;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    for (int which = 0; which < DIRECTIONS; which++) {
        const struct direction d = direction_of(n, which);
        TRY(forward_direction(device, &d));
    }
    return OK;
}

/* da of both directions like GATES, then dh and dc of one row. */
static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    const size_t hidden = (size_t)n->in[FIRST + W_HH]->cols;
    return n->out[Y]->wants_grad ? ((size_t)n->in[X]->capacity * DIRECTIONS * 4 + 2) * hidden * sizeof(float) : 0;
}

static float *gradient_of_gates(const struct direction *d, int64_t row)
{
    return (float *)d->n->scratch + (row * DIRECTIONS + d->which) * 4 * d->hidden;
}

/* One step backward: dh is what flows into h; dc what flows into c from the step that comes next, then into the one before. */
static WIDE void step_gradients(float *da, float *dc, const float *dh, const float *gates, const float *c, const float *before, int64_t hidden)
{
    const float *i = gates, *f = gates + hidden, *g = gates + 2 * hidden, *o = gates + 3 * hidden;
    for (int64_t j = 0; j < hidden; j++) {
        const float squashed = tanh_f32(c[j]), into = dc[j] + dh[j] * o[j] * (1 - squashed * squashed);
        da[j] = into * g[j] * i[j] * (1 - i[j]);
        da[hidden + j] = before ? into * before[j] * f[j] * (1 - f[j]) : 0;
        da[2 * hidden + j] = into * i[j] * (1 - g[j] * g[j]);
        da[3 * hidden + j] = dh[j] * squashed * o[j] * (1 - o[j]);
        dc[j] = into * f[j];
    }
}

static enum status walk_back(struct device *device, const struct direction *d)
{
    const struct tensor *dy = d->n->out[Y]->grad;
    const int64_t hidden = d->hidden, stride = DIRECTIONS * hidden;
    float *dh = (float *)d->n->scratch + d->n->in[X]->capacity * 4 * stride, *dc = dh + hidden;
    for (int64_t j = 0; j < hidden; j++)
        dc[j] = 0;
    for (int64_t place = d->rows - 1; place >= 0; place--) {
        const int64_t row = row_at(d, place);
        const float *from = (const float *)dy->data + row * stride + d->which * hidden;
        for (int64_t j = 0; j < hidden; j++)
            dh[j] = from[j];
        if (place + 1 < d->rows)
            TRY(gemm(device, 1, hidden, 4 * hidden, 1, matrix(gradient_of_gates(d, row_at(d, place + 1)), 4 * stride, false),
                     matrix(weight_of(d, W_HH)->data, hidden, false), 1, dh, F32, hidden));
        step_gradients(gradient_of_gates(d, row), dc, dh, gates_of(d, row), state_of(d, CELLS, row),
                       place > 0 ? state_of(d, CELLS, row_at(d, place - 1)) : NULL, hidden);
    }
    return OK;
}

static void bias_gradient(const struct direction *d, int weight)
{
    float *to = weight_of(d, weight)->grad->data;
    for (int64_t j = 0; j < 4 * d->hidden; j++) {
        double sum = 0;
        for (int64_t row = 0; row < d->rows; row++)
            sum += (double)gradient_of_gates(d, row)[j];
        to[j] = (float)(adds(d->n, input_of(d, weight)) ? (double)to[j] + sum : sum);
    }
}

static bool wants_weight(const struct direction *d, int weight)
{
    return wants(d->n, input_of(d, weight));
}

/* dw [4h, cols] = da^T from, over `count` rows beginning at da and from. */
static enum status weight_gradient(struct device *device, const struct direction *d, int weight, int64_t count, const float *da, const float *from,
                                   int64_t from_stride)
{
    const struct tensor *dw = weight_of(d, weight)->grad;
    return gemm(device, dw->rows, dw->cols, count, 1, matrix(da, DIRECTIONS * 4 * d->hidden, true), matrix(from, from_stride, false),
                adds(d->n, input_of(d, weight)) ? 1 : 0, dw->data, F32, dw->cols);
}

static enum status backward_direction(struct device *device, const struct direction *d, bool *dx_begun)
{
    const struct tensor *x = d->n->in[X];
    const bool forward = d->which == FORWARD_ORDER, steps = d->rows > 1;
    if (!wants(d->n, X) && !wants_weight(d, W_IH) && !wants_weight(d, W_HH) && !wants_weight(d, B_IH) && !wants_weight(d, B_HH))
        return OK;
    TRY(walk_back(device, d));
    if (wants(d->n, X)) {
        TRY(gemm(device, d->rows, x->cols, 4 * d->hidden, 1, matrix(gradient_of_gates(d, 0), DIRECTIONS * 4 * d->hidden, false),
                 matrix(weight_of(d, W_IH)->data, x->cols, false), *dx_begun ? 1 : 0, x->grad->data, F32, x->cols));
        *dx_begun = true;
    }
    if (wants_weight(d, W_IH))
        TRY(weight_gradient(device, d, W_IH, d->rows, gradient_of_gates(d, 0), x->data, x->cols));
    if (wants_weight(d, W_HH)) /* rows that have one before them, and those */
        TRY(weight_gradient(device, d, W_HH, steps ? d->rows - 1 : 0, gradient_of_gates(d, forward && steps), state_of(d, Y, !forward && steps),
                            DIRECTIONS * d->hidden));
    if (wants_weight(d, B_IH))
        bias_gradient(d, B_IH);
    if (wants_weight(d, B_HH))
        bias_gradient(d, B_HH);
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    bool dx_begun = adds(n, X);
    for (int which = 0; which < DIRECTIONS; which++) {
        const struct direction d = direction_of(n, which);
        TRY(backward_direction(device, &d, &dx_begun));
    }
    return OK;
}

#define WEIGHT(which, weight) (FIRST + (which)*WEIGHTS + (weight))
#define WALK(which)           (IN(WEIGHT(which, W_HH)) | OUT(GATES) | OUT(CELLS))
#define READS(which)                                                                                                                                           \
    [WEIGHT(which, W_IH)] = WALK(which) | IN(X), [WEIGHT(which, W_HH)] = WALK(which) | OUT(Y), [WEIGHT(which, B_IH)] = WALK(which),                            \
                   [WEIGHT(which, B_HH)] = WALK(which)

const struct op op_lstm = {
    .name = "lstm",
    .reads = { [X] = WALK(FORWARD_ORDER) | WALK(REVERSE_ORDER) | IN(WEIGHT(FORWARD_ORDER, W_IH)) | IN(WEIGHT(REVERSE_ORDER, W_IH)),
               READS(FORWARD_ORDER),
               READS(REVERSE_ORDER) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(lstm_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(lstm_backward) },
    .scratch = scratch,
    .in_place = NONE,
};
