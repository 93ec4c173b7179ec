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

/* What one adapter of a walk can do: two would be in each other's way. */
static enum status refuse_two(const struct adapter *one, const struct adapter *other, const char *what, struct error *err)
{
    return fail_with(err, BAD_OPTION, "--adapter: %s (%s) and %s (%s) both %s", "attach one of them", one->init_from, one->kind->peft_type, other->init_from,
                     other->kind->peft_type, what);
}

enum status adapters_check(struct adapter *const *adapter, int count, struct error *err)
{
    const struct adapter *in_front = NULL, *at_head = NULL;
    for (int i = 0; i < count; i++) {
        const struct seams *seams = &adapter[i]->seams;
        if (seams->virtual_rows && in_front)
            return refuse_two(in_front, adapter[i], "put rows in front of every sequence", err);
        if (seams->head && at_head)
            return refuse_two(at_head, adapter[i], "add to the output of the head", err);
        in_front = seams->virtual_rows ? adapter[i] : in_front;
        at_head = seams->head ? adapter[i] : at_head;
    }
    return OK;
}
