/* The keys and values of a text: one walk through the frozen model, which leaves them in a cache. */
#include "adapters/prefix_text.h"

#include "autograd/cpu/rows.h"
#include "autograd/plan.h"

static void upload_inputs(struct device *device, const struct pass *p, const int32_t *ids, struct arena *scratch)
{
    const int32_t count = (int32_t)p->ids->capacity, span[4] = { 0, count, 0, count }, last = count - 1;
    int32_t *numbers = NEW_ARRAY(scratch, count, int32_t);
    for (int32_t i = 0; i < count; i++)
        numbers[i] = i;
    tensor_upload(device, p->ids, ids);
    tensor_upload(device, p->slots, numbers);
    for (int32_t i = 0; i < count; i++)
        numbers[i] += (int32_t)p->model->config.first_position;
    tensor_upload(device, p->positions, numbers);
    tensor_upload(device, p->spans, span);
    tensor_upload(device, p->selected, &last);
}

/* Slot 2i: keys of layer i, slot 2i + 1: its values. */
static void take_cache(float *values, struct device *device, const struct kv_cache *cache, struct arena *scratch)
{
    for (int64_t layer = 0; layer < cache->layers; layer++)
        for (int which = 0; which < 2; which++) {
            const struct tensor *from = which ? cache->v[layer] : cache->k[layer];
            const char *rows = tensor_values(device, scratch, from);
            for (int64_t r = 0; r < from->rows; r++)
                widen(values + ((r * cache->layers + layer) * 2 + which) * from->cols, rows + (size_t)(r * from->cols) * dtype_bytes(from->dtype), from->dtype,
                      from->cols);
        }
}

static enum status walk(const struct model *model, struct kv_cache *cache, const int32_t *ids, struct arena *scratch, struct error *err)
{
    struct device *device = model->device;
    struct graph *g = graph_new(scratch, (int64_t[EXTENTS]){ [ROWS] = cache->slots, [SELECTED] = 1, [SEQUENCES] = 1 }, false);
    struct pass p = pass_new(g, model, NULL, 0, cache, false);
    struct program *program;
    void *memory;
    graph_keep(g, decoder(&p));
    TRY(plan(&program, g, NULL, (struct plan_options){ .threads = device->threads }, err));
    TRY(device_allocate(device, "the walk over adapter.prefix_init_text", program->arena_bytes, &memory, err));
    program_bind(program, memory);
    upload_inputs(device, &p, ids, scratch);
    device->err = err;
    enum status status = program_run(program, device);
    device_release(device, memory, program->arena_bytes);
    return status;
}

enum status prefix_of_text(const struct adapter *adapter, struct tensor *prompt_embeddings, const struct model *model, const int32_t *ids, struct error *err)
{
    struct arena *scratch = arena_create_like(adapter->parameters->arena);
    struct kv_cache cache;
    enum status status = kv_cache_create(&cache, scratch, model, prompt_embeddings->rows, model->device, err);
    if (status == OK)
        status = walk(model, &cache, ids, scratch, err);
    if (status == OK) {
        float *values = NEW_ARRAY(scratch, prompt_embeddings->rows * prompt_embeddings->cols, float);
        take_cache(values, model->device, &cache, scratch);
        tensor_upload(adapter->parameters->device, prompt_embeddings, values);
    }
    kv_cache_destroy(&cache);
    arena_destroy(scratch);
    return status;
}
