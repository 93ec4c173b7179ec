/* rope: rotates pairs (a, b) of the first 2n columns of every head by the row's angles; the other columns stay.
 *
 *     y_a = x_a cos_j - x_b sin_j        y_b = x_b cos_j + x_a sin_j        backward: the same with -sin
 *
 * The pairs are halves, (j, j + n), in GPT-NeoX and Llama, and neighbours, (2j, 2j + 1), in GPT-J. Source: Su et al. 2021, "RoFormer".
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { X, ANGLES }; /* in:  x [rows, heads * head_size], angles f32 [rows, 2n] */
enum { Y };         /* out: like x */

struct tensor *rope(struct graph *g, struct tensor *x, struct tensor *angles, int count, int head_size, enum rope_pairs pairs)
{
    expect_shape(g, op_rope.name, x, -1, (int64_t)count * head_size);
    expect_rows_of(g, op_rope.name, angles, x);
    if (angles->cols > head_size || head_size > SPAN)
        graph_fail(g, "rope: %lld rotated columns in heads of %d (at most %d)", (long long)angles->cols, head_size, SPAN);
    struct node *n = record(g, &op_rope, x, angles);
    n->params.rope.heads = count;
    n->params.rope.head_size = head_size;
    n->params.rope.pairs = pairs;
    return output(n, Y, x->dtype, x, x->cols);
}

/* Whole heads of `size` columns; sign -1 turns back. to may be from. */
static WIDE void turn_halves(float *to, const float *from, const float *angles, int64_t n, int64_t size, int64_t columns, float sign)
{
    for (int64_t at = 0; at < columns; at += size, to += size, from += size) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            float c = angles[j], s = sign * angles[n + j], a = from[j], b = from[j + n];
            to[j] = a * c - b * s;
            to[j + n] = b * c + a * s;
        }
        for (int64_t j = 2 * n; j < size; j++)
            to[j] = from[j];
    }
}

static WIDE void turn_neighbours(float *to, const float *from, const float *angles, int64_t n, int64_t size, int64_t columns, float sign)
{
    for (int64_t at = 0; at < columns; at += size, to += size, from += size) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            float c = angles[j], s = sign * angles[n + j], a = from[2 * j], b = from[2 * j + 1];
            to[2 * j] = a * c - b * s;
            to[2 * j + 1] = b * c + a * s;
        }
        for (int64_t j = 2 * n; j < size; j++)
            to[j] = from[j];
    }
}

static void turn(const struct node *n, const struct tensor *to, const struct tensor *from, float sign, bool add)
{
    const struct tensor *angles = n->in[ANGLES];
    const int64_t width = to->cols, size = n->params.rope.head_size, step = SPAN / size * size; /* whole heads at once */
#pragma omp parallel for schedule(static) if (to->rows * width >= WORTH_THREADS)
    for (int64_t r = 0; r < to->rows; r++) {
        const float *angle = (const float *)angles->data + r * angles->cols;
        for (int64_t at = 0; at < width; at += step) {
            float here[SPAN], there[SPAN];
            int64_t length = width - at < step ? width - at : step;
            float *values = span_open_gradient(to, r * width + at, here, add);
            (n->params.rope.pairs == HALVES ? turn_halves : turn_neighbours)(values, span_read(from, r * width + at, length, there), angle, angles->cols / 2,
                                                                             size, length, sign);
            span_close_gradient(to, r * width + at, length, values, add);
        }
    }
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    turn(n, n->out[Y], n->in[X], 1, false);
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    turn(n, n->in[X]->grad, n->out[Y]->grad, -1, adds(n, X));
    return OK;
}

const struct op op_rope = {
    .name = "rope",
    .reads = { [X] = IN(ANGLES) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(rope_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(rope_backward) },
    .in_place = X,
};
