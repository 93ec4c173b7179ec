/* AdamW over the flat parameter vectors: two programs that share one small piece of memory. */
#include "trainer/optimizer.h"
#include "autograd/ops.h"
#include "autograd/plan.h"

#include <math.h>

enum status optimizer_create(struct optimizer *optimizer, struct arena *arena, const struct parameters *parameters, const struct ranges *ranges,
                             struct device *device, struct error *err)
{
    const int64_t extents[EXTENTS] = { 0 };
    const struct plan_options options = { .threads = device->threads };
    *optimizer = (struct optimizer){ .device = device, .ranges = ranges };
    struct graph *g = graph_new(arena, extents, false);
    optimizer->norm_squared = graph_keep(g, sum_squares(g, parameters->grad));
    TRY(plan(&optimizer->norm, g, NULL, options, err));
    g = graph_new(arena, extents, false);
    optimizer->given_norm = graph_input(g, "norm squared", F32, FIXED, 1, 1);
    optimizer->hyper = graph_input(g, "hyper", F32, FIXED, 1, 8);
    optimizer->ends = graph_input(g, "ends of ranges", I32, FIXED, ranges->count, 1);
    optimizer->factors = graph_input(g, "factors of ranges", F32, FIXED, ranges->count, 2);
    adamw(g, parameters->value, parameters->grad, parameters->first, parameters->second, optimizer->given_norm, optimizer->hyper, optimizer->ends,
          optimizer->factors);
    TRY(plan(&optimizer->update, g, NULL, options, err));
    size_t norm = optimizer->norm->arena_bytes, update = optimizer->update->arena_bytes;
    optimizer->memory_bytes = norm > update ? norm : update;
    TRY(device_allocate(device, "optimizer", optimizer->memory_bytes, &optimizer->memory, err));
    program_bind(optimizer->norm, optimizer->memory);
    program_bind(optimizer->update, optimizer->memory);
    return OK;
}

enum status optimizer_norm(struct optimizer *optimizer, double *norm, struct error *err)
{
    float squared = 0;
    optimizer->device->err = err;
    TRY(program_start(optimizer->norm, optimizer->device));
    optimizer->device->row->download_later(optimizer->device, &squared, optimizer->norm_squared->data, sizeof squared);
    TRY(device_synchronize(optimizer->device, err));
    *norm = sqrt((double)squared);
    return OK;
}

enum status optimizer_update(struct optimizer *optimizer, const struct hyper *hyper, double norm, int64_t step, struct error *err)
{
    const float values[8] = { (float)hyper->learning_rate, (float)hyper->beta1,    (float)hyper->beta2, (float)hyper->epsilon,
                              (float)hyper->weight_decay,  (float)hyper->max_norm, (float)step };
    const float squared = (float)(norm * norm);
    tensor_upload(optimizer->device, optimizer->given_norm, &squared);
    tensor_upload(optimizer->device, optimizer->hyper, values);
    tensor_upload(optimizer->device, optimizer->ends, optimizer->ranges->end);
    tensor_upload(optimizer->device, optimizer->factors, optimizer->ranges->factor);
    optimizer->device->err = err;
    return program_start(optimizer->update, optimizer->device);
}

void optimizer_destroy(struct optimizer *optimizer)
{
    if (optimizer->memory)
        device_release(optimizer->device, optimizer->memory, optimizer->memory_bytes);
    optimizer->memory = NULL;
}
