/* rmsnorm: y = (w + shift) * x / rms(x), one piece of w's width at a time; rms(x) = sqrt(mean(x^2) + eps).
 *
 * A row is one piece, or as many as it has heads. Statistics are f32 whatever x is. Backward needs 1/rms, so forward keeps that (one float a piece) and nothing
 * else. With v = w + shift:
 *
 *     dx = rstd * (dy*v - x * rstd^2 * mean(dy*v*x))        dw = sum over pieces of dy * x * rstd
 *
 * Source: Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", eq. 4.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <math.h>
#include <string.h>

enum { X, W };          /* in:  x [rows, pieces * width], w [1, width]               */
enum { Y, RSTD };       /* out: y [rows, pieces * width], rstd [rows, pieces] in f32 */
enum { PARTIALS = 64 }; /* dw is summed over at most so many ranges of whole tiles of pieces, then over the ranges in order */

struct tensor *rmsnorm(struct graph *g, struct tensor *x, struct tensor *w, float shift, float eps)
{
    expect_shape(g, op_rmsnorm.name, w, 1, x->cols % w->cols == 0 ? w->cols : x->cols);
    struct node *n = record(g, &op_rmsnorm, x, w);
    n->params.rms.eps = eps;
    n->params.rms.shift = shift;
    no_gradient(output(n, RSTD, F32, x, x->cols / w->cols));
    return output(n, Y, x->dtype, x, x->cols);
}

static int64_t pieces(const struct node *n, int64_t rows)
{
    return rows * (n->in[X]->cols / n->in[W]->cols);
}

static WIDE float sum_of_squares(const float *x, int64_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

static WIDE void scale_span(float *y, const float *x, const float *w, float shift, float rstd, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = (w[i] + shift) * (x[i] * rstd);
}

static void forward_piece(const struct node *n, int64_t r)
{
    const struct tensor *x = n->in[X], *w = n->in[W], *y = n->out[Y];
    const int64_t width = w->cols;
    float x_values[SPAN], w_values[SPAN], y_values[SPAN];
    double sum = 0;
    for (int64_t at = 0; at < width; at += SPAN)
        sum += (double)sum_of_squares(span_read(x, r * width + at, span_length(at, width), x_values), span_length(at, width));
    float rstd = (float)(1 / sqrt(sum / (double)width + (double)n->params.rms.eps));
    ((float *)n->out[RSTD]->data)[r] = rstd;
    for (int64_t at = 0; at < width; at += SPAN) {
        int64_t length = span_length(at, width);
        float *to = span_open(y, r * width + at, y_values);
        scale_span(to, span_read(x, r * width + at, length, x_values), span_read(w, at, length, w_values), n->params.rms.shift, rstd, length);
        span_close(y, r * width + at, length, to);
    }
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *x = n->in[X];
#pragma omp parallel for schedule(static) if (x->rows * x->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < pieces(n, x->rows); r++)
        forward_piece(n, r);
    return OK;
}

static WIDE float dot_of_three(const float *dy, const float *w, float shift, const float *x, int64_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += dy[i] * (w[i] + shift) * x[i];
    return sum;
}

static WIDE void backward_span(float *dx, const float *dy, const float *w, float shift, const float *x, float rstd, float back, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        dx[i] = rstd * (dy[i] * (w[i] + shift) - x[i] * back);
}

static void backward_piece(const struct node *n, int64_t r)
{
    const struct tensor *x = n->in[X], *w = n->in[W], *dy = n->out[Y]->grad, *dx = x->grad;
    const int64_t width = w->cols;
    const float rstd = ((const float *)n->out[RSTD]->data)[r], shift = n->params.rms.shift;
    float x_values[SPAN], w_values[SPAN], dy_values[SPAN], dx_values[SPAN];
    double dot = 0;
    for (int64_t at = 0; at < width; at += SPAN) {
        int64_t length = span_length(at, width);
        dot += (double)dot_of_three(span_read(dy, r * width + at, length, dy_values), span_read(w, at, length, w_values), shift,
                                    span_read(x, r * width + at, length, x_values), length);
    }
    float back = (float)((double)rstd * (double)rstd * dot / (double)width);
    for (int64_t at = 0; at < width; at += SPAN) {
        int64_t length = span_length(at, width);
        float *to = span_open_gradient(dx, r * width + at, dx_values, adds(n, X));
        backward_span(to, span_read(dy, r * width + at, length, dy_values), span_read(w, at, length, w_values), shift,
                      span_read(x, r * width + at, length, x_values), rstd, back, length);
        span_close_gradient(dx, r * width + at, length, to, adds(n, X));
    }
}

static void backward_x(const struct node *n)
{
    const struct tensor *x = n->in[X];
#pragma omp parallel for schedule(static) if (x->rows * x->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < pieces(n, x->rows); r++)
        backward_piece(n, r);
}

static int64_t partials(int64_t count)
{
    return row_tiles(count) < PARTIALS ? row_tiles(count) : PARTIALS;
}

static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    return n->in[W]->wants_grad ? (size_t)(partials(pieces(n, n->in[X]->capacity)) * n->in[W]->cols) * sizeof(float) : 0;
}

static WIDE void add_products(float *sum, const float *dy, const float *x, float rstd, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sum[i] += dy[i] * (x[i] * rstd);
}

static void sum_pieces(const struct node *n, float *sum, int64_t first, int64_t end)
{
    const struct tensor *x = n->in[X], *dy = n->out[Y]->grad;
    const float *rstd = n->out[RSTD]->data;
    const int64_t width = n->in[W]->cols;
    float x_values[SPAN], dy_values[SPAN];
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int64_t r = first; r < end; r++)
        for (int64_t at = 0; at < width; at += SPAN) {
            int64_t length = span_length(at, width);
            add_products(sum + at, span_read(dy, r * width + at, length, dy_values), span_read(x, r * width + at, length, x_values), rstd[r], length);
        }
}

static void backward_w(const struct node *n)
{
    const struct tensor *dw = n->in[W]->grad;
    const int64_t width = dw->cols, count = pieces(n, n->in[X]->rows), tiles = row_tiles(count), parts = partials(count);
    float *partial = n->scratch, values[SPAN];
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < parts; p++) {
        int64_t end = tiles * (p + 1) / parts * ROW_TILE;
        sum_pieces(n, partial + p * width, tiles * p / parts * ROW_TILE, end < count ? end : count);
    }
    for (int64_t at = 0; at < width; at += SPAN) {
        int64_t length = span_length(at, width);
        float *to = span_open_gradient(dw, at, values, adds(n, W));
        for (int64_t i = 0; i < length; i++) {
            float sum = 0;
            for (int64_t p = 0; p < parts; p++)
                sum += partial[p * width + at + i];
            to[i] = sum;
        }
        span_close_gradient(dw, at, length, to, adds(n, W));
    }
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    if (wants(n, X))
        backward_x(n);
    if (wants(n, W))
        backward_w(n);
    return OK;
}

const struct op op_rmsnorm = {
    .name = "rmsnorm",
    .reads = { [X] = IN(X) | IN(W) | OUT(RSTD), [W] = IN(X) | OUT(RSTD) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(rmsnorm_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(rmsnorm_backward) },
    .scratch = scratch,
    .in_place = NONE,
    .cheap = true,
};
