/* layernorm: y = w * n + b with n = (x - mean(x)) / deviation(x), one row at a time; deviation(x) = sqrt(mean((x - mean(x))^2) + eps).
 *
 * Statistics are f32 whatever x is. Backward needs mean and 1 / deviation, so forward keeps these two floats a row and nothing else.
 *
 *     dx = rstd * (d - mean(d) - n * mean(d * n)), d = dy * w        dw = sum over rows of dy * n        db = sum over rows of dy
 *
 * Source: Ba, Kiros & Hinton 2016, "Layer Normalization", eq. 3 and 4.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <math.h>
#include <string.h>

enum { X, W, B };       /* in:  x [rows, width], w [1, width], b [1, width] or NULL */
enum { Y, STATISTICS }; /* out: y [rows, width], statistics [rows, 2] in f32: mean, 1 / deviation */
enum { PARTIALS = 64 }; /* dw and db are summed over at most so many ranges of whole row tiles, then over the ranges in order */

struct tensor *layernorm(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b, float eps)
{
    expect_shape(g, op_layernorm.name, w, 1, x->cols);
    if (b)
        expect_shape(g, op_layernorm.name, b, 1, x->cols);
    struct node *n = record(g, &op_layernorm, x, w, b);
    n->params.eps = eps;
    no_gradient(output(n, STATISTICS, F32, x, 2));
    return output(n, Y, x->dtype, x, x->cols);
}

static WIDE float sum_of(const float *x, int64_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += x[i];
    return sum;
}

static WIDE float sum_of_squares(const float *x, float mean, int64_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static WIDE void scale_span(float *y, const float *x, const float *w, float mean, float rstd, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = w[i] * ((x[i] - mean) * rstd);
}

static WIDE void add_span(float *y, const float *b, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] += b[i];
}

static void forward_row(const struct node *n, int64_t r)
{
    const struct tensor *x = n->in[X], *w = n->in[W], *b = n->in[B], *y = n->out[Y];
    const int64_t width = x->cols;
    float x_values[SPAN], w_values[SPAN], y_values[SPAN], *statistics = (float *)n->out[STATISTICS]->data + 2 * r;
    double sum = 0, squares = 0;
    for (int64_t at = 0; at < width; at += SPAN)
        sum += (double)sum_of(span_read(x, r * width + at, span_length(at, width), x_values), span_length(at, width));
    const float mean = statistics[0] = (float)(sum / (double)width);
    for (int64_t at = 0; at < width; at += SPAN)
        squares += (double)sum_of_squares(span_read(x, r * width + at, span_length(at, width), x_values), mean, span_length(at, width));
    const float rstd = statistics[1] = (float)(1 / sqrt(squares / (double)width + (double)n->params.eps));
    for (int64_t at = 0; at < width; at += SPAN) {
        int64_t length = span_length(at, width);
        float *to = span_open(y, r * width + at, y_values);
        scale_span(to, span_read(x, r * width + at, length, x_values), span_read(w, at, length, w_values), mean, rstd, length);
        if (b)
            add_span(to, span_read(b, at, length, w_values), length);
        span_close(y, r * width + at, length, to);
    }
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *x = n->in[X];
#pragma omp parallel for schedule(static) if (x->rows * x->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < x->rows; r++)
        forward_row(n, r);
    return OK;
}

/* Sums of d and of d * n, d = dy * w. */
static WIDE void sum_products(const float *dy, const float *w, const float *x, float mean, float rstd, int64_t count, double sums[2])
{
    float plain = 0, with_n = 0;
#pragma omp simd reduction(+ : plain, with_n)
    for (int64_t i = 0; i < count; i++) {
        float d = dy[i] * w[i];
        plain += d;
        with_n += d * ((x[i] - mean) * rstd);
    }
    sums[0] += (double)plain;
    sums[1] += (double)with_n;
}

static WIDE void backward_span(float *dx, const float *dy, const float *w, const float *x, const float *statistics, const float *back, int64_t count)
{
    const float mean = statistics[0], rstd = statistics[1], plain = back[0], with_n = back[1];
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        dx[i] = rstd * (dy[i] * w[i] - plain - (x[i] - mean) * rstd * with_n);
}

