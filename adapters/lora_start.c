/* The start of a LoRA: where A and B begin.
 *
 *   true         A uniform in +-1/sqrt(in) (Kaiming with a = sqrt(5)), B zero
 *   gaussian     A normal with deviation 1/rank, B zero
 *   orthogonal   A and B random in two orthogonal halves of the rank, so that B A is zero while neither factor is
 *   pissa        A and B the principal part of W: of W = U S V^T the first `rank` of each, A = sqrt(S / s) V^T and B = U sqrt(S / s)
 *   false        A as for true, B (and its bias) uniform in +-1/sqrt(rank): for tests, the update is not zero
 *
 * On the embedding A is zero and B normal with deviation 1, whatever the word; only false makes A normal too.
 *
 * A magnitude starts as the norm that it stands for, so that a fresh DoRA multiplies by 1.
 *
 * Source: peft 0.21 tuners/lora/layer.py (reset_lora_parameters, orthogonal_init, pissa_init); Meng et al. 2024, "PiSSA".
 */
#include "adapters/lora.h"
#include "adapters/principal.h"
#include "adapters/start.h"

#include "autograd/cpu/rows.h"
#include "autograd/plan.h"
#include "common/random.h"

#include <math.h>

/* q [n, n]: orthonormal rows out of normal ones, by Gram-Schmidt done twice. */
static void make_orthonormal(double *q, int64_t n, uint64_t seed, uint64_t stream)
{
    for (int64_t row = 0; row < n; row++) {
        double *v = q + row * n, norm = 0;
        for (int64_t i = 0; i < n; i++)
            v[i] = (double)random_normal(seed, stream, (uint64_t)(row * n + i));
        for (int64_t k = 0; k < 2 * row; k++) {
            const double *u = q + k % row * n;
            double along = 0;
            for (int64_t i = 0; i < n; i++)
                along += u[i] * v[i];
            for (int64_t i = 0; i < n; i++)
                v[i] -= along * u[i];
        }
        for (int64_t i = 0; i < n; i++)
            norm += v[i] * v[i];
        for (int64_t i = 0; i < n; i++)
            v[i] /= sqrt(norm);
    }
}

/* value[r, c] (or its transpose) = 1/10 sum over k of normal[c, k] * q[2 k + odd, r]: every column lies in the span of half of q's rows. */
static void fill_half(float *values, const struct tensor *t, const double *q, int64_t rank, int odd, double *normal, uint64_t seed)
{
    const uint64_t stream = random_stream(t->name);
    const bool is_a = odd == 0;
    const int64_t width = is_a ? t->cols : t->rows;
    for (int64_t c = 0; c < width; c++) {
        for (int64_t k = 0; k < rank / 2; k++)
            normal[k] = (double)random_normal(seed, stream, (uint64_t)(c * (rank / 2) + k));
        for (int64_t r = 0; r < rank; r++) {
            double sum = 0;
            for (int64_t k = 0; k < rank / 2; k++)
                sum += normal[k] * q[(2 * k + odd) * rank + r];
            values[is_a ? r * width + c : c * rank + r] = (float)(sum / 10);
        }
    }
}

static void start_orthogonal(const struct lora_module *m, struct parameters *parameters, uint64_t seed)
{
    struct arena *scratch = arena_create_like(parameters->arena);
    float *a = NEW_ARRAY(scratch, m->a->rows * m->a->cols, float), *b = NEW_ARRAY(scratch, m->b->rows * m->b->cols, float);
    double *q = NEW_ARRAY(scratch, m->rank * m->rank, double), *normal = NEW_ARRAY(scratch, m->rank, double);
    make_orthonormal(q, m->rank, seed, random_stream(m->site->module));
    fill_half(a, m->a, q, m->rank, 0, normal, seed);
    fill_half(b, m->b, q, m->rank, 1, normal, seed);
    tensor_upload(parameters->device, m->a, a);
    tensor_upload(parameters->device, m->b, b);
    arena_destroy(scratch);
}

static struct tensor *weight_of(const struct lora_module *m, const struct model *model)
{
    return m->site->projection == HEAD ? model->head : model->layer[m->site->layer].w[m->site->projection];
}

