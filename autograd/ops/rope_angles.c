/* rope_angles: cos and sin of position * inv_freq, once per batch, for all layers.
 *
 * As transformers computes them: the product in f32, then cos and sin of that product, then the amplitude (yarn). Dynamic frequencies depend on the length s of
 * each sequence: beyond the original length the base becomes base * (factor s / original - (factor - 1)) ^ (d / (d - 2)), d = 2n, and all of it is f32, because
 * an angle is a frequency times a position and shows every rounding. Source: Su et al. 2021, "RoFormer"; transformers' modeling_rope_utils.py for the variants.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <math.h>

enum { POSITIONS, SPANS, INV_FREQ }; /* in:  positions I32 [rows, 1], spans I32 [sequences, 4], inv_freq f32 [1, n] */
enum { ANGLES };                     /* out: f32 [rows, 2n]: cos of n angles, then sin */

struct tensor *rope_angles(struct graph *g, struct tensor *positions, struct tensor *spans, struct tensor *inv_freq, struct dynamic_rope dynamic,
                           float amplitude)
{
    expect_shape(g, op_rope_angles.name, positions, -1, 1);
    expect_shape(g, op_rope_angles.name, spans, -1, 4);
    expect_shape(g, op_rope_angles.name, inv_freq, 1, -1);
    if (dynamic.factor != 0 && (inv_freq->cols < 2 || dynamic.original < 1))
        graph_fail(g, "rope_angles: dynamic frequencies need heads of 4 columns or more and an original length, not %lld and %d",
                   (long long)(2 * inv_freq->cols), dynamic.original);
    struct node *n = record(g, &op_rope_angles, positions, spans, inv_freq);
    n->params.angles.dynamic = dynamic;
    n->params.angles.amplitude = amplitude;
    return output(n, ANGLES, F32, positions, 2 * inv_freq->cols);
}

/* The frequencies of one sequence, where they depend on it. */
static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    return n->params.angles.dynamic.factor != 0 ? (size_t)n->in[INV_FREQ]->cols * sizeof(float) : 0;
}

/* The frequencies of a sequence of `length` positions: as given, or of the grown base. */
static const float *frequencies(const struct node *n, int64_t length)
{
    const struct dynamic_rope dynamic = n->params.angles.dynamic;
    if (length <= dynamic.original)
        return n->in[INV_FREQ]->data;
    const float size = (float)(2 * n->in[INV_FREQ]->cols);
    float growth = dynamic.factor * (float)length / (float)dynamic.original - (dynamic.factor - 1);
    float base = dynamic.base * powf(growth, size / (size - 2)), *own = n->scratch;
    for (int64_t j = 0; j < n->in[INV_FREQ]->cols; j++)
        own[j] = 1 / powf(base, (float)(2 * j) / size);
    return own;
}

static void angle_rows(const struct node *n, int64_t begin, int64_t end, const float *frequency)
{
    const int32_t *position = n->in[POSITIONS]->data;
    const int64_t count = n->in[INV_FREQ]->cols;
    const float amplitude = n->params.angles.amplitude;
#pragma omp parallel for schedule(static) if ((end - begin) * count >= WORTH_THREADS / 16)
    for (int64_t r = begin; r < end; r++) {
        float *cosines = (float *)n->out[ANGLES]->data + r * 2 * count, *sines = cosines + count;
        for (int64_t j = 0; j < count; j++) {
            float angle = (float)position[r] * frequency[j];
            cosines[j] = cosf(angle) * amplitude;
            sines[j] = sinf(angle) * amplitude;
        }
    }
}

static enum status angle_sequences(struct device *device, const struct node *n)
{
    const int32_t *position = n->in[POSITIONS]->data;
    for (int64_t s = 0; s < n->in[SPANS]->rows; s++) {
        const int32_t *span = (const int32_t *)n->in[SPANS]->data + 4 * s;
        int64_t first = span[0], end = first + span[1], length = 0;
        if (first < 0 || end < first || end > n->in[POSITIONS]->rows)
            return fail_with(device->err, BAD_DATA, "rope_angles: sequence %lld has rows %lld to %lld of %lld", "sequences must lie inside the batch",
                             (long long)s, (long long)first, (long long)end, (long long)n->in[POSITIONS]->rows);
        for (int64_t r = first; r < end; r++)
            length = position[r] >= length ? (int64_t)position[r] + 1 : length;
        angle_rows(n, first, end, frequencies(n, length));
    }
    return OK;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    if (n->params.angles.dynamic.factor != 0)
        return angle_sequences(device, n);
    angle_rows(n, 0, n->in[POSITIONS]->rows, n->in[INV_FREQ]->data);
    return OK;
}

const struct op op_rope_angles = {
    .name = "rope_angles",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(rope_angles_forward) },
    .scratch = scratch,
    .in_place = NONE,
    .no_gradient = true,
};
