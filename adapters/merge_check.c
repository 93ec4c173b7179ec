/* Whether folded layers compute what the adapter computes, layer by layer and before anything is rounded.
 *
 *     x W'^T + bias'  against  x W^T + bias and what the seam makes of it, x random
 *
 * The difference may be a hundredth of what the adapter changes, and what sums in f32 lose: an update that the fold left out or scaled wrongly is all of it.
 */
#include "adapters/merge.h"
#include "autograd/cpu/rows.h"
#include "autograd/plan.h"
#include "common/random.h"

#include <math.h>

enum { SAMPLES = 4 };

/* Of f32, in parts of the result: sums of a layer's width in another order. */
static const double noise = 4e-6;

struct checked {
    const struct adapter *adapter;
    const struct model *model;
    struct arena *arena; /* of this layer */
    const struct site *site;
    struct tensor *w, *bias, *x;
    float *frozen, *adapted; /* [SAMPLES, out] */
};

static float *kept(const struct checked *c, const struct tensor *t)
{
    float *values = NEW_ARRAY(c->arena, t->rows * t->cols, float);
    tensor_download(c->model->device, t, values);
    return values;
}

/* The layer without and with the adapter, as a walk through the model has it. */
static enum status run_layer(struct checked *c, struct error *err)
{
    struct device *device = c->model->device;
    const struct seams *seams = &c->adapter->seams;
    struct graph *g = graph_new(c->arena, (int64_t[EXTENTS]){ 0 }, false);
    struct pass p = { .g = g, .model = c->model, .seams = &seams, .adapters = 1 };
    struct program *program;
    struct frozen frozen = { .site = c->site, .w = c->w, .bias = c->bias, .x = c->x };
    struct tensor *plain = graph_keep(g, linear(g, c->x, c->w, c->bias, NULL, 1));
    if (seams->weight) {
        frozen.w = seams->weight(seams->self, &p, c->w);
        frozen.bias = c->bias ? seams->weight(seams->self, &p, c->bias) : NULL;
    }
    frozen.y = linear(g, c->x, frozen.w, frozen.bias, NULL, 1);
    struct tensor *y = graph_keep(g, seams->linear ? seams->linear(seams->self, &p, &frozen, frozen.y) : frozen.y);
    TRY(plan(&program, g, NULL, (struct plan_options){ .threads = device->threads }, err));
    program_bind(program, arena_alloc(c->arena, program->arena_bytes));
    device->err = err;
    TRY(program_run(program, device));
    c->frozen = kept(c, plain);
    c->adapted = kept(c, y);
    return OK;
}

/* Rows of a frozen tensor with the adapter in them. */
static void fold_rows(const struct checked *c, const struct tensor *t, int64_t first, int64_t rows, float *values)
{
    const char *stored = tensor_values(c->model->device, c->arena, t);
    widen(values, stored + (size_t)(first * t->cols) * dtype_bytes(t->dtype), t->dtype, rows * t->cols);
    c->adapter->kind->fold(c->adapter, t, t->name, first, rows, values);
}

/* merged [SAMPLES, out]: the inputs through the folded layer, some rows of it at a time. */
static void multiply_folded(const struct checked *c, double *merged)
{
    enum { VALUES = 1 << 18 };
    const int64_t in = c->site->in, out = c->site->out, most = in < VALUES ? VALUES / in : 1;
    const float *x = c->x->data;
    float *bias = NEW_ARRAY(c->arena, out, float), *block = NEW_ARRAY(c->arena, most * in, float);
    if (c->bias)
        fold_rows(c, c->bias, 0, 1, bias);
    for (int64_t first = 0; first < out; first += most) {
        const int64_t rows = out - first < most ? out - first : most;
        fold_rows(c, c->w, first, rows, block);
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t s = 0; s < SAMPLES; s++) {
                double sum = (double)bias[first + r];
                for (int64_t i = 0; i < in; i++)
                    sum += (double)x[s * in + i] * (double)block[r * in + i];
                merged[s * out + first + r] = sum;
            }
    }
}

static enum status compare_layer(const struct checked *c, struct error *err)
{
    const int64_t values = SAMPLES * c->site->out;
    double *merged = NEW_ARRAY(c->arena, values, double), difference = 0, effect = 0, size = 0;
    multiply_folded(c, merged);
    for (int64_t i = 0; i < values; i++) {
        const double frozen = (double)c->frozen[i], adapted = (double)c->adapted[i];
        difference += (merged[i] - adapted) * (merged[i] - adapted);
        effect += (adapted - frozen) * (adapted - frozen);
        size += adapted * adapted;
    }
    if (sqrt(difference) <= 0.01 * sqrt(effect) + noise * sqrt(size))
        return OK;
    return fail_with(err, UNHEALTHY, "%s: folded, it is off by %.3g where the adapter changes it by %.3g",
                     "nothing was kept; this is a fault of graft: please report it with both folders' configurations", c->site->module, sqrt(difference),
                     sqrt(effect));
}

static enum status check_layer(struct checked *c, struct error *err)
{
    const uint64_t stream = random_stream(c->site->module);
    float *x = NEW_ARRAY(c->arena, SAMPLES * c->site->in, float);
    for (int64_t i = 0; i < SAMPLES * c->site->in; i++)
        x[i] = random_normal(0, stream, (uint64_t)i);
    c->x = tensor_new(c->arena, "inputs of a folded layer", F32, WEIGHT, SAMPLES, c->site->in, x);
    TRY(run_layer(c, err));
    return compare_layer(c, err);
}

enum status merge_check(const struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err)
{
    enum status status = OK;
    for (int layer = 0; layer < (int)model->config.layers && status == OK; layer++)
        for (int which = 0; which < HEAD && status == OK; which++) {
            const struct layer *l = &model->layer[layer];
            struct checked c = { .adapter = adapter, .model = model, .site = &l->site[which], .w = l->w[which], .bias = l->bias[which] };
            if (!c.w || !adapter->kind->fold(adapter, c.w, c.w->name, 0, 0, NULL))
                continue;
            c.arena = arena_create_like(arena);
            status = check_layer(&c, err);
            arena_destroy(c.arena);
        }
    return status;
}
