/* rmsnorm on a GPU: see rmsnorm.c. A block takes a piece; the gradient of w is sums of columns. */
#include "autograd/cuda/kernel.cuh"

enum { X, W };
enum { Y, RSTD };

__global__ void rmsnorm_pieces(struct view x, struct view w, struct view y, float *rstd, int64_t width, float shift, float eps)
{
    const int64_t first = blockIdx.x * width;
    float sum = 0, values[SPAN], weights[SPAN];
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        read(values, x, first + at, span_at(at, width));
        for (int i = 0; i < SPAN; i++)
            sum += values[i] * values[i];
    }
    const float scale = 1 / sqrtf(block_sum(sum) / (float)width + eps);
    if (threadIdx.x == 0)
        rstd[blockIdx.x] = scale;
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        const int count = span_at(at, width);
        read(values, x, first + at, count);
        read(weights, w, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = (weights[i] + shift) * (values[i] * scale);
        write(y, first + at, count, values);
    }
}

__global__ void rmsnorm_gradients(struct view x, struct view w, struct view dy, struct view dx, const float *rstd, int64_t width, float shift, bool add)
{
    const int64_t first = blockIdx.x * width;
    float dot = 0, values[SPAN], weights[SPAN], upstream[SPAN];
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        const int count = span_at(at, width);
        read(values, x, first + at, count);
        read(weights, w, at, count);
        read(upstream, dy, first + at, count);
        for (int i = 0; i < SPAN; i++)
            dot += upstream[i] * (weights[i] + shift) * values[i];
    }
    const float scale = rstd[blockIdx.x], back = scale * scale * block_sum(dot) / (float)width;
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        const int count = span_at(at, width);
        read(values, x, first + at, count);
        read(weights, w, at, count);
        read(upstream, dy, first + at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = scale * (upstream[i] * (weights[i] + shift) - values[i] * back);
        write_gradient(dx, first + at, count, values, add);
    }
}

struct weight_terms {
    struct view x, dy;
    const float *rstd;
    int64_t width;
    __device__ void operator()(float to[SPAN], int64_t row, int64_t first, int count) const
    {
        float values[SPAN];
        const float scale = rstd[row];
        read(values, x, row * width + first, count);
        read(to, dy, row * width + first, count);
        for (int i = 0; i < SPAN; i++)
            to[i] *= values[i] * scale;
    }
};

static int64_t pieces(const struct node *n)
{
    return n->in[X]->rows * (n->in[X]->cols / n->in[W]->cols);
}

enum status rmsnorm_forward_cuda(struct device *device, const struct node *n)
{
    const int64_t width = n->in[W]->cols;
    if (pieces(n) > 0)
        LAUNCH(device, (unsigned)pieces(n), row_threads(width), 0, rmsnorm_pieces, view_of(n->in[X]), view_of(n->in[W]), view_of(n->out[Y]),
               (float *)n->out[RSTD]->data, width, n->params.rms.shift, n->params.rms.eps);
    return launched(device, n);
}

enum status rmsnorm_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X], *dy = n->out[Y]->grad;
    const float *rstd = (const float *)n->out[RSTD]->data;
    const int64_t width = n->in[W]->cols;
    if (wants(n, X) && pieces(n) > 0)
        LAUNCH(device, (unsigned)pieces(n), row_threads(width), 0, rmsnorm_gradients, view_of(x), view_of(n->in[W]), view_of(dy), view_of(x->grad), rstd, width,
               n->params.rms.shift, adds(n, X));
    if (!wants(n, W))
        return launched(device, n);
    const struct weight_terms f = { view_of(x), view_of(dy), rstd, width };
    return column_sums(device, n, pieces(n), width, view_of(n->in[W]->grad), adds(n, W), f);
}
