/* lstm on a GPU: see lstm.c, whose walk this is; a step is a product and one kernel with a thread for each hidden unit. */
#include "autograd/cuda/kernel.cuh"

extern "C" {
#include "autograd/cuda/gemm.h"
}

enum { X, FIRST };
enum { W_IH, W_HH, B_IH, B_HH, WEIGHTS };
enum { Y, GATES, CELLS };
enum { FORWARD_ORDER, REVERSE_ORDER, DIRECTIONS };

struct direction {
    struct device *device;
    const struct node *n;
    int which;
    int64_t rows, hidden, stride; /* stride: of y and cells */
};

static struct direction direction_of(struct device *device, const struct node *n, int which)
{
    const int64_t hidden = n->in[FIRST + W_HH]->cols;
    return (struct direction){ device, n, which, n->in[X]->rows, hidden, DIRECTIONS * hidden };
}

static int input_of(const struct direction *d, int weight)
{
    return FIRST + d->which * WEIGHTS + weight;
}

static const struct tensor *weight_of(const struct direction *d, int weight)
{
    return d->n->in[input_of(d, weight)];
}

static const float *values_of(const struct direction *d, int weight)
{
    return (const float *)weight_of(d, weight)->data;
}

static int64_t row_at(const struct direction *d, int64_t place)
{
    return d->which == FORWARD_ORDER ? place : d->rows - 1 - place;
}

static float *of_gates(const struct direction *d, void *base, int64_t row)
{
    return (float *)base + (row * DIRECTIONS + d->which) * 4 * d->hidden;
}

static float *gates_of(const struct direction *d, int64_t row)
{
    return of_gates(d, d->n->out[GATES]->data, row);
}

static float *gradient_of_gates(const struct direction *d, int64_t row)
{
    return of_gates(d, d->n->scratch, row);
}

static float *state_of(const struct direction *d, int out, int64_t row)
{
    return (float *)d->n->out[out]->data + (row * DIRECTIONS + d->which) * d->hidden;
}

static struct operand matrix(const float *data, int64_t stride, bool transposed)
{
    return (struct operand){ data, F32, stride, transposed };
}

static unsigned blocks_for(int64_t hidden)
{
    return (unsigned)((hidden + THREADS - 1) / THREADS);
}

/* gates holds W_ih x + W_hh h on entry. before: c of the row before, or NULL. */
__global__ void step_values(float *gates, float *c, float *h, const float *before, const float *b_ih, const float *b_hh, int64_t hidden)
{
    const int64_t j = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (j >= hidden)
        return;
    const float i = sigmoid_f32(gates[j] + (b_ih[j] + b_hh[j])), f = sigmoid_f32(gates[hidden + j] + (b_ih[hidden + j] + b_hh[hidden + j]));
    const float g = tanh_f32(gates[2 * hidden + j] + (b_ih[2 * hidden + j] + b_hh[2 * hidden + j]));
    const float o = sigmoid_f32(gates[3 * hidden + j] + (b_ih[3 * hidden + j] + b_hh[3 * hidden + j])), cell = i * g + (before ? f * before[j] : 0);
    gates[j] = i;
    gates[hidden + j] = f;
    gates[2 * hidden + j] = g;
    gates[3 * hidden + j] = o;
    c[j] = cell;
    h[j] = o * tanh_f32(cell);
}

/* dh and dc: what flows in from the step that comes next, or NULL; dc then becomes what flows into the one before. */
__global__ void step_gradients(float *da, float *dc, const float *dh, const float *dy, const float *gates, const float *c, const float *before, bool last,
                               int64_t hidden)
{
    const int64_t j = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (j >= hidden)
        return;
    const float i = gates[j], f = gates[hidden + j], g = gates[2 * hidden + j], o = gates[3 * hidden + j];
    const float squashed = tanh_f32(c[j]), out = dy[j] + (last ? 0 : dh[j]), into = (last ? 0 : dc[j]) + out * o * (1 - squashed * squashed);
    da[j] = into * g * i * (1 - i);
    da[hidden + j] = before ? into * before[j] * f * (1 - f) : 0;
    da[2 * hidden + j] = into * i * (1 - g * g);
    da[3 * hidden + j] = out * squashed * o * (1 - o);
    dc[j] = into * f;
}

static enum status forward_direction(const struct direction *d)
{
    const int64_t hidden = d->hidden, width = d->n->in[X]->cols;
    TRY(cuda_gemm(d->device, d->n, d->rows, 4 * hidden, width, 1, matrix((const float *)d->n->in[X]->data, width, false),
                  matrix(values_of(d, W_IH), width, true), 0, gates_of(d, 0), F32, 4 * d->stride));
    for (int64_t place = 0; place < d->rows; place++) {
        const int64_t row = row_at(d, place), before = row_at(d, place - 1);
        if (place > 0)
            TRY(cuda_gemm(d->device, d->n, 1, 4 * hidden, hidden, 1, matrix(state_of(d, Y, before), d->stride, false), matrix(values_of(d, W_HH), hidden, true),
                          1, gates_of(d, row), F32, 4 * d->stride));
        LAUNCH(d->device, blocks_for(hidden), THREADS, 0, step_values, gates_of(d, row), state_of(d, CELLS, row), state_of(d, Y, row),
               place > 0 ? state_of(d, CELLS, before) : NULL, values_of(d, B_IH), values_of(d, B_HH), hidden);
    }
    return launched(d->device, d->n);
}

