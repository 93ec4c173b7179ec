/* Trained tensors inside flat vectors: offsets are fixed while adding, memory comes with sealing. */
#include "autograd/parameters.h"
#include "autograd/graph.h"

#include <string.h>

enum { ALIGN_FLOATS = 16 }; /* 64 bytes */

struct parameters *parameters_new(struct arena *arena)
{
    struct parameters *p = NEW(arena, struct parameters);
    p->arena = arena;
    return p;
}

static int64_t aligned_floats(int64_t rows, int64_t cols)
{
    int64_t floats;
    CHECK(rows >= 0 && cols >= 0 && !__builtin_mul_overflow(rows, cols, &floats) && floats < INT64_MAX / 64);
    return (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

struct tensor *parameters_add(struct parameters *p, const char *name, int64_t rows, int64_t cols)
{
    CHECK(!p->value);
    if (p->tensors == p->room) {
        int room = p->room ? 2 * p->room : 64;
        p->tensor = arena_grow(p->arena, p->tensor, (size_t)p->tensors, (size_t)room, sizeof(struct tensor *));
        p->room = room;
    }
    const char *kept = arena_text(p->arena, name, strlen(name));
    struct tensor *t = tensor_new(p->arena, kept, F32, PARAMETER, rows, cols, NULL);
    t->grad = tensor_new(p->arena, kept, F32, STATE, rows, cols, NULL);
    t->wants_grad = true;
    p->count += aligned_floats(rows, cols);
    CHECK(p->count < INT64_MAX / 64);
    return p->tensor[p->tensors++] = t;
}

struct tensor *parameters_add_frozen(struct parameters *p, const char *name, int64_t rows, int64_t cols)
{
    if (!p->frozen)
        p->frozen = parameters_new(p->arena);
    struct tensor *t = parameters_add(p->frozen, name, rows, cols);
    t->grad = NULL;
    t->wants_grad = false;
    return t;
}

static enum status make_vector(struct parameters *p, struct tensor **vector, const char *name, struct error *err)
{
    void *data;
    TRY(device_allocate(p->device, name, (size_t)p->count * sizeof(float), &data, err));
    *vector = tensor_new(p->arena, name, F32, STATE, 1, p->count, data);
    return OK;
}

static enum status make_vectors(struct parameters *p, bool training, struct error *err)
{
    TRY(make_vector(p, &p->value, "trained parameters", err));
    if (!training)
        return OK;
    TRY(make_vector(p, &p->grad, "gradients of the trained parameters", err));
    TRY(make_vector(p, &p->first, "first moments of the optimizer", err));
    return make_vector(p, &p->second, "second moments of the optimizer", err);
}

enum status parameters_seal(struct parameters *p, struct device *device, bool training, struct error *err)
{
    CHECK(!p->value);
    p->device = device;
    enum status status = make_vectors(p, training, err);
    if (status == OK && p->frozen)
        status = parameters_seal(p->frozen, device, false, err);
    if (status != OK) {
        parameters_release(p);
        return status;
    }
    int64_t at = 0;
    for (int i = 0; i < p->tensors; i++) {
        struct tensor *t = p->tensor[i];
        t->data = (float *)p->value->data + at;
        if (training)
            t->grad->data = (float *)p->grad->data + at;
        else
            t->grad = NULL;
        at += aligned_floats(t->rows, t->cols);
    }
    return OK;
}

static void release_vector(struct parameters *p, struct tensor **vector)
{
    if (*vector)
        device_release(p->device, (*vector)->data, tensor_bytes(*vector));
    *vector = NULL;
}

void parameters_release(struct parameters *p)
{
    if (!p)
        return;
    release_vector(p, &p->value);
    release_vector(p, &p->grad);
    release_vector(p, &p->first);
    release_vector(p, &p->second);
    parameters_release(p->frozen);
}

void parameters_zero_gradient(struct parameters *p)
{
    p->device->row->fill(p->device, p->grad->data, 0, tensor_bytes(p->grad));
}

void parameters_aim_gradient(struct parameters *p, float *vector)
{
    int64_t at = 0;
    for (int i = 0; i < p->tensors; i++) {
        p->tensor[i]->grad->data = vector + at;
        at += aligned_floats(p->tensor[i]->rows, p->tensor[i]->cols);
    }
}

int64_t parameters_size(const struct parameters *p)
{
    int64_t size = 0;
    for (int i = 0; i < p->tensors; i++)
        size += p->tensor[i]->rows * p->tensor[i]->cols;
    return size;
}

struct tensor *parameters_find(const struct parameters *p, const char *name)
{
    for (int i = 0; i < p->tensors; i++)
        if (strcmp(p->tensor[i]->name, name) == 0)
            return p->tensor[i];
    return NULL;
}
