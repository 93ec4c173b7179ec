/* layernorm on a GPU: see layernorm.c. A block takes a row; the gradients of w and b are sums of columns. */
#include "autograd/cuda/copy.cuh"

enum { X, W, B };
enum { Y, STATISTICS };

__global__ void layernorm_rows(struct view x, struct view w, struct view b, struct view y, float *statistics, int64_t width, float eps)
{
    const int64_t row = blockIdx.x * width;
    float sum = 0, squares = 0, values[SPAN], weights[SPAN], biases[SPAN] = {};
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        read(values, x, row + at, span_at(at, width));
        for (int i = 0; i < SPAN; i++)
            sum += values[i];
    }
    const float mean = block_sum(sum) / (float)width;
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        const int count = span_at(at, width);
        read(values, x, row + at, count);
        for (int i = 0; i < count; i++)
            squares += (values[i] - mean) * (values[i] - mean);
    }
    const float rstd = 1 / sqrtf(block_sum(squares) / (float)width + eps);
    if (threadIdx.x == 0) {
        statistics[2 * (int64_t)blockIdx.x] = mean;
        statistics[2 * (int64_t)blockIdx.x + 1] = rstd;
    }
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        const int count = span_at(at, width);
        read(values, x, row + at, count);
        read(weights, w, at, count);
        if (b.data)
            read(biases, b, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = weights[i] * ((values[i] - mean) * rstd) + biases[i];
        write(y, row + at, count, values);
    }
}

__global__ void layernorm_gradients(struct view x, struct view w, struct view dy, struct view dx, const float *statistics, int64_t width, bool add)
{
    const int64_t row = blockIdx.x * width;
    const float mean = statistics[2 * (int64_t)blockIdx.x], rstd = statistics[2 * (int64_t)blockIdx.x + 1];
    float plain = 0, with_n = 0, values[SPAN], weights[SPAN], upstream[SPAN];
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        const int count = span_at(at, width);
        read(values, x, row + at, count);
        read(weights, w, at, count);
        read(upstream, dy, row + at, count);
        for (int i = 0; i < SPAN; i++) {
            const float d = upstream[i] * weights[i];
            plain += d;
            with_n += d * ((values[i] - mean) * rstd);
        }
    }
    plain = block_sum(plain) / (float)width;
    with_n = block_sum(with_n) / (float)width;
    for (int64_t at = threadIdx.x * SPAN; at < width; at += blockDim.x * SPAN) {
        const int count = span_at(at, width);
        read(values, x, row + at, count);
        read(weights, w, at, count);
        read(upstream, dy, row + at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = rstd * (upstream[i] * weights[i] - plain - (values[i] - mean) * rstd * with_n);
        write_gradient(dx, row + at, count, values, add);
    }
}

struct normed_terms {
    struct view x, dy;
    const float *statistics;
    int64_t width;
    __device__ void operator()(float to[SPAN], int64_t row, int64_t first, int count) const
    {
        float values[SPAN];
        const float mean = statistics[2 * row], rstd = statistics[2 * row + 1];
        read(values, x, row * width + first, count);
        read(to, dy, row * width + first, count);
        for (int i = 0; i < SPAN; i++)
            to[i] *= (values[i] - mean) * rstd;
    }
};

enum status layernorm_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X];
    if (x->rows > 0)
        LAUNCH(device, (unsigned)x->rows, row_threads(x->cols), 0, layernorm_rows, view_of(x), view_of(n->in[W]), view_of(n->in[B]), view_of(n->out[Y]),
               (float *)n->out[STATISTICS]->data, x->cols, n->params.eps);
    return launched(device, n);
}

enum status layernorm_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X], *dy = n->out[Y]->grad;
    const float *statistics = (const float *)n->out[STATISTICS]->data;
    if (wants(n, X) && x->rows > 0)
        LAUNCH(device, (unsigned)x->rows, row_threads(x->cols), 0, layernorm_gradients, view_of(x), view_of(n->in[W]), view_of(dy), view_of(x->grad),
               statistics, x->cols, adds(n, X));
    TRY(launched(device, n));
    if (wants(n, W)) {
        const struct normed_terms f = { view_of(x), view_of(dy), statistics, x->cols };
        TRY(column_sums(device, n, x->rows, x->cols, view_of(n->in[W]->grad), adds(n, W), f));
    }
    if (!wants(n, B))
        return OK;
    const struct scaled_values f = { view_of(dy), dy->cols, 1 };
    return column_sums(device, n, dy->rows, dy->cols, view_of(n->in[B]->grad), adds(n, B), f);
}
