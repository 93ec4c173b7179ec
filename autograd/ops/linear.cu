/* linear on a GPU: see linear.c. */
#include "autograd/cuda/copy.cuh"

extern "C" {
#include "autograd/cuda/gemm.h"
}

enum { X, W, BIAS, ONTO };
enum { Y };

/* y = (y or 0) + scale * bias. */
struct bias_rows {
    struct view y, bias;
    int64_t width;
    float scale;
    bool onto;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        float values[SPAN];
        read(values, bias, first, count);
        for (int i = 0; i < SPAN; i++)
            values[i] *= scale;
        write_gradient(y, row * width + first, count, values, onto);
    }
};

static struct operand whole(const struct tensor *t, bool transposed)
{
    return (struct operand){ t->data, t->dtype, t->cols, transposed };
}

enum status linear_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X], *w = n->in[W], *onto = n->in[ONTO], *y = n->out[Y];
    if (onto && onto->data != y->data) {
        const struct copy_values f = { view_of(y), view_of(onto), false, NULL };
        TRY(for_elements(device, n, y, f));
    }
    if (n->in[BIAS]) {
        const struct bias_rows f = { view_of(y), view_of(n->in[BIAS]), y->cols, n->params.scale, onto != NULL };
        TRY(for_spans(device, n, y->rows, y->cols, f));
    }
    return cuda_gemm(device, n, y->rows, y->cols, x->cols, n->params.scale, whole(x, false), whole(w, true), onto || n->in[BIAS] ? 1 : 0, y->data, y->dtype,
                     y->cols);
}

enum status linear_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X], *w = n->in[W], *dy = n->out[Y]->grad;
    const float scale = n->params.scale;
    if (wants(n, X)) {
        const struct tensor *dx = x->grad;
        TRY(cuda_gemm(device, n, dx->rows, dx->cols, dy->cols, scale, whole(dy, false), whole(w, false), adds(n, X) ? 1 : 0, dx->data, dx->dtype, dx->cols));
    }
    if (wants(n, W)) {
        const struct tensor *dw = w->grad;
        TRY(cuda_gemm(device, n, dw->rows, dw->cols, dy->rows, scale, whole(dy, true), whole(x, false), adds(n, W) ? 1 : 0, dw->data, dw->dtype, dw->cols));
    }
    if (wants(n, BIAS)) {
        const struct scaled_values f = { view_of(dy), dy->cols, scale };
        TRY(column_sums(device, n, dy->rows, dy->cols, view_of(n->in[BIAS]->grad), adds(n, BIAS), f));
    }
    return pass_gradient(device, n, ONTO);
}
