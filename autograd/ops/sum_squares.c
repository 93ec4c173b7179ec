/* sum_squares: the sum of x^2 over everything, for the gradient's norm. Blocks of fixed size are summed in f64 and added in order, so the result never depends
 * on threads, and one NaN or infinity anywhere shows. */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { X };            /* in:  x f32 [rows, cols] */
enum { SUM };          /* out: f32 [1, 1] */
enum { BLOCK = 4096 }; /* values per partial sum */

struct tensor *sum_squares(struct graph *g, struct tensor *x)
{
    if (x->dtype != F32)
        graph_fail(g, "sum_squares: %s is %s, float32 is needed", x->name, dtype_name(x->dtype));
    return output_fixed(record(g, &op_sum_squares, x), SUM, F32, 1, 1);
}

static int64_t blocks(int64_t count)
{
    return (count + BLOCK - 1) / BLOCK;
}

static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    return (size_t)blocks(n->in[X]->capacity * n->in[X]->cols) * sizeof(double);
}

static WIDE double block_sum(const float *x, int64_t count)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    const float *x = n->in[X]->data;
    const int64_t count = n->in[X]->rows * n->in[X]->cols;
    double *partial = n->scratch, sum = 0;
#pragma omp parallel for schedule(static) if (count >= WORTH_THREADS)
    for (int64_t b = 0; b < blocks(count); b++)
        partial[b] = block_sum(x + b * BLOCK, count - b * BLOCK < BLOCK ? count - b * BLOCK : BLOCK);
    for (int64_t b = 0; b < blocks(count); b++)
        sum += partial[b];
    *(float *)n->out[SUM]->data = (float)sum;
    return OK;
}

const struct op op_sum_squares = {
    .name = "sum_squares",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(sum_squares_forward) },
    .scratch = scratch,
    .in_place = NONE,
    .no_gradient = true,
};
