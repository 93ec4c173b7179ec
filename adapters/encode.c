/* What adapters do that put rows of their own in front of sequences, seen from outside: what their encoder makes, and that there is one such adapter. */
#include "adapters/adapter.h"

#include "autograd/plan.h"

static enum status run_encoder(struct program *program, struct device *device, struct error *err)
{
    void *memory;
    TRY(device_allocate(device, "the adapter's encoder", program->arena_bytes, &memory, err));
    program_bind(program, memory);
    device->err = err;
    enum status status = program_run(program, device);
    if (status != OK)
        device_release(device, memory, program->arena_bytes);
    return status;
}

enum status adapter_encode(const struct adapter *adapter, struct arena *arena, const struct model *model, struct tensor *encoded, struct error *err)
{
    struct device *device = adapter->parameters->device;
    struct arena *scratch = arena_create_like(arena);
    struct graph *g = graph_new(scratch, (int64_t[EXTENTS]){ 0 }, false);
    struct pass p = { .g = g, .model = model };
    struct program *program;
    struct tensor *rows = graph_keep(g, adapter->seams.virtual_rows(adapter->seams.self, &p));
    enum status status = plan(&program, g, NULL, (struct plan_options){ .threads = device->threads }, err);
    if (status == OK)
        status = run_encoder(program, device, err);
    if (status == OK) {
        float *values = NEW_ARRAY(arena, rows->rows * rows->cols, float);
        tensor_download(device, rows, values);
        *encoded = (struct tensor){ .name = rows->name, .dtype = F32, .rows = rows->rows, .cols = rows->cols, .capacity = rows->capacity, .data = values };
        device_release(device, program->bound, program->arena_bytes);
    }
    arena_destroy(scratch);
    return status;
}

enum status adapters_check(struct adapter *const *adapter, int count, struct error *err)
{
    const struct adapter *found = NULL;
    for (int i = 0; i < count; i++) {
        if (!adapter[i]->seams.virtual_rows)
            continue;
        if (found)
            return fail_with(err, BAD_OPTION, "--adapter: %s (%s) and %s (%s) both put rows in front of every sequence", "attach one of them", found->init_from,
                             found->kind->peft_type, adapter[i]->init_from, adapter[i]->kind->peft_type);
        found = adapter[i];
    }
    return OK;
}
