/* embed_columns on a GPU: see embed_columns.c. In backward the thread of the first row with an id adds all rows of that id, in order. */
#include "autograd/cuda/kernel.cuh"

enum { IDS, TABLE };
enum { Y };

struct column_rows {
    struct view y;
    const float *table;
    const int32_t *ids;
    int64_t vocab, width;
    struct complaint *complaint;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        float values[SPAN] = {};
        const int64_t id = ids[row];
        if (id < 0) {
            complain(complaint, COLUMN_ID, id, row);
            return;
        }
        for (int i = 0; id < vocab && i < count; i++)
            values[i] = table[(first + i) * vocab + id];
        write(y, row * width + first, count, values);
    }
};

__global__ void column_gradients(float *grad, int64_t vocab, int64_t width, struct view dy, int64_t rows, const int32_t *ids, int64_t padding)
{
    const int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, k = at / rows, row = at % rows;
    if (k >= width)
        return;
    const int64_t id = ids[row];
    bool is_first = id >= 0 && id < vocab && id != padding;
    for (int64_t before = 0; is_first && before < row; before++)
        is_first = ids[before] != id;
    if (!is_first)
        return;
    float sum = grad[k * vocab + id];
    for (int64_t r = row; r < rows; r++)
        sum += ids[r] == id ? read_one(dy, r * width + k) : 0;
    grad[k * vocab + id] = sum;
}

enum status embed_columns_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *table = n->in[TABLE], *y = n->out[Y];
    const struct column_rows f = { view_of(y), (const float *)table->data, (const int32_t *)n->in[IDS]->data, table->cols, y->cols, device->cuda->complaint };
    return for_spans(device, n, y->rows, y->cols, f);
}

enum status embed_columns_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *grad = n->in[TABLE]->grad, *dy = n->out[Y]->grad;
    if (!adds(n, TABLE))
        TRY(clear_bytes(device, n, grad->data, tensor_bytes(grad)));
    const int64_t blocks = (dy->rows * dy->cols + THREADS - 1) / THREADS;
    if (blocks > 0)
        LAUNCH(device, (unsigned)blocks, THREADS, 0, column_gradients, (float *)grad->data, grad->cols, dy->cols, view_of(dy), dy->rows,
               (const int32_t *)n->in[IDS]->data, (int64_t)n->params.lookup.padding);
    return launched(device, n);
}
