/* Whether folded tensors compute what the adapter computes, one by one and before anything is rounded.
 *
 *     x W'^T + bias'  against  x W^T + bias and what the seam makes of it, x random     every linear layer and the head
 *     rows of W'      against  what the seams make of the rows of W                     the embedding, for every id
 *     values of W'    against  the trained copy                                         all else: norms, positions
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
    const char *name; /* of w in the live model */
    struct tensor *w, *bias, *x;
    float *frozen, *adapted; /* [SAMPLES, out] */
};

static float *kept(const struct checked *c, const struct tensor *t)
{
    float *values = NEW_ARRAY(c->arena, t->rows * t->cols, float);
    tensor_download(c->model->device, t, values);
    return values;
}

static enum status run_graph(const struct checked *c, struct graph *g, struct error *err)
{
    struct device *device = c->model->device;
    struct program *program;
    TRY(plan(&program, g, NULL, (struct plan_options){ .threads = device->threads }, err));
    program_bind(program, arena_alloc(c->arena, program->arena_bytes));
    device->err = err;
    return program_run(program, device);
}

static struct tensor *adapted_layer(const struct checked *c, struct pass *p)
{
    const struct seams *seams = p->seams[0];
    struct frozen frozen = { .site = c->site, .w = c->w, .bias = c->bias, .x = c->x };
    if (seams->weight) {
        frozen.w = seams->weight(seams->self, p, c->w);
        frozen.bias = c->bias ? seams->weight(seams->self, p, c->bias) : NULL;
    }
    frozen.y = linear(p->g, c->x, frozen.w, frozen.bias, NULL, 1);
    return seams->linear ? seams->linear(seams->self, p, &frozen, frozen.y) : frozen.y;
}

static struct tensor *looked_up(const struct checked *c, struct pass *p)
{
    const struct seams *seams = p->seams[0];
    struct tensor *table = seams->weight ? seams->weight(seams->self, p, c->model->embed) : c->model->embed;
    struct tensor *h = embed(p->g, p->ids, table, NULL, NULL, c->model->embed_scale, NO_PADDING, F32);
    return seams->embed ? seams->embed(seams->self, p, h) : h;
}

static struct tensor *ids_from(const struct checked *c, int64_t first, int64_t rows)
{
    int32_t *id = NEW_ARRAY(c->arena, rows, int32_t);
    for (int64_t i = 0; i < rows; i++)
        id[i] = (int32_t)(first + i);
    return tensor_new(c->arena, "ids of a folded table", I32, WEIGHT, rows, 1, id);
}

/* The layer without and with the adapter, as a walk through the model has it: the head is what is asked for behind a lookup. */
static enum status run_layer(struct checked *c, struct error *err)
{
    const struct seams *seams = &c->adapter->seams;
    struct graph *g = graph_new(c->arena, (int64_t[EXTENTS]){ 0 }, false);
    struct pass p = { .g = g, .model = c->model, .seams = &seams, .adapters = 1, .ids = ids_from(c, 0, 1) };
    struct tensor *plain = graph_keep(g, linear(g, c->x, c->w, c->bias, NULL, 1)), *y;
    if (c->site->projection == HEAD) {
        looked_up(c, &p);
        y = graph_keep(g, decoder_logits(&p, c->x));
    } else {
        y = graph_keep(g, adapted_layer(c, &p));
    }
    TRY(run_graph(c, g, err));
    c->frozen = kept(c, plain);
    c->adapted = kept(c, y);
    return OK;
}

/* Rows of a frozen tensor with the adapter in them. */
static void fold_rows(const struct checked *c, const struct tensor *t, const char *name, int64_t first, int64_t rows, float *values)
{
    const char *stored = tensor_values(c->model->device, c->arena, t);
    widen(values, stored + (size_t)(first * t->cols) * dtype_bytes(t->dtype), t->dtype, rows * t->cols);
    c->adapter->kind->fold(c->adapter, t, name, first, rows, values);
}

