/* take_columns: y = columns [from, from + width) of x.
 *
 * A tensor has no views, so what one matrix holds for many readers (the keys and values of all layers in a prefix) is copied out.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { X }; /* in:  x [rows, cols] */
enum { Y }; /* out: y [rows, width] */

struct tensor *take_columns(struct graph *g, struct tensor *x, int64_t from, int64_t width)
{
    if (from < 0 || width < 0 || from > x->cols - width)
        graph_fail(g, "take_columns: columns %lld to %lld of %s, which has %lld", (long long)from, (long long)(from + width), x->name, (long long)x->cols);
    struct node *n = record(g, &op_take_columns, x);
    n->params.from = from;
    struct tensor *y = output(n, Y, x->dtype, x, width);
    y->grad_dtype = x->grad_dtype;
    return y;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *x = n->in[X], *y = n->out[Y];
    for (int64_t r = 0; r < y->rows; r++)
        span_copy(y, r * y->cols, x, r * x->cols + n->params.from, y->cols, false);
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *dx = n->in[X]->grad, *dy = n->out[Y]->grad;
    if (!adds(n, X) && tensor_bytes(dx))
        memset(dx->data, 0, tensor_bytes(dx));
    for (int64_t r = 0; r < dy->rows; r++)
        span_copy(dx, r * dx->cols + n->params.from, dy, r * dy->cols, dy->cols, adds(n, X));
    return OK;
}

const struct op op_take_columns = {
    .name = "take_columns",
    .forward = { [CPU] = forward_cpu },
    .backward = { [CPU] = backward_cpu },
    .in_place = NONE,
    .cheap = true,
};
