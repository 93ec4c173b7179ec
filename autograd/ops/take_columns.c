/* take_columns: y = some columns of x, in their order: pieces of equal width at equal distances.
 *
 * A tensor has no views, so what one matrix holds for many readers is copied out: the keys and values of all layers in a prefix, or the queries of all heads in
 * a fused projection, which families lay out in different ways.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { X }; /* in:  x [rows, cols] */
enum { Y }; /* out: y [rows, pieces * width] */

struct tensor *take_columns(struct graph *g, struct tensor *x, struct columns columns)
{
    const struct columns c = columns;
    /* a product of two numbers that are no larger than cols does not overflow: cols is below 2^31 */
    bool small = c.from >= 0 && c.width >= 0 && c.pieces >= 0 && c.step >= 0 && c.from <= x->cols && c.width <= x->cols && c.pieces <= x->cols &&
                 c.step <= x->cols && (c.pieces <= 1 || c.step >= c.width);
    int64_t end = small && c.pieces > 0 ? c.from + (c.pieces - 1) * c.step + c.width : c.from;
    if (!small || end > x->cols)
        graph_fail(g, "take_columns: %lld pieces of %lld columns, %lld apart, from column %lld of %s, which has %lld", (long long)c.pieces, (long long)c.width,
                   (long long)c.step, (long long)c.from, x->name, (long long)x->cols);
    struct node *n = record(g, &op_take_columns, x);
    n->params.columns = columns;
    struct tensor *y = output(n, Y, x->dtype, x, small ? c.pieces * c.width : 0);
    y->grad_dtype = x->grad_dtype;
    return y;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *x = n->in[X], *y = n->out[Y];
    const struct columns c = n->params.columns;
#pragma omp parallel for schedule(static) if (y->rows * y->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < y->rows; r++)
        for (int64_t i = 0; i < c.pieces; i++)
            span_copy(y, r * y->cols + i * c.width, x, r * x->cols + c.from + i * c.step, c.width, false);
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *dx = n->in[X]->grad, *dy = n->out[Y]->grad;
    const struct columns c = n->params.columns;
    const size_t row = (size_t)dx->cols * dtype_bytes(dx->dtype);
#pragma omp parallel for schedule(static) if (dx->rows * dx->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < dy->rows; r++) {
        if (!adds(n, X) && row)
            memset((char *)dx->data + (size_t)r * row, 0, row);
        for (int64_t i = 0; i < c.pieces; i++)
            span_copy(dx, r * dx->cols + c.from + i * c.step, dy, r * dy->cols + i * c.width, c.width, adds(n, X));
    }
    return OK;
}

const struct op op_take_columns = {
    .name = "take_columns",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(take_columns_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(take_columns_backward) },
    .in_place = NONE,
    .cheap = true,
};
