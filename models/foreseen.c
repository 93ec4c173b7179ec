/* The table of a model's file that is not there: every tensor in the dtype that config.json names, over address space without memory.
 *
 * Whatever asks where weights lie and how large they are is answered as by a real file, so that a run can be planned before anything is downloaded. To read a
 * byte of it is a fault.
 */
#include "common/text.h"
#include "models/family.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static enum status stored_dtype(const struct model_config *config, const char **stored, struct error *err)
{
    static const char *const rows[][2] = { { "float32", "F32" }, { "float16", "F16" }, { "bfloat16", "BF16" } };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (text_equal(config->dtype, rows[i][0])) {
            *stored = rows[i][1];
            return OK;
        }
    return fail_with(err, BAD_MODEL, "%s/config.json: dtype '%s', and no weights are there to look at", "write float32, float16 or bfloat16", config->folder,
                     config->dtype);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct safetensor *)a)->name, ((const struct safetensor *)b)->name);
}

enum status model_files_foresee(struct safetensors_set *set, struct arena *arena, const struct model *model, struct error *err)
{
    const char *dtype = NULL;
    *set = (struct safetensors_set){ 0 };
    TRY(stored_dtype(&model->config, &dtype, err));
    set->file = NEW(arena, struct safetensors);
    struct safetensors *file = &set->file[0];
    file->tensor = NEW_ARRAY(arena, model->tensors, struct safetensor);
    uint64_t bytes = 0;
    for (; file->count < model->tensors; file->count++) {
        const struct tensor *t = model->tensor[file->count];
        const bool transposed = model_is_transposed(model, t);
        struct safetensor *s = &file->tensor[file->count];
        *s = (struct safetensor){ .name = t->name, .dtype = dtype, .rank = 2, .shape = { t->rows, t->cols }, .offset = bytes };
        if (transposed)
            s->shape[0] = t->cols, s->shape[1] = t->rows;
        if (t->rows == 1)
            s->rank = 1, s->shape[0] = t->cols;
        s->bytes = (uint64_t)(t->rows * t->cols) * (uint64_t)safetensors_dtype_bytes(dtype);
        bytes += (s->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    TRY(map_reserve(&file->map, model->config.folder, bytes, err));
    set->files = 1;
    for (int64_t i = 0; i < file->count; i++)
        file->tensor[i].data = file->map.bytes + file->tensor[i].offset;
    qsort(file->tensor, (size_t)file->count, sizeof *file->tensor, by_name);
    return OK;
}
