/* clamp on a GPU: see clamp.c. */
#include "autograd/cuda/kernel.cuh"

enum { X };
enum { Y };

struct clamped_values {
    struct view x, y;
    float bound;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN];
        read(values, x, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = values[i] > bound ? bound : values[i] < -bound ? -bound : values[i]; /* a NaN stays one */
        write(y, at, count, values);
    }
};

struct clamped_slopes {
    struct view x, dx, dy;
    float bound;
    bool add;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN], upstream[SPAN];
        read(values, x, at, count);
        read(upstream, dy, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = values[i] >= -bound && values[i] <= bound ? upstream[i] : 0;
        write_gradient(dx, at, count, values, add);
    }
};

enum status clamp_forward_cuda(struct device *device, const struct node *n)
{
    const struct clamped_values f = { view_of(n->in[X]), view_of(n->out[Y]), n->params.value };
    return for_elements(device, n, n->out[Y], f);
}

enum status clamp_backward_cuda(struct device *device, const struct node *n)
{
    const struct clamped_slopes f = { view_of(n->in[X]), view_of(n->in[X]->grad), view_of(n->out[Y]->grad), n->params.value, adds(n, X) };
    return for_elements(device, n, n->out[Y], f);
}
