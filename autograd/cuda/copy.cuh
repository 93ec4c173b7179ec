/* Elements copied, set or added, between any two float dtypes, times a factor that may lie on the device, and gradients that are those of the output: what many
 * ops share. */
#ifndef GRAFT_AUTOGRAD_CUDA_COPY_CUH
#define GRAFT_AUTOGRAD_CUDA_COPY_CUH

#include "autograd/cuda/kernel.cuh"

struct copy_values {
    struct view to, from;
    bool add;
    const float *factor; /* NULL: 1 */
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN];
        read(values, from, at, count);
        for (int i = 0; factor && i < SPAN; i++)
            values[i] *= *factor;
        write_gradient(to, at, count, values, add);
    }
};

/* The gradient of an input that output 0 passes through unchanged, unless both are one storage. */
static inline enum status pass_gradient(struct device *device, const struct node *n, int input)
{
    const struct tensor *dy = n->out[0]->grad;
    if (!wants(n, input) || n->in[input]->grad->data == dy->data)
        return OK;
    const struct copy_values f = { view_of(n->in[input]->grad), view_of(dy), adds(n, input), NULL };
    return for_elements(device, n, dy, f);
}

/* For column_sums(): the values of a matrix, all times one factor. */
struct scaled_values {
    struct view values;
    int64_t width;
    float scale;
    __device__ void operator()(float to[SPAN], int64_t row, int64_t first, int count) const
    {
        read(to, values, row * width + first, count);
        for (int i = 0; i < SPAN; i++)
            to[i] *= scale;
    }
};

#endif
