/* row_norms on a GPU: see row_norms.c. A block takes a few rows of w, so that a is read once for all of them; sums are in double. */
#include "autograd/cuda/kernel.cuh"

enum { W, A, B };
enum { NORM };
constexpr int TILE = 8;

__global__ void norms_of_tile(struct view w, struct view a, const float *b, int64_t rows, int64_t cols, int64_t rank, float scale, float *norm)
{
    const int64_t first = (int64_t)blockIdx.x * TILE;
    const int count = (int)(rows - first < TILE ? rows - first : TILE);
    double sum[TILE] = {};
    for (int64_t at = threadIdx.x * SPAN; at < cols; at += blockDim.x * SPAN) {
        float update[TILE][SPAN] = {}, values[SPAN];
        for (int64_t k = 0; k < rank; k++) {
            read(values, a, k * cols + at, span_at(at, cols));
            for (int i = 0; i < TILE; i++) {
                const float by = i < count ? b[(first + i) * rank + k] : 0;
                for (int j = 0; j < SPAN; j++)
                    update[i][j] += by * values[j];
            }
        }
        for (int i = 0; i < TILE; i++) {
            read(values, w, (first + i) * cols + at, i < count ? span_at(at, cols) : 0);
            for (int j = 0; j < SPAN; j++) {
                const double value = (double)values[j] + (double)(scale * update[i][j]);
                sum[i] += value * value;
            }
        }
    }
    for (int i = 0; i < TILE; i++) {
        const double all = block_sum(sum[i]);
        if (threadIdx.x == 0 && i < count)
            norm[first + i] = (float)sqrt(all);
    }
}

enum status row_norms_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *w = n->in[W], *b = n->in[B];
    if (w->rows > 0)
        LAUNCH(device, (unsigned)((w->rows + TILE - 1) / TILE), row_threads(w->cols), 0, norms_of_tile, view_of(w), view_of(n->in[A]), (const float *)b->data,
               w->rows, w->cols, b->cols, n->params.scale, (float *)n->out[NORM]->data);
    return launched(device, n);
}
