/* choose_rows on a GPU: see choose_rows.c. */
#include "autograd/cuda/kernel.cuh"

enum { OTHERS, MINE, CHOICE };
enum { Y };

struct chosen_rows {
    struct view others, mine, y;
    const int32_t *choice;
    int64_t width;
    int number;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        float values[SPAN];
        read(values, choice[row] == number ? mine : others, row * width + first, count);
        write(y, row * width + first, count, values);
    }
};

enum status choose_rows_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *y = n->out[Y];
    const struct chosen_rows f = { view_of(n->in[OTHERS]), view_of(n->in[MINE]), view_of(y), (const int32_t *)n->in[CHOICE]->data, y->cols, n->params.number };
    return for_spans(device, n, y->rows, y->cols, f);
}
