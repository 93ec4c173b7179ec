/* replace_rows on a GPU: see replace_rows.c. For the gradient of what was taken a thread owns a column and walks the rows in order. */
#include "autograd/cuda/kernel.cuh"

enum { X, IDS, PLACE, TAKEN };
enum { Y };

/* Which row is taken for a row of x. */
struct takers {
    const int32_t *ids, *place; /* ids NULL: row i stands for id i */
    int64_t places, taken;
    /* -1: none */
    __device__ int64_t operator()(int64_t row) const
    {
        const int64_t id = ids ? ids[row] : row, at = id >= 0 && id < places ? place[id] : -1;
        return at < taken ? at : -1;
    }
};

static struct takers takers_of(const struct node *n)
{
    return (struct takers){ n->in[IDS] ? (const int32_t *)n->in[IDS]->data : NULL, (const int32_t *)n->in[PLACE]->data, n->in[PLACE]->rows,
                            n->in[TAKEN]->rows };
}

struct replaced_rows {
    struct view x, taken, y;
    struct takers takers;
    int64_t width;
    float scale;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        const int64_t k = takers(row);
        float values[SPAN];
        read(values, k >= 0 ? taken : x, (k >= 0 ? k : row) * width + first, count);
        for (int i = 0; i < SPAN; i++)
            values[i] *= k >= 0 ? scale : 1;
        write(y, row * width + first, count, values);
    }
};

struct kept_gradients {
    struct view dx, dy;
    struct takers takers;
    int64_t width;
    bool add;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        float values[SPAN] = {};
        if (takers(row) < 0)
            read(values, dy, row * width + first, count);
        write_gradient(dx, row * width + first, count, values, add);
    }
};

__global__ void taken_gradients(float *grad, struct view dy, struct takers takers, int64_t rows, int64_t width, float scale, int padding)
{
    const int64_t column = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    for (int64_t r = 0; column < width && r < rows; r++) {
        const int64_t k = takers(r);
        if (k >= 0 && !(takers.ids && takers.ids[r] == padding))
            grad[k * width + column] += scale * read_one(dy, r * width + column);
    }
}

enum status replace_rows_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *y = n->out[Y];
    const struct replaced_rows f = { view_of(n->in[X]), view_of(n->in[TAKEN]), view_of(y), takers_of(n), y->cols, n->params.lookup.scale };
    return for_spans(device, n, y->rows, y->cols, f);
}

enum status replace_rows_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *dy = n->out[Y]->grad;
    if (wants(n, X)) {
        const struct kept_gradients f = { view_of(n->in[X]->grad), view_of(dy), takers_of(n), dy->cols, adds(n, X) };
        TRY(for_spans(device, n, dy->rows, dy->cols, f));
    }
    if (!wants(n, TAKEN))
        return OK;
    const struct tensor *grad = n->in[TAKEN]->grad;
    if (!adds(n, TAKEN))
        TRY(clear_bytes(device, n, grad->data, tensor_bytes(grad)));
    LAUNCH(device, (unsigned)((dy->cols + THREADS - 1) / THREADS), THREADS, 0, taken_gradients, (float *)grad->data, view_of(dy), takers_of(n), dy->rows,
           dy->cols, n->params.lookup.scale, n->params.lookup.padding);
    return launched(device, n);
}
