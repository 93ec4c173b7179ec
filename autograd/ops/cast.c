/* cast: the same values in another float dtype. The gradient keeps x's own dtype, so a parameter's stays f32 and usually shares storage. */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { X }; /* in:  x [rows, cols] */
enum { Y }; /* out: y [rows, cols] */

struct tensor *cast(struct graph *g, struct tensor *x, enum dtype dtype)
{
    if (x->dtype == dtype)
        return x;
    if (x->dtype == I32 || dtype == I32)
        graph_fail(g, "cast: %s is %s, wanted as %s", x->name, dtype_name(x->dtype), dtype_name(dtype));
    struct node *n = record(g, &op_cast, x);
    struct tensor *y = output(n, Y, dtype, x, x->cols);
    y->grad_dtype = x->role == WEIGHT ? F32 : x->grad_dtype; /* that of a table is a sum over a batch, see replace_rows */
    return y;
}

static void copy(const struct tensor *to, const struct tensor *from, bool add)
{
    int64_t count = to->rows * to->cols;
#pragma omp parallel for schedule(static) if (count >= WORTH_THREADS)
    for (int64_t at = 0; at < count; at += SPAN)
        span_copy(to, at, from, at, span_length(at, count), add);
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    copy(n->out[Y], n->in[X], false);
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    if (wants(n, X))
        copy(n->in[X]->grad, n->out[Y]->grad, adds(n, X));
    return OK;
}

const struct op op_cast = {
    .name = "cast",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(cast_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(cast_backward) },
    .in_place = NONE,
    .passes = IN(X),
};
