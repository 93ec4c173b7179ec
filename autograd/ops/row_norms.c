/* row_norms: norm[j] = || w[j] + scale * (b a)[j] || over the inputs of output j, a constant as far as gradients go.
 *
 * The sum w + scale * b a is never stored: a tile of it is made, squared and forgotten. Source: Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation",
 * section 4.3 (why the norm is a constant).
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <math.h>

enum { W, A, B };   /* in:  w [out, in], a f32 [rank, in], b f32 [out, rank] */
enum { NORM };      /* out: f32 [1, out] */
enum { TILE = 16 }; /* rows of w per task */

struct tensor *row_norms(struct graph *g, struct tensor *w, struct tensor *a, struct tensor *b, float scale)
{
    expect_shape(g, op_row_norms.name, a, -1, w->cols);
    expect_shape(g, op_row_norms.name, b, w->capacity, a->capacity);
    struct node *n = record(g, &op_row_norms, w, a, b);
    n->params.scale = scale;
    return no_gradient(output_fixed(n, NORM, F32, 1, w->capacity));
}

static WIDE double sum_of_squares(const float *w, const float *update, int64_t count)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) {
        const double value = (double)w[i] + (double)update[i];
        sum += value * value;
    }
    return sum;
}

static void norms_of_tile(const struct node *n, int64_t first, int64_t rows)
{
    const struct tensor *w = n->in[W], *a = n->in[A], *b = n->in[B];
    const float *low = (const float *)b->data + first * b->cols;
    float update[TILE * SPAN], stored[SPAN];
    double sum[TILE] = { 0 };
    for (int64_t at = 0; at < w->cols; at += SPAN) {
        const int64_t length = span_length(at, w->cols);
        gemm_tile(rows, length, b->cols, n->params.scale, low, b->cols, false, (const float *)a->data + at, a->cols, false, 0, update, SPAN);
        for (int64_t r = 0; r < rows; r++)
            sum[r] += sum_of_squares(span_read(w, (first + r) * w->cols + at, length, stored), update + r * SPAN, length);
    }
    for (int64_t r = 0; r < rows; r++)
        ((float *)n->out[NORM]->data)[first + r] = (float)sqrt(sum[r]);
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const int64_t rows = n->in[W]->rows;
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (int64_t first = 0; first < rows; first += TILE)
        norms_of_tile(n, first, rows - first < TILE ? rows - first : TILE);
    return OK;
}

const struct op op_row_norms = {
    .name = "row_norms",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(row_norms_forward) },
    .in_place = NONE,
    .no_gradient = true,
};
