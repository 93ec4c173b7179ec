/* embed on a GPU: see embed.c. In backward a thread owns a column and walks the rows in order. */
#include "autograd/cuda/copy.cuh"

enum { IDS, TABLE, VIRTUAL, ONTO };
enum { Y };

struct embed_rows {
    struct view table, virtual_rows, onto, y;
    const int32_t *ids;
    int64_t vocab, all, width;
    float scale;
    struct complaint *complaint;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        const int64_t id = ids[row];
        if (id < 0 || id >= all) {
            complain(complaint, EMBED_ID, id, row, all);
            return;
        }
        float values[SPAN], there[SPAN] = {};
        if (onto.data)
            read(there, onto, row * width + first, count);
        read(values, id < vocab ? table : virtual_rows, (id < vocab ? id : id - vocab) * width + first, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = there[i] + (id < vocab ? scale : 1) * values[i];
        write(y, row * width + first, count, values);
    }
};

__global__ void embed_gradient(float *grad, int64_t grad_rows, struct view dy, int64_t rows, int64_t width, const int32_t *ids, int64_t first, float scale,
                               int64_t padding)
{
    const int64_t column = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (int64_t r = 0; column < width && r < rows; r++) {
        const int64_t id = ids[r] - first;
        if (id >= 0 && id < grad_rows && ids[r] != padding)
            grad[id * width + column] += scale * read_one(dy, r * width + column);
    }
}

enum status embed_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *table = n->in[TABLE], *more = n->in[VIRTUAL], *y = n->out[Y];
    const struct embed_rows f = { view_of(table),
                                  view_of(more),
                                  view_of(n->in[ONTO]),
                                  view_of(y),
                                  (const int32_t *)n->in[IDS]->data,
                                  table->rows,
                                  table->rows + (more ? more->rows : 0),
                                  y->cols,
                                  n->params.lookup.scale,
                                  device->cuda->complaint };
    return for_spans(device, n, y->rows, y->cols, f);
}

static enum status add_rows(struct device *device, const struct node *n, int input, int64_t first, float scale)
{
    if (!wants(n, input))
        return OK;
    const struct tensor *grad = n->in[input]->grad, *dy = n->out[Y]->grad;
    if (!adds(n, input))
        TRY(clear_bytes(device, n, grad->data, tensor_bytes(grad)));
    LAUNCH(device, (unsigned)((dy->cols + THREADS - 1) / THREADS), THREADS, 0, embed_gradient, (float *)grad->data, grad->rows, view_of(dy), dy->rows, dy->cols,
           (const int32_t *)n->in[IDS]->data, first, scale, (int64_t)n->params.lookup.padding);
    return launched(device, n);
}

enum status embed_backward_cuda(struct device *device, const struct node *n)
{
    TRY(add_rows(device, n, TABLE, 0, n->params.lookup.scale));
    TRY(add_rows(device, n, VIRTUAL, n->in[TABLE]->rows, 1));
    return pass_gradient(device, n, ONTO);
}
