/* adamw: one update of all parameters, in PyTorch's order of operations.
 *
 *     g *= min(1, max_norm / (norm + 1e-6))        p *= 1 - rate * decay
 *     m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2        p -= rate / (1 - b1^t) * (m / (sqrt(v) / sqrt(1 - b2^t) + eps))
 *
 * The vector is cut into ranges, each with a factor for rate and one for decay (LoRA+: B learns faster than A).
 *
 * What is exactly zero in g and m moves nothing, even where eps is 0: the gaps between parameters stay zero. Source: Loshchilov & Hutter 2019, "Decoupled
 * Weight Decay Regularization"; torch.optim.AdamW, torch.nn.utils.clip_grad_norm_.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <math.h>

enum { VALUE, GRAD, FIRST, SECOND, NORM_SQUARED, HYPER, ENDS, FACTORS }; /* in: f32 [1, n] four times, [1, 1], [1, 8], I32 [ranges, 1], f32 [ranges, 2] */
enum { RATE, BETA1, BETA2, EPSILON, DECAY, MAX_NORM, STEP };             /* of hyper */
enum { BLOCK = 4096, UNIT = 16 };                                        /* values per task; ends of ranges count in units */

static void expect_f32(struct graph *g, const struct tensor *t, int64_t rows, int64_t cols)
{
    expect_shape(g, op_adamw.name, t, rows, cols);
    if (t->dtype != F32)
        graph_fail(g, "adamw: %s is %s, float32 is needed", t->name, dtype_name(t->dtype));
}

void adamw(struct graph *g, struct tensor *value, struct tensor *grad, struct tensor *first, struct tensor *second, struct tensor *norm_squared,
           struct tensor *hyper, struct tensor *ends, struct tensor *factors)
{
    struct tensor *const alike[] = { value, grad, first, second };
    for (size_t i = 0; i < COUNT(alike); i++)
        expect_f32(g, alike[i], value->rows, value->cols);
    expect_f32(g, norm_squared, 1, 1);
    expect_f32(g, hyper, 1, 8);
    expect_f32(g, factors, ends->rows, 2);
    expect_shape(g, op_adamw.name, ends, -1, 1);
    record(g, &op_adamw, value, grad, first, second, norm_squared, hyper, ends, factors);
}

/* What the values of a range share, rounded to f32 once. */
struct update {
    float clip, keep, beta1, beta2, step_size, root, epsilon;
};

static struct update make_update(const struct node *n, int64_t range)
{
    const float *hyper = n->in[HYPER]->data, *factor = (const float *)n->in[FACTORS]->data + 2 * range;
    const double norm = sqrt((double)*(const float *)n->in[NORM_SQUARED]->data), rate = (double)hyper[RATE] * (double)factor[0];
    const double correction1 = 1 - pow((double)hyper[BETA1], (double)hyper[STEP]), correction2 = 1 - pow((double)hyper[BETA2], (double)hyper[STEP]);
    double clip = 1;
    if (hyper[MAX_NORM] > 0)
        clip = (double)hyper[MAX_NORM] / (norm + 1e-6);
    return (struct update){
        .clip = clip > 1 ? 1 : (float)clip, /* a NaN stays one */
        .keep = (float)(1 - rate * (double)hyper[DECAY] * (double)factor[1]),
        .beta1 = hyper[BETA1],
        .beta2 = hyper[BETA2],
        .step_size = (float)(rate / correction1),
        .root = (float)sqrt(correction2),
        .epsilon = hyper[EPSILON],
    };
}

static WIDE void update_block(float *p, const float *grad, float *m, float *v, int64_t count, const struct update *update)
{
    const struct update u = *update;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float g = grad[i] * u.clip;
        m[i] = u.beta1 * m[i] + (1 - u.beta1) * g;
        v[i] = u.beta2 * v[i] + (1 - u.beta2) * (g * g);
        float direction = m[i] / (sqrtf(v[i]) / u.root + u.epsilon);
        p[i] = p[i] * u.keep - u.step_size * (m[i] == 0 ? 0 : direction);
    }
}

/* Values from `at` to `end` of one range. */
static void update_range(const struct node *n, const struct update *update, int64_t at, int64_t end)
{
    float *p = n->in[VALUE]->data, *m = n->in[FIRST]->data, *v = n->in[SECOND]->data;
    const float *grad = n->in[GRAD]->data;
#pragma omp parallel for schedule(static) if (end - at >= WORTH_THREADS)
    for (int64_t i = at; i < end; i += BLOCK)
        update_block(p + i, grad + i, m + i, v + i, end - i < BLOCK ? end - i : BLOCK, update);
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const int64_t count = n->in[VALUE]->rows * n->in[VALUE]->cols, ranges = n->in[ENDS]->rows;
    const int32_t *ends = n->in[ENDS]->data;
    (void)device;
    for (int64_t range = 0, at = 0; range < ranges; range++) {
        const struct update update = make_update(n, range);
        const int64_t end = range == ranges - 1 ? count : (int64_t)ends[range] * UNIT;
        update_range(n, &update, at, end);
        at = end;
    }
    return OK;
}

const struct op op_adamw = {
    .name = "adamw",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(adamw_forward) },
    .in_place = NONE,
    .writes = IN(VALUE) | IN(FIRST) | IN(SECOND),
    .no_gradient = true,
};
