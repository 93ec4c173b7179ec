/* scale_columns: y = onto + bias + x * (magnitude / norm + shift), one factor for each column.
 *
 *     dx = dy * (magnitude / norm + shift)        dmagnitude = sum over rows of dy * x / norm        dbias = sum over rows of dy        donto = dy
 *
 * What has norm 0 is 0 whatever multiplies it: 0 stands there for 1 / norm. For DoRA: with shift 0 a product gets its magnitude, with shift -1 what the
 * magnitude changes in it.
 */
#include "autograd/cpu/columns.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { X, MAGNITUDE, NORM, BIAS, ONTO }; /* in:  x [rows, cols], magnitude and norm f32 [1, cols], bias [1, cols] or NULL, onto [rows, cols] or NULL */
enum { Y };                              /* out: y [rows, cols] */

struct tensor *scale_columns(struct graph *g, struct tensor *x, struct tensor *magnitude, struct tensor *norm, struct tensor *bias, struct tensor *onto,
                             float shift)
{
    expect_shape(g, op_scale_columns.name, magnitude, 1, x->cols);
    expect_shape(g, op_scale_columns.name, norm, 1, x->cols);
    if (bias)
        expect_shape(g, op_scale_columns.name, bias, 1, x->cols);
    if (onto) {
        expect_shape(g, op_scale_columns.name, onto, -1, x->cols);
        expect_rows_of(g, op_scale_columns.name, onto, x);
    }
    struct node *n = record(g, &op_scale_columns, x, magnitude, norm, bias, onto);
    n->params.shift = shift;
    return output(n, Y, x->dtype, x, x->cols);
}

static WIDE void scale_span(float *to, const float *x, const float *magnitude, const float *norm, float shift, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        const float factor = magnitude[i] / (norm[i] > 0 ? norm[i] : 1);
        to[i] = x[i] * ((norm[i] > 0 ? factor : 0) + shift);
    }
}

static WIDE void add_span(float *to, const float *more, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] += more[i];
}

/* y may be the storage of onto, so sums are made beside it. */
static void forward_span(const struct node *n, int64_t row, int64_t at, int64_t length)
{
    const struct tensor *x = n->in[X], *y = n->out[Y];
    const float *magnitude = n->in[MAGNITUDE]->data, *norm = n->in[NORM]->data;
    const int64_t first = row * y->cols + at;
    float sum[SPAN], in[SPAN], out[SPAN];
    scale_span(sum, span_read(x, first, length, in), magnitude + at, norm + at, n->params.shift, length);
    if (n->in[BIAS])
        add_span(sum, span_read(n->in[BIAS], at, length, in), length);
    if (n->in[ONTO])
        add_span(sum, span_read(n->in[ONTO], first, length, in), length);
    float *to = span_open(y, first, out);
    for (int64_t i = 0; i < length; i++)
        to[i] = sum[i];
    span_close(y, first, length, to);
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *y = n->out[Y];
    (void)device;
#pragma omp parallel for schedule(static) if (y->rows * y->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < y->rows; r++)
        for (int64_t at = 0; at < y->cols; at += SPAN)
            forward_span(n, r, at, span_length(at, y->cols));
    return OK;
}

static void x_gradient(const struct node *n)
{
    const struct tensor *dx = n->in[X]->grad, *dy = n->out[Y]->grad;
    const float *magnitude = n->in[MAGNITUDE]->data, *norm = n->in[NORM]->data;
    const bool add = adds(n, X);
#pragma omp parallel for schedule(static) if (dx->rows * dx->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < dx->rows; r++)
        for (int64_t at = 0; at < dx->cols; at += SPAN) {
            float in[SPAN], out[SPAN];
            const int64_t length = span_length(at, dx->cols), first = r * dx->cols + at;
            float *to = span_open_gradient(dx, first, out, add);
            scale_span(to, span_read(dy, first, length, in), magnitude + at, norm + at, n->params.shift, length);
            span_close_gradient(dx, first, length, to, add);
        }
}

static void magnitude_gradient(struct device *device, const struct node *n)
{
    const struct tensor *grad = n->in[MAGNITUDE]->grad;
    float *dmagnitude = grad->data, *sum = n->scratch;
    const float *norm = n->in[NORM]->data;
    struct tensor sums = *grad;
    sums.data = sum;
    column_sums(device, &sums, n->out[Y]->grad, n->in[X], 1, false);
    for (int64_t j = 0; j < grad->cols; j++)
        dmagnitude[j] = (norm[j] > 0 ? sum[j] / norm[j] : 0) + (adds(n, MAGNITUDE) ? dmagnitude[j] : 0);
}

static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    return (size_t)n->in[X]->cols * sizeof(float);
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *dy = n->out[Y]->grad, *donto = n->in[ONTO] ? n->in[ONTO]->grad : NULL;
    if (wants(n, MAGNITUDE))
        magnitude_gradient(device, n);
    if (wants(n, BIAS))
        column_sums(device, n->in[BIAS]->grad, dy, NULL, 1, adds(n, BIAS));
    if (wants(n, X))
        x_gradient(n);
    for (int64_t at = 0; wants(n, ONTO) && donto->data != dy->data && at < dy->rows * dy->cols; at += SPAN)
        span_copy(donto, at, dy, at, span_length(at, dy->rows * dy->cols), adds(n, ONTO));
    return OK;
}

const struct op op_scale_columns = {
    .name = "scale_columns",
    .reads = { [X] = IN(MAGNITUDE) | IN(NORM), [MAGNITUDE] = IN(X) | IN(NORM) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(scale_columns_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(scale_columns_backward) },
    .scratch = scratch,
    .in_place = ONTO,
    .passes = IN(ONTO),
};
