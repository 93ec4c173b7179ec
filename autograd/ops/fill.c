/* fill: every element is one value. The root of backward is a fill of 1. */
#include "autograd/op.h"
#include "autograd/ops.h"

enum { Y }; /* out: y [rows, cols] f32 */

struct tensor *fill(struct graph *g, int64_t rows, int64_t cols, float value)
{
    struct node *n = record_node(g, &op_fill, 0, NULL);
    n->params.value = value;
    return output_fixed(n, Y, F32, rows, cols);
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    float *y = n->out[Y]->data;
    for (int64_t i = 0; i < n->out[Y]->rows * n->out[Y]->cols; i++)
        y[i] = n->params.value;
    return OK;
}

const struct op op_fill = {
    .name = "fill",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(fill_forward) },
    .in_place = NONE,
    .no_gradient = true,
};
