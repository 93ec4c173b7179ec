/* clamp: y = x kept within [-bound, bound], element by element.
 *
 *     dx = dy where -bound <= x <= bound, else 0
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { X }; /* in:  x [rows, width] */
enum { Y }; /* out: y [rows, width] */

struct tensor *clamp(struct graph *g, struct tensor *x, float bound)
{
    if (!(bound > 0))
        graph_fail(g, "clamp: a bound of %g is not above 0", (double)bound);
    struct node *n = record(g, &op_clamp, x);
    n->params.value = bound;
    return output(n, Y, x->dtype, x, x->cols);
}

static WIDE void clamp_span(float *y, const float *x, float bound, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] > bound ? bound : x[i] < -bound ? -bound : x[i];
}

static WIDE void pass_span(float *dx, const float *dy, const float *x, float bound, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        dx[i] = x[i] >= -bound && x[i] <= bound ? dy[i] : 0;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *x = n->in[X], *y = n->out[Y];
    const int64_t size = x->rows * x->cols;
#pragma omp parallel for schedule(static) if (size >= WORTH_THREADS)
    for (int64_t at = 0; at < size; at += SPAN) {
        int64_t length = span_length(at, size);
        float x_values[SPAN], y_values[SPAN], *to = span_open(y, at, y_values);
        clamp_span(to, span_read(x, at, length, x_values), n->params.value, length);
        span_close(y, at, length, to);
    }
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *x = n->in[X], *dx = x->grad, *dy = n->out[Y]->grad;
    const int64_t size = x->rows * x->cols;
#pragma omp parallel for schedule(static) if (size >= WORTH_THREADS)
    for (int64_t at = 0; at < size; at += SPAN) {
        int64_t length = span_length(at, size);
        float x_values[SPAN], dy_values[SPAN], dx_values[SPAN], *to = span_open_gradient(dx, at, dx_values, adds(n, X));
        pass_span(to, span_read(dy, at, length, dy_values), span_read(x, at, length, x_values), n->params.value, length);
        span_close_gradient(dx, at, length, to, adds(n, X));
    }
    return OK;
}

const struct op op_clamp = {
    .name = "clamp",
    .reads = { [X] = IN(X) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(clamp_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(clamp_backward) },
    .in_place = NONE,
    .cheap = true,
};
