/* scale_columns on a GPU: see scale_columns.c. */
#include "autograd/cuda/copy.cuh"

enum { X, MAGNITUDE, NORM, BIAS, ONTO };
enum { Y };

struct column_factors {
    const float *magnitude, *norm;
    float shift;
    __device__ float operator()(int64_t column) const
    {
        return (norm[column] > 0 ? magnitude[column] / norm[column] : 0) + shift;
    }
};

static struct column_factors factors_of(const struct node *n)
{
    return (struct column_factors){ (const float *)n->in[MAGNITUDE]->data, (const float *)n->in[NORM]->data, n->params.shift };
}

struct scaled_columns {
    struct view x, bias, onto, y;
    struct column_factors factor;
    int64_t width;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        float sum[SPAN], more[SPAN];
        read(sum, x, row * width + first, count);
        for (int i = 0; i < count; i++)
            sum[i] *= factor(first + i);
        if (bias.data) {
            read(more, bias, first, count);
            for (int i = 0; i < SPAN; i++)
                sum[i] += more[i];
        }
        if (onto.data) {
            read(more, onto, row * width + first, count);
            for (int i = 0; i < SPAN; i++)
                sum[i] += more[i];
        }
        write(y, row * width + first, count, sum);
    }
};

struct scaled_gradients {
    struct view dx, dy;
    struct column_factors factor;
    int64_t width;
    bool add;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        float values[SPAN];
        read(values, dy, row * width + first, count);
        for (int i = 0; i < count; i++)
            values[i] *= factor(first + i);
        write_gradient(dx, row * width + first, count, values, add);
    }
};

struct magnitude_terms {
    struct view x, dy, norm;
    int64_t width;
    __device__ void operator()(float to[SPAN], int64_t row, int64_t first, int count) const
    {
        float values[SPAN], by[SPAN];
        read(values, x, row * width + first, count);
        read(to, dy, row * width + first, count);
        read(by, norm, first, count);
        for (int i = 0; i < SPAN; i++)
            to[i] = by[i] > 0 ? to[i] * values[i] / by[i] : 0;
    }
};

enum status scale_columns_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *y = n->out[Y];
    const struct scaled_columns f = { view_of(n->in[X]), view_of(n->in[BIAS]), view_of(n->in[ONTO]), view_of(y), factors_of(n), y->cols };
    return for_spans(device, n, y->rows, y->cols, f);
}

enum status scale_columns_backward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *x = n->in[X], *dy = n->out[Y]->grad;
    if (wants(n, MAGNITUDE)) {
        const struct magnitude_terms f = { view_of(x), view_of(dy), view_of(n->in[NORM]), dy->cols };
        TRY(column_sums(device, n, dy->rows, dy->cols, view_of(n->in[MAGNITUDE]->grad), adds(n, MAGNITUDE), f));
    }
    if (wants(n, BIAS)) {
        const struct scaled_values f = { view_of(dy), dy->cols, 1 };
        TRY(column_sums(device, n, dy->rows, dy->cols, view_of(n->in[BIAS]->grad), adds(n, BIAS), f));
    }
    if (wants(n, X)) {
        const struct scaled_gradients f = { view_of(x->grad), view_of(dy), factors_of(n), dy->cols, adds(n, X) };
        TRY(for_spans(device, n, dy->rows, dy->cols, f));
    }
    return pass_gradient(device, n, ONTO);
}