enum status lstm_forward_cuda(struct device *device, const struct node *n)
{
    for (int which = 0; which < DIRECTIONS; which++) {
        const struct direction d = direction_of(device, n, which);
        TRY(forward_direction(&d));
    }
    return OK;
}

static enum status walk_back(const struct direction *d)
{
    const int64_t hidden = d->hidden;
    const float *dy = (const float *)d->n->out[Y]->grad->data + d->which * hidden;
    float *dh = (float *)d->n->scratch + d->n->in[X]->capacity * 4 * d->stride, *dc = dh + hidden;
    for (int64_t place = d->rows - 1; place >= 0; place--) {
        const int64_t row = row_at(d, place);
        const bool last = place == d->rows - 1;
        if (!last)
            TRY(cuda_gemm(d->device, d->n, 1, hidden, 4 * hidden, 1, matrix(gradient_of_gates(d, row_at(d, place + 1)), 4 * d->stride, false),
                          matrix(values_of(d, W_HH), hidden, false), 0, dh, F32, hidden));
        LAUNCH(d->device, blocks_for(hidden), THREADS, 0, step_gradients, gradient_of_gates(d, row), dc, dh, dy + row * d->stride, gates_of(d, row),
               state_of(d, CELLS, row), place > 0 ? state_of(d, CELLS, row_at(d, place - 1)) : NULL, last, hidden);
    }
    return launched(d->device, d->n);
}

struct gate_terms {
    struct view da; /* of this direction, from row 0 on */
    int64_t stride;
    __device__ void operator()(float to[SPAN], int64_t row, int64_t first, int count) const
    {
        read(to, da, row * stride + first, count);
    }
};

static enum status bias_gradient(const struct direction *d, int weight)
{
    if (!wants(d->n, input_of(d, weight)))
        return OK;
    const struct gate_terms f = { { gradient_of_gates(d, 0), F32 }, 4 * d->stride };
    return column_sums(d->device, d->n, d->rows, 4 * d->hidden, view_of(weight_of(d, weight)->grad), adds(d->n, input_of(d, weight)), f);
}

/* dw [4h, cols] = da^T from, over `count` rows. */
static enum status weight_gradient(const struct direction *d, int weight, int64_t count, const float *da, const float *from, int64_t from_stride)
{
    if (!wants(d->n, input_of(d, weight)))
        return OK;
    const struct tensor *dw = weight_of(d, weight)->grad;
    return cuda_gemm(d->device, d->n, dw->rows, dw->cols, count, 1, matrix(da, 4 * d->stride, true), matrix(from, from_stride, false),
                     adds(d->n, input_of(d, weight)) ? 1 : 0, dw->data, F32, dw->cols);
}

static bool wants_any(const struct direction *d)
{
    bool any = wants(d->n, X);
    for (int weight = 0; weight < WEIGHTS; weight++)
        any |= wants(d->n, input_of(d, weight));
    return any;
}

static enum status backward_direction(const struct direction *d, bool *dx_begun)
{
    const struct tensor *x = d->n->in[X];
    const bool forward = d->which == FORWARD_ORDER, steps = d->rows > 1;
    if (!wants_any(d))
        return OK;
    TRY(walk_back(d));
    if (wants(d->n, X)) {
        TRY(cuda_gemm(d->device, d->n, d->rows, x->cols, 4 * d->hidden, 1, matrix(gradient_of_gates(d, 0), 4 * d->stride, false),
                      matrix(values_of(d, W_IH), x->cols, false), *dx_begun ? 1 : 0, x->grad->data, F32, x->cols));
        *dx_begun = true;
    }
    TRY(weight_gradient(d, W_IH, d->rows, gradient_of_gates(d, 0), (const float *)x->data, x->cols));
    TRY(weight_gradient(d, W_HH, steps ? d->rows - 1 : 0, gradient_of_gates(d, forward && steps), state_of(d, Y, !forward && steps), d->stride));
    TRY(bias_gradient(d, B_IH));
    return bias_gradient(d, B_HH);
}

enum status lstm_backward_cuda(struct device *device, const struct node *n)
{
    bool dx_begun = adds(n, X);
    for (int which = 0; which < DIRECTIONS; which++) {
        const struct direction d = direction_of(device, n, which);
        TRY(backward_direction(&d, &dx_begun));
    }
    return OK;
}
