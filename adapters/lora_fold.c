/* LoRA in the weights: W + s B A for a targeted layer, the trained copy for what is trained as a whole. */
#include "adapters/lora.h"

#include <string.h>

static void add_update(const struct lora_module *m, const float *a, const float *b, int64_t rows, float *values)
{
    const int64_t rank = m->rank, in = m->site->in;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < rank; k++) {
            const float factor = m->scale * b[r * rank + k];
#pragma omp simd
            for (int64_t c = 0; c < in; c++)
                values[r * in + c] += factor * a[k * in + c];
        }
}

bool lora_fold(const struct adapter *adapter, const struct tensor *frozen, const char *name, int64_t first, int64_t rows, float *values)
{
    const struct lora *lora = adapter->state;
    const bool head = strcmp(name, frozen->name) != 0;
    struct device *device = adapter->parameters->device;
    struct arena *scratch = arena_create_like(adapter->parameters->arena);
    bool touched = false;
    for (int i = 0; i < lora->copies.count; i++) {
        const struct copy *copy = &lora->copies.copy[i];
        if (copy->head != head || strcmp(copy->frozen->name, frozen->name) != 0)
            continue;
        touched = true;
        if (rows > 0)
            memcpy(values, (const float *)tensor_values(device, scratch, copy->value) + first * frozen->cols, (size_t)(rows * frozen->cols) * sizeof *values);
    }
    for (int i = 0; i < lora->modules; i++) {
        const struct lora_module *m = &lora->module[i];
        const size_t length = strlen(m->site->module);
        if (strncmp(name, m->site->module, length) != 0 || strcmp(name + length, ".weight") != 0)
            continue;
        touched = true;
        if (rows > 0)
            add_update(m, tensor_values(device, scratch, m->a), (const float *)tensor_values(device, scratch, m->b) + first * m->rank, rows, values);
    }
    arena_destroy(scratch);
    return touched;
}
