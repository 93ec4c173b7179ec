/* Trained copies of frozen tensors: made, used in place of the frozen ones, and filled with their values. */
#include "adapters/copies.h"

#include "autograd/cpu/rows.h"

#include <string.h>

void copies_add(struct copies *copies, struct arena *arena, struct parameters *parameters, const struct tensor *frozen, const char *key, bool head)
{
    if (copies->count == copies->room) {
        copies->room = copies->room ? 2 * copies->room : 16;
        copies->copy = arena_grow(arena, copies->copy, (size_t)copies->count, (size_t)copies->room, sizeof *copies->copy);
    }
    struct tensor *value = parameters_add(parameters, key, frozen->rows, frozen->cols);
    copies->copy[copies->count++] = (struct copy){ .frozen = frozen, .value = value, .head = head };
}

bool asked_as_head(const struct pass *p, const struct tensor *w)
{
    if (w != p->model->head)
        return false;
    for (int i = 0; i < p->g->nodes; i++)
        if (p->g->node[i]->op == &op_embed)
            return true;
    return false;
}

struct tensor *copies_weight(const struct copies *copies, struct pass *p, struct tensor *w)
{
    const bool head = w == p->model->embed && asked_as_head(p, w);
    for (int i = 0; i < copies->count; i++)
        if (strcmp(copies->copy[i].frozen->name, w->name) == 0 && copies->copy[i].head == head)
            return cast(p->g, copies->copy[i].value, p->model->dtype);
    return w;
}

void copies_start(const struct copies *copies, struct parameters *parameters, const struct model *model)
{
    for (int i = 0; i < copies->count; i++) {
        const struct tensor *frozen = copies->copy[i].frozen;
        CHECK(frozen->data);
        struct arena *scratch = arena_create_like(parameters->arena);
        const char *stored = tensor_values(model->device, scratch, frozen);
        float *row = NEW_ARRAY(scratch, frozen->cols, float), *value = copies->copy[i].value->data;
        for (int64_t r = 0; r < frozen->rows; r++) {
            widen(row, stored + (size_t)(r * frozen->cols) * dtype_bytes(frozen->dtype), frozen->dtype, frozen->cols);
            parameters->device->row->upload(parameters->device, value + r * frozen->cols, row, (size_t)frozen->cols * sizeof *row);
        }
        model_forget(model, frozen);
        arena_destroy(scratch);
    }
}

bool copies_hold(const struct copies *copies, const struct tensor *parameter)
{
    for (int i = 0; i < copies->count; i++)
        if (copies->copy[i].value == parameter)
            return true;
    return false;
}
