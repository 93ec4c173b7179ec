/* take_rows: y[i] = x[index[i]]; the rows of x that go on. The gradient puts them back, zeros elsewhere. */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { X, INDEX }; /* in:  x [rows, width], index I32 [n, 1], strictly increasing */
enum { Y };        /* out: y [n, width] */

struct tensor *take_rows(struct graph *g, struct tensor *x, struct tensor *index)
{
    expect_shape(g, op_take_rows.name, index, -1, 1);
    struct node *n = record(g, &op_take_rows, x, index);
    struct tensor *y = output(n, Y, x->dtype, index, x->cols);
    y->grad_dtype = x->grad_dtype;
    return y;
}

/* Increasing means distinct: in backward no two rows of dy meet. */
static enum status check_index(struct device *device, const struct node *n)
{
    const int32_t *index = n->in[INDEX]->data;
    for (int64_t i = 0, before = -1; i < n->in[INDEX]->rows; before = index[i++])
        if (index[i] <= before || index[i] >= n->in[X]->rows)
            return fail_with(device->err, BAD_DATA, "take_rows: index %lld is %d, after %lld, of %lld rows", "indices must increase and lie inside the batch",
                             (long long)i, index[i], (long long)before, (long long)n->in[X]->rows);
    return OK;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    TRY(check_index(device, n));
    const struct tensor *x = n->in[X], *y = n->out[Y];
    const int32_t *index = n->in[INDEX]->data;
#pragma omp parallel for schedule(static) if (y->rows * y->cols >= WORTH_THREADS)
    for (int64_t i = 0; i < y->rows; i++)
        span_copy(y, i * y->cols, x, index[i] * x->cols, y->cols, false);
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const struct tensor *dx = n->in[X]->grad, *dy = n->out[Y]->grad;
    const int32_t *index = n->in[INDEX]->data;
    if (!adds(n, X) && tensor_bytes(dx))
        memset(dx->data, 0, tensor_bytes(dx));
#pragma omp parallel for schedule(static) if (dy->rows * dy->cols >= WORTH_THREADS)
    for (int64_t i = 0; i < dy->rows; i++)
        span_copy(dx, index[i] * dx->cols, dy, i * dy->cols, dy->cols, adds(n, X));
    return OK;
}

const struct op op_take_rows = {
    .name = "take_rows",
    .reads = { [X] = IN(INDEX) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(take_rows_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(take_rows_backward) },
    .in_place = NONE,
};
