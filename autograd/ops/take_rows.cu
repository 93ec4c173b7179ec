/* take_rows on a GPU: see take_rows.c. */
#include "autograd/cuda/kernel.cuh"

enum { X, INDEX };
enum { Y };

/* Row i of the small matrix and row index[i] of the large one, in either direction. A row whose index does not increase or lies outside is left out. */
struct rows_copy {
    struct view to, from;
    const int32_t *index;
    int64_t rows, width; /* rows of the large matrix */
    bool back, add;
    struct complaint *complaint;
    __device__ void operator()(int64_t i, int64_t first, int count) const
    {
        const int64_t there = index[i], before = i > 0 ? index[i - 1] : -1;
        if (there <= before || there >= rows) {
            complain(complaint, ROW_INDEX, i, there, before, rows);
            return;
        }
        float values[SPAN];
        read(values, from, (back ? i : there) * width + first, count);
        write_gradient(to, (back ? there : i) * width + first, count, values, add);
    }
};

static enum status copy_rows(struct device *device, const struct node *n, const struct tensor *to, const struct tensor *from, bool back, bool add)
{
    const struct rows_copy f = { view_of(to), view_of(from),          (const int32_t *)n->in[INDEX]->data, back ? to->rows : from->rows, to->cols, back,
                                 add,         device->cuda->complaint };
    return for_spans(device, n, n->in[INDEX]->rows, to->cols, f);
}

enum status take_rows_forward_cuda(struct device *device, const struct node *n)
{
    return copy_rows(device, n, n->out[Y], n->in[X], false, false);
}

enum status take_rows_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *dx = n->in[X]->grad;
    if (!adds(n, X))
        TRY(clear_bytes(device, n, dx->data, tensor_bytes(dx)));
    return copy_rows(device, n, dx, n->out[Y]->grad, true, adds(n, X));
}
