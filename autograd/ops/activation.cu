/* activation on a GPU: see activation.c. */
#include "autograd/cuda/kernel.cuh"
#include "autograd/cuda/curves.cuh"

enum { X };
enum { Y };

struct activation_values {
    struct view x, y;
    enum activation which;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN];
        read(values, x, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = curve_at(which, values[i]).value;
        write(y, at, count, values);
    }
};

struct activation_slopes {
    struct view x, dx, dy;
    enum activation which;
    bool add;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN], upstream[SPAN];
        read(values, x, at, count);
        read(upstream, dy, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = upstream[i] * curve_at(which, values[i]).slope;
        write_gradient(dx, at, count, values, add);
    }
};

enum status activation_forward_cuda(struct device *device, const struct node *n)
{
    const struct activation_values f = { view_of(n->in[X]), view_of(n->out[Y]), n->params.activation };
    return for_elements(device, n, n->out[Y], f);
}

enum status activation_backward_cuda(struct device *device, const struct node *n)
{
    const struct activation_slopes f = { view_of(n->in[X]), view_of(n->in[X]->grad), view_of(n->out[Y]->grad), n->params.activation, adds(n, X) };
    return for_elements(device, n, n->out[Y], f);
}