/* merged [SAMPLES, out]: the inputs through the folded layer, some rows of it at a time. */
static void multiply_folded(const struct checked *c, double *merged)
{
    enum { VALUES = 1 << 18 };
    const int64_t in = c->site->in, out = c->site->out, most = in < VALUES ? VALUES / in : 1;
    const float *x = c->x->data;
    float *bias = NEW_ARRAY(c->arena, out, float), *block = NEW_ARRAY(c->arena, most * in, float);
    if (c->bias)
        fold_rows(c, c->bias, c->bias->name, 0, 1, bias);
    for (int64_t first = 0; first < out; first += most) {
        const int64_t rows = out - first < most ? out - first : most;
        fold_rows(c, c->w, c->name, first, rows, block);
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

static enum status compare(const struct checked *c, const char *what, const double *merged, int64_t values, struct error *err)
{
    double difference = 0, effect = 0, size = 0;
    for (int64_t i = 0; i < values; i++) {
        const double frozen = (double)c->frozen[i], adapted = (double)c->adapted[i];
        difference += (merged[i] - adapted) * (merged[i] - adapted);
        effect += (adapted - frozen) * (adapted - frozen);
        size += adapted * adapted;
    }
    if (sqrt(difference) <= 0.01 * sqrt(effect) + noise * sqrt(size))
        return OK;
    return fail_with(err, UNHEALTHY, "%s: folded, it is off by %.3g where the adapter changes it by %.3g",
                     "nothing was kept; this is a fault of graft: please report it with both folders' configurations", what, sqrt(difference), sqrt(effect));
}

static enum status check_layer(struct checked *c, struct error *err)
{
    const uint64_t stream = random_stream(c->site->module);
    float *x = NEW_ARRAY(c->arena, SAMPLES * c->site->in, float);
    for (int64_t i = 0; i < SAMPLES * c->site->in; i++)
        x[i] = random_normal(0, stream, (uint64_t)i);
    c->x = tensor_new(c->arena, "inputs of a folded layer", F32, WEIGHT, SAMPLES, c->site->in, x);
    TRY(run_layer(c, err));
    double *merged = NEW_ARRAY(c->arena, SAMPLES * c->site->out, double);
    multiply_folded(c, merged);
    return compare(c, c->site->module, merged, SAMPLES * c->site->out, err);
}

/* Rows of a tensor, folded and frozen, each times scale: of the adapter's own the caller knows. */
static enum status check_rows(struct checked *c, int64_t first, int64_t rows, float scale, struct error *err)
{
    const int64_t values = rows * c->w->cols;
    float *folded = NEW_ARRAY(c->arena, values, float);
    double *merged = NEW_ARRAY(c->arena, values, double);
    const char *stored = tensor_values(c->model->device, c->arena, c->w);
    c->frozen = NEW_ARRAY(c->arena, values, float);
    widen(c->frozen, stored + (size_t)(first * c->w->cols) * dtype_bytes(c->w->dtype), c->w->dtype, values);
    fold_rows(c, c->w, c->name, first, rows, folded);
    for (int64_t i = 0; i < values; i++) {
        merged[i] = (double)(folded[i] * scale);
        c->frozen[i] *= scale;
    }
    return compare(c, c->name, merged, values, err);
}

static enum status check_lookups(struct checked *c, int64_t first, int64_t rows, struct error *err)
{
    const struct seams *seams = &c->adapter->seams;
    struct graph *g = graph_new(c->arena, (int64_t[EXTENTS]){ 0 }, false);
    struct pass p = { .g = g, .model = c->model, .seams = &seams, .adapters = 1, .ids = ids_from(c, first, rows) };
    struct tensor *h = graph_keep(g, looked_up(c, &p));
    TRY(run_graph(c, g, err));
    c->adapted = kept(c, h);
    return check_rows(c, first, rows, c->model->embed_scale, err);
}

/* A tensor that an adapter replaces at most: its copy is there without anything being computed. */
static enum status check_copy(struct checked *c, struct error *err)
{
    const struct seams *seams = &c->adapter->seams;
    struct pass p = { .g = graph_new(c->arena, (int64_t[EXTENTS]){ 0 }, false), .model = c->model, .seams = &seams, .adapters = 1 };
    c->adapted = kept(c, seams->weight ? seams->weight(seams->self, &p, c->w) : c->w);
    return check_rows(c, 0, c->w->rows, 1, err);
}

static bool is_folded(const struct checked *c)
{
    return c->adapter->kind->fold(c->adapter, c->w, c->name, 0, 0, NULL);
}

/* Whether it is looked at elsewhere: the embedding, a layer's weight, or the bias of one that is folded. */
static bool is_of_layer(const struct checked *c, const struct model *model)
{
    bool found = c->w == model->embed || c->w == model->head;
    for (int i = 0; i < (int)model->config.layers * HEAD && !found; i++) {
        const struct layer *l = &model->layer[i / HEAD];
        struct checked layer = *c;
        layer.w = l->w[i % HEAD];
        layer.name = layer.w ? layer.w->name : NULL;
        found = c->w == layer.w || (c->w == l->bias[i % HEAD] && is_folded(&layer));
    }
    return found;
}

static enum status check_table(const struct checked *table, struct arena *arena, struct error *err)
{
    enum { ROWS_AT_A_TIME = 1024 };
    enum status status = OK;
    for (int64_t first = 0; first < table->w->rows && status == OK && is_folded(table); first += ROWS_AT_A_TIME) {
        const int64_t left = table->w->rows - first;
        struct checked c = *table;
        c.arena = arena_create_like(arena);
        status = check_lookups(&c, first, left < ROWS_AT_A_TIME ? left : ROWS_AT_A_TIME, err);
        arena_destroy(c.arena);
    }
    return status;
}

/* One tensor of the model, as what it is: a layer with its bias, or no layer. */
static enum status check_one(struct checked c, struct arena *arena, struct error *err)
{
    if (!c.w || !is_folded(&c))
        return OK;
    c.arena = arena_create_like(arena);
    enum status status = c.site ? check_layer(&c, err) : check_copy(&c, err);
    arena_destroy(c.arena);
    return status;
}

enum status merge_check(const struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err)
{
    struct checked c = { .adapter = adapter, .model = model };
    for (int layer = 0; layer < (int)model->config.layers; layer++)
        for (int which = 0; which < HEAD; which++) {
            const struct layer *l = &model->layer[layer];
            c.site = &l->site[which], c.w = l->w[which], c.bias = l->bias[which], c.name = c.w ? c.w->name : NULL;
            TRY(check_one(c, arena, err));
        }
    c.site = &model->head_site, c.w = model->head, c.bias = model->head_bias, c.name = arena_print(arena, "%s.weight", c.site->module);
    TRY(check_one(c, arena, err));
    for (int i = 0; i < model->tensors; i++) {
        c = (struct checked){ .adapter = adapter, .model = model, .w = model->tensor[i], .name = model->tensor[i]->name };
        if (!is_of_layer(&c, model))
            TRY(check_one(c, arena, err));
    }
    c = (struct checked){ .adapter = adapter, .model = model, .w = model->embed, .name = model->embed->name };
    return check_table(&c, arena, err);
}
