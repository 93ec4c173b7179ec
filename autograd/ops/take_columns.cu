/* take_columns on a GPU: see take_columns.c. */
#include "autograd/cuda/kernel.cuh"

enum { X };
enum { Y };

/* A piece of a row of the large matrix and its place in the small one, in either direction. */
struct pieces_copy {
    struct view to, from;
    struct columns columns;
    int64_t cols; /* of the large matrix */
    bool back, add;
    __device__ void operator()(int64_t line, int64_t first, int count) const
    {
        const int64_t row = line / columns.pieces, piece = line % columns.pieces;
        const int64_t large = row * cols + columns.from + piece * columns.step + first, small = line * columns.width + first;
        float values[SPAN];
        read(values, from, back ? small : large, count);
        write_gradient(to, back ? large : small, count, values, add);
    }
};

enum status take_columns_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X], *y = n->out[Y];
    const struct pieces_copy f = { view_of(y), view_of(x), n->params.columns, x->cols, false, false };
    return for_spans(device, n, y->rows * f.columns.pieces, f.columns.width, f);
}

enum status take_columns_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *dx = n->in[X]->grad, *dy = n->out[Y]->grad;
    if (!adds(n, X))
        TRY(clear_bytes(device, n, dx->data, tensor_bytes(dx)));
    const struct pieces_copy f = { view_of(dx), view_of(dy), n->params.columns, dx->cols, true, adds(n, X) };
    return for_spans(device, n, dy->rows * f.columns.pieces, f.columns.width, f);
}