static void backward_row(const struct node *n, int64_t r)
{
    const struct tensor *x = n->in[X], *w = n->in[W], *dy = n->out[Y]->grad, *dx = x->grad;
    const int64_t width = x->cols;
    const float *statistics = (const float *)n->out[STATISTICS]->data + 2 * r;
    float x_values[SPAN], w_values[SPAN], dy_values[SPAN], dx_values[SPAN];
    double sums[2] = { 0 };
    for (int64_t at = 0; at < width; at += SPAN) {
        int64_t length = span_length(at, width);
        sum_products(span_read(dy, r * width + at, length, dy_values), span_read(w, at, length, w_values), span_read(x, r * width + at, length, x_values),
                     statistics[0], statistics[1], length, sums);
    }
    const float back[2] = { (float)(sums[0] / (double)width), (float)(sums[1] / (double)width) };
    for (int64_t at = 0; at < width; at += SPAN) {
        int64_t length = span_length(at, width);
        float *to = span_open_gradient(dx, r * width + at, dx_values, adds(n, X));
        backward_span(to, span_read(dy, r * width + at, length, dy_values), span_read(w, at, length, w_values), span_read(x, r * width + at, length, x_values),
                      statistics, back, length);
        span_close_gradient(dx, r * width + at, length, to, adds(n, X));
    }
}

static void backward_x(const struct node *n)
{
    const struct tensor *x = n->in[X];
#pragma omp parallel for schedule(static) if (x->rows * x->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < x->rows; r++)
        backward_row(n, r);
}

static int64_t partials(int64_t rows)
{
    return row_tiles(rows) < PARTIALS ? row_tiles(rows) : PARTIALS;
}

static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    bool summed = n->in[W]->wants_grad || (n->in[B] && n->in[B]->wants_grad);
    return summed ? (size_t)(partials(n->in[X]->capacity) * 2 * n->in[X]->cols) * sizeof(float) : 0;
}

static WIDE void add_products(float *sum, const float *dy, const float *x, float mean, float rstd, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sum[i] += dy[i] * ((x[i] - mean) * rstd);
}

/* Sums over rows [first, end): of dy * n where the gradient of w is wanted (x may be gone otherwise), of dy where that of b is. */
static void sum_rows(const struct node *n, float *with_n, float *plain, int64_t first, int64_t end)
{
    const struct tensor *x = n->in[X], *dy = n->out[Y]->grad;
    const float *statistics = n->out[STATISTICS]->data;
    float x_values[SPAN], dy_values[SPAN];
    memset(with_n, 0, (size_t)x->cols * sizeof *with_n);
    memset(plain, 0, (size_t)x->cols * sizeof *plain);
    for (int64_t r = first; r < end; r++)
        for (int64_t at = 0; at < x->cols; at += SPAN) {
            int64_t length = span_length(at, x->cols);
            const float *d = span_read(dy, r * x->cols + at, length, dy_values);
            if (wants(n, W))
                add_products(with_n + at, d, span_read(x, r * x->cols + at, length, x_values), statistics[2 * r], statistics[2 * r + 1], length);
            if (wants(n, B))
                add_span(plain + at, d, length);
        }
}

/* The sum over all ranges; rows of partial sums lie 2 * width apart. */
static void add_ranges(const struct node *n, int input, const float *partial, int64_t parts)
{
    const struct tensor *grad = n->in[input]->grad;
    float values[SPAN];
    for (int64_t at = 0; at < grad->cols; at += SPAN) {
        int64_t length = span_length(at, grad->cols);
        float *to = span_open_gradient(grad, at, values, adds(n, input));
        for (int64_t i = 0; i < length; i++) {
            float sum = 0;
            for (int64_t p = 0; p < parts; p++)
                sum += partial[2 * p * grad->cols + at + i];
            to[i] = sum;
        }
        span_close_gradient(grad, at, length, to, adds(n, input));
    }
}

static void backward_w_and_b(const struct node *n)
{
    const struct tensor *x = n->in[X];
    const int64_t width = x->cols, tiles = row_tiles(x->rows), parts = partials(x->rows);
    float *partial = n->scratch;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < parts; p++) {
        int64_t end = tiles * (p + 1) / parts * ROW_TILE;
        sum_rows(n, partial + 2 * p * width, partial + (2 * p + 1) * width, tiles * p / parts * ROW_TILE, end < x->rows ? end : x->rows);
    }
    if (wants(n, W))
        add_ranges(n, W, partial, parts);
    if (wants(n, B))
        add_ranges(n, B, partial + width, parts);
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    if (wants(n, X))
        backward_x(n);
    if (wants(n, W) || wants(n, B))
        backward_w_and_b(n);
    return OK;
}

const struct op op_layernorm = {
    .name = "layernorm",
    .reads = { [X] = IN(X) | IN(W) | OUT(STATISTICS), [W] = IN(X) | OUT(STATISTICS) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(layernorm_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(layernorm_backward) },
    .scratch = scratch,
    .in_place = NONE,
    .cheap = true,
};
