/* sum_squares on a GPU: see sum_squares.c. The blocks of values are those of the CPU. */
#include "autograd/cuda/kernel.cuh"

enum { X };
enum { SUM };
constexpr int64_t BLOCK = 4096;

__global__ void square_blocks(struct view x, int64_t count, double *partial)
{
    const int64_t first = blockIdx.x * BLOCK, end = count - first < BLOCK ? count : first + BLOCK;
    double sum = 0;
    for (int64_t at = first + threadIdx.x * SPAN; at < end; at += THREADS * SPAN) {
        float values[SPAN];
        read(values, x, at, span_at(at, end));
        for (int i = 0; i < SPAN; i++)
            sum += (double)values[i] * (double)values[i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

__global__ void sum_blocks(const double *partial, int64_t blocks, float *to)
{
    double sum = 0;
    for (int64_t b = threadIdx.x; b < blocks; b += THREADS)
        sum += partial[b];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        *to = (float)sum;
}

enum status sum_squares_forward_cuda(struct device *device, const struct node *n)
{
    const int64_t count = n->in[X]->rows * n->in[X]->cols, blocks = (count + BLOCK - 1) / BLOCK;
    double *partial = (double *)n->scratch;
    if (blocks > 0)
        LAUNCH(device, (unsigned)blocks, THREADS, 0, square_blocks, view_of(n->in[X]), count, partial);
    LAUNCH(device, 1u, THREADS, 0, sum_blocks, partial, blocks, (float *)n->out[SUM]->data);
    return launched(device, n);
}
