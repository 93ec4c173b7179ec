/* gated: y = activation(gate) * up, the middle of a gated MLP.
 *
 *     dgate = dy * up * activation'(gate)        dup = dy * activation(gate)
 *
 * Activations: silu x s(x), s the logistic function; gelu x Phi(x); gelu_tanh its approximation by tanh; relu max(0, x); tanh. Source: Shazeer 2020, "GLU
 * Variants Improve Transformer".
 */
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { GATE, UP }; /* in:  gate [rows, width], up [rows, width] */
enum { Y };        /* out: y [rows, width] */

struct tensor *gated(struct graph *g, struct tensor *gate, struct tensor *up, enum activation activation)
{
    expect_shape(g, op_gated.name, up, -1, gate->cols);
    expect_rows_of(g, op_gated.name, up, gate);
    struct node *n = record(g, &op_gated, gate, up);
    n->params.activation = activation;
    return output(n, Y, gate->dtype, gate, gate->cols);
}

/* Loops of one activation each, so that each becomes wide instructions. */
#define LOOPS(activation)                                                                                                                                      \
    static WIDE void activation##_times(float *to, const float *gate, const float *factor, int64_t count)                                                      \
    {                                                                                                                                                          \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) to[i] = activation##_f32(gate[i]).value * factor[i];                                           \
    }                                                                                                                                                          \
    static WIDE void activation##_slope_times(float *dgate, const float *dy, const float *gate, const float *up, int64_t count)                                \
    {                                                                                                                                                          \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) dgate[i] = dy[i] * up[i] * activation##_f32(gate[i]).slope;                                    \
    }
LOOPS(silu)
LOOPS(gelu)
LOOPS(gelu_tanh)
LOOPS(relu)
LOOPS(tanh_curve)

/* times: y from gate and up, and likewise dup from gate and dy. */
static const struct {
    void (*times)(float *to, const float *gate, const float *factor, int64_t count);
    void (*slope_times)(float *dgate, const float *dy, const float *gate, const float *up, int64_t count);
} loops[] = {
    [SILU] = { silu_times, silu_slope_times },
    [GELU] = { gelu_times, gelu_slope_times },
    [GELU_TANH] = { gelu_tanh_times, gelu_tanh_slope_times },
    [RELU] = { relu_times, relu_slope_times },
    [TANH] = { tanh_curve_times, tanh_curve_slope_times },
};

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *y = n->out[Y];
    int64_t count = y->rows * y->cols;
#pragma omp parallel for schedule(static) if (count >= WORTH_THREADS)
    for (int64_t at = 0; at < count; at += SPAN) {
        float gate[SPAN], up[SPAN], out[SPAN], *to = span_open(y, at, out);
        int64_t length = span_length(at, count);
        loops[n->params.activation].times(to, span_read(n->in[GATE], at, length, gate), span_read(n->in[UP], at, length, up), length);
        span_close(y, at, length, to);
    }
    return OK;
}

static void backward_span(const struct node *n, int64_t at, int64_t length)
{
    float gate_values[SPAN], up_values[SPAN], dy_values[SPAN], values[SPAN];
    const float *gate = span_read(n->in[GATE], at, length, gate_values), *dy = span_read(n->out[Y]->grad, at, length, dy_values);
    if (wants(n, GATE)) {
        float *to = span_open_gradient(n->in[GATE]->grad, at, values, adds(n, GATE));
        loops[n->params.activation].slope_times(to, dy, gate, span_read(n->in[UP], at, length, up_values), length);
        span_close_gradient(n->in[GATE]->grad, at, length, to, adds(n, GATE));
    }
    if (wants(n, UP)) {
        float *to = span_open_gradient(n->in[UP]->grad, at, values, adds(n, UP));
        loops[n->params.activation].times(to, gate, dy, length);
        span_close_gradient(n->in[UP]->grad, at, length, to, adds(n, UP));
    }
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *dy = n->out[Y]->grad;
    int64_t count = dy->rows * dy->cols;
#pragma omp parallel for schedule(static) if (count >= WORTH_THREADS)
    for (int64_t at = 0; at < count; at += SPAN)
        backward_span(n, at, span_length(at, count));
    return OK;
}

const struct op op_gated = {
    .name = "gated",
    .reads = { [GATE] = IN(GATE) | IN(UP), [UP] = IN(GATE) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(gated_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(gated_backward) },
    .in_place = GATE,
    .cheap = true,
};
