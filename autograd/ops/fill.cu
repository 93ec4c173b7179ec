/* fill on a GPU: see fill.c. */
#include "autograd/cuda/kernel.cuh"

enum { Y };

struct fill_values {
    struct view y;
    float value;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN];
        for (int i = 0; i < SPAN; i++)
            values[i] = value;
        write(y, at, count, values);
    }
};

enum status fill_forward_cuda(struct device *device, const struct node *n)
{
    const struct fill_values f = { view_of(n->out[Y]), n->params.value };
    return for_elements(device, n, n->out[Y], f);
}
