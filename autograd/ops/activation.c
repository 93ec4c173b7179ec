/* activation: y = a(x), element by element.
 *
 *     dx = dy * a'(x)
 *
 * The curves are those of gated: silu, gelu, gelu_tanh, relu max(0, x); and tanh.
 */
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { X }; /* in:  x [rows, width] */
enum { Y }; /* out: y [rows, width] */

struct tensor *activation(struct graph *g, struct tensor *x, enum activation which)
{
    struct node *n = record(g, &op_activation, x);
    n->params.activation = which;
    return output(n, Y, x->dtype, x, x->cols);
}

/* Loops of one curve each, so that each becomes wide instructions. */
#define LOOPS(curve)                                                                                                                                           \
    static WIDE void curve##_values(float *to, const float *x, int64_t count)                                                                                  \
    {                                                                                                                                                          \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) to[i] = curve##_f32(x[i]).value;                                                               \
    }                                                                                                                                                          \
    static WIDE void curve##_slopes(float *dx, const float *dy, const float *x, int64_t count)                                                                 \
    {                                                                                                                                                          \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) dx[i] = dy[i] * curve##_f32(x[i]).slope;                                                       \
    }
LOOPS(silu)
LOOPS(gelu)
LOOPS(gelu_tanh)
LOOPS(relu)
LOOPS(tanh_curve)

static const struct {
    void (*values)(float *to, const float *x, int64_t count);
    void (*slopes)(float *dx, const float *dy, const float *x, int64_t count);
} loops[] = {
    [SILU] = { silu_values, silu_slopes },
    [GELU] = { gelu_values, gelu_slopes },
    [GELU_TANH] = { gelu_tanh_values, gelu_tanh_slopes },
    [RELU] = { relu_values, relu_slopes },
    [TANH] = { tanh_curve_values, tanh_curve_slopes },
};

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *y = n->out[Y];
    int64_t count = y->rows * y->cols;
#pragma omp parallel for schedule(static) if (count >= WORTH_THREADS)
    for (int64_t at = 0; at < count; at += SPAN) {
        float x[SPAN], out[SPAN], *to = span_open(y, at, out);
        int64_t length = span_length(at, count);
        loops[n->params.activation].values(to, span_read(n->in[X], at, length, x), length);
        span_close(y, at, length, to);
    }
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *dx = n->in[X]->grad, *dy = n->out[Y]->grad;
    int64_t count = dy->rows * dy->cols;
#pragma omp parallel for schedule(static) if (count >= WORTH_THREADS)
    for (int64_t at = 0; at < count; at += SPAN) {
        float x[SPAN], dy_values[SPAN], out[SPAN], *to = span_open_gradient(dx, at, out, adds(n, X));
        int64_t length = span_length(at, count);
        loops[n->params.activation].slopes(to, span_read(dy, at, length, dy_values), span_read(n->in[X], at, length, x), length);
        span_close_gradient(dx, at, length, to, adds(n, X));
    }
    return OK;
}

const struct op op_activation = {
    .name = "activation",
    .reads = { [X] = IN(X) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(activation_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(activation_backward) },
    .in_place = X,
    .cheap = true,
};
