/* replace_rows: rows of x that stand for certain ids become rows of another matrix: y[i] = x[i], or scale * rows[k] where k = place[ids[i]] >= 0.
 *
 *     dx = dy where x went through, else 0        drows[k] = scale * sum of dy[i] over the i that took row k and are not the id `padding`, in order
 *
 * Without ids row i stands for id i (a whole table). Threads share columns, never rows, so there are no races and the order is fixed.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { X, IDS, PLACE, TAKEN }; /* in:  x [rows, width], ids I32 [rows, 1] or NULL, place I32 [vocab, 1], taken f32 [n, width] */
enum { Y };                    /* out: y [rows, width] */
enum { COLUMNS = 64 };         /* per task of backward */

struct tensor *replace_rows(struct graph *g, struct tensor *x, struct tensor *ids, struct tensor *place, struct tensor *taken, float scale, int padding)
{
    if (ids)
        expect_rows_of(g, op_replace_rows.name, ids, x);
    expect_shape(g, op_replace_rows.name, place, ids ? -1 : x->capacity, 1);
    expect_shape(g, op_replace_rows.name, taken, -1, x->cols);
    struct node *n = record(g, &op_replace_rows, x, ids, place, taken);
    struct tensor *y = output(n, Y, x->dtype, x, x->cols);
    n->params.lookup.scale = scale;
    n->params.lookup.padding = ids ? padding : NO_PADDING;
    y->grad_dtype = x->role == WEIGHT ? F32 : x->grad_dtype; /* that of a table is a sum over a batch */
    return y;
}

/* The row that is taken for row r of x; -1: none. */
static int64_t taken_at(const struct node *n, int64_t r)
{
    const int64_t id = n->in[IDS] ? ((const int32_t *)n->in[IDS]->data)[r] : r;
    const int64_t place = id >= 0 && id < n->in[PLACE]->rows ? ((const int32_t *)n->in[PLACE]->data)[id] : -1;
    return place < n->in[TAKEN]->rows ? place : -1;
}

static bool is_padding(const struct node *n, int64_t r)
{
    return n->in[IDS] && ((const int32_t *)n->in[IDS]->data)[r] == n->params.lookup.padding;
}

static void take_row(const struct node *n, int64_t r, int64_t k)
{
    const struct tensor *y = n->out[Y];
    float in[SPAN], out[SPAN];
    for (int64_t at = 0; at < y->cols; at += SPAN) {
        const int64_t length = span_length(at, y->cols);
        const float *from = span_read(n->in[TAKEN], k * y->cols + at, length, in);
        float *to = span_open(y, r * y->cols + at, out);
        for (int64_t i = 0; i < length; i++)
            to[i] = n->params.lookup.scale * from[i];
        span_close(y, r * y->cols + at, length, to);
    }
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X], *y = n->out[Y];
    (void)device;
#pragma omp parallel for schedule(static) if (y->rows * y->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < y->rows; r++) {
        const int64_t k = taken_at(n, r);
        if (k >= 0)
            take_row(n, r, k);
        else if (x->data != y->data)
            span_copy(y, r * y->cols, x, r * y->cols, y->cols, false);
    }
    return OK;
}

static void x_gradient(const struct node *n)
{
    const struct tensor *dx = n->in[X]->grad, *dy = n->out[Y]->grad;
#pragma omp parallel for schedule(static) if (dx->rows * dx->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < dx->rows; r++) {
        const int64_t first = r * dx->cols;
        if (taken_at(n, r) < 0)
            span_copy(dx, first, dy, first, dx->cols, adds(n, X));
        else if (!adds(n, X))
            memset((char *)dx->data + (size_t)first * dtype_bytes(dx->dtype), 0, (size_t)dx->cols * dtype_bytes(dx->dtype));
    }
}

/* Columns [from, from + count) of the gradient of what was taken. */
static void add_columns(const struct node *n, int64_t from, int64_t count)
{
    const struct tensor *grad = n->in[TAKEN]->grad, *dy = n->out[Y]->grad;
    float *sums = grad->data, buffer[COLUMNS];
    for (int64_t k = 0; !adds(n, TAKEN) && k < grad->rows; k++)
        memset(sums + k * grad->cols + from, 0, (size_t)count * sizeof *sums);
    for (int64_t r = 0; r < dy->rows; r++) {
        const int64_t k = taken_at(n, r);
        if (k < 0 || is_padding(n, r))
            continue;
        const float *values = span_read(dy, r * dy->cols + from, count, buffer);
        for (int64_t i = 0; i < count; i++)
            sums[k * grad->cols + from + i] += n->params.lookup.scale * values[i];
    }
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    const int64_t width = n->out[Y]->cols;
    (void)device;
    if (wants(n, X))
        x_gradient(n);
    if (wants(n, TAKEN)) {
#pragma omp parallel for schedule(static)
        for (int64_t from = 0; from < width; from += COLUMNS)
            add_columns(n, from, width - from < COLUMNS ? width - from : COLUMNS);
    }
    return OK;
}

const struct op op_replace_rows = {
    .name = "replace_rows",
    .reads = { [X] = IN(IDS) | IN(PLACE), [TAKEN] = IN(IDS) | IN(PLACE) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(replace_rows_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(replace_rows_backward) },
    .in_place = X,
};