/* The start stays beside the parameters, to be taken off what they give. */
static void start_pissa(const struct lora_module *m, struct parameters *parameters, const struct model *model, int iterations, uint64_t seed)
{
    struct arena *scratch = arena_create_like(parameters->arena);
    float *a = NEW_ARRAY(scratch, m->a->rows * m->a->cols, float), *b = NEW_ARRAY(scratch, m->b->rows * m->b->cols, float);
    const struct tensor *w = weight_of(m, model);
    const void *stored = tensor_values(model->device, scratch, w);
    float *values = arena_array(scratch, (size_t)(w->rows * w->cols), sizeof *values);
    widen(values, stored, w->dtype, w->rows * w->cols);
    model_forget(model, w);
    const struct principal p = principal_of(scratch, (struct matrix){ values, w->rows, w->cols }, m->rank, iterations, seed, random_stream(m->site->module));
    for (int64_t k = 0; k < m->rank; k++) {
        const double factor = sqrt(p.value[k] / (double)m->scale);
        for (int64_t c = 0; c < w->cols; c++)
            a[k * w->cols + c] = (float)(factor * p.right[k * w->cols + c]);
        for (int64_t r = 0; r < w->rows; r++)
            b[r * m->rank + k] = (float)(factor * p.left[k * w->rows + r]);
    }
    tensor_upload(parameters->device, m->a, a);
    tensor_upload(parameters->device, m->b, b);
    tensor_upload(parameters->device, m->start_a, a);
    tensor_upload(parameters->device, m->start_b, b);
    arena_destroy(scratch);
}

/* What is not drawn is zero, as sealed. */
void lora_start(const struct lora *lora, struct parameters *parameters, const struct model *model, struct start start, uint64_t seed)
{
    for (int i = 0; i < lora->modules; i++) {
        const struct lora_module *m = &lora->module[i];
        if (start.kind == START_PISSA)
            start_pissa(m, parameters, model, start.iterations, seed);
        else if (start.kind == START_ORTHOGONAL)
            start_orthogonal(m, parameters, seed);
        else if (start.kind == START_GAUSSIAN)
            start_normal(parameters, m->a, seed, 1 / (double)m->rank);
        else
            start_uniform(parameters, m->a, seed, 1 / sqrt((double)m->site->in));
        if (start.kind == START_RANDOM)
            start_uniform(parameters, m->b, seed, 1 / sqrt((double)m->rank));
        if (start.kind == START_RANDOM && m->bias)
            start_uniform(parameters, m->bias, seed, 1 / sqrt((double)m->rank));
    }
}

void embedding_start(const struct lora_module *m, struct parameters *parameters, enum lora_start start, uint64_t seed)
{
    if (start == START_RANDOM)
        start_normal(parameters, m->a, seed, 1);
    start_normal(parameters, m->b, seed, 1);
}

static enum status start_magnitude(const struct lora_module *m, struct parameters *parameters, struct tensor *w, struct arena *scratch, struct error *err)
{
    struct device *device = parameters->device;
    struct graph *g = graph_new(scratch, (const int64_t[EXTENTS]){ 0 }, false);
    struct program *program;
    struct tensor *norm = graph_keep(g, row_norms(g, w, m->a, m->b, m->scale));
    TRY(plan(&program, g, NULL, (struct plan_options){ .threads = device->threads }, err));
    program_bind(program, arena_alloc(scratch, program->arena_bytes));
    device->err = err;
    TRY(program_run(program, device));
    tensor_upload(device, m->magnitude, norm->data);
    return OK;
}

enum status magnitudes_start(const struct lora *lora, struct parameters *parameters, const struct model *model, struct error *err)
{
    enum status status = OK;
    for (int i = 0; i < lora->modules && status == OK; i++) {
        const struct lora_module *m = &lora->module[i];
        if (!m->magnitude)
            continue;
        struct arena *scratch = arena_create_like(parameters->arena);
        status = start_magnitude(m, parameters, model->layer[m->site->layer].w[m->site->projection], scratch, err);
        arena_destroy(scratch);
    }
    return status;
}
