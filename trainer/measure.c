/* What this machine can do, measured. */
#include "trainer/measure.h"
#include "autograd/cpu/rows.h"
#include "autograd/ops.h"
#include "autograd/plan.h"
#include "trainer/progress.h"

#include <string.h>

enum { SIZE = 1536, LARGE_SIZE = 8192, ROUNDS = 5, READ_ROUNDS = 30, COPY_BYTES = 64 << 20, READ_BYTES = 256 << 20 }; /* far more than any cache keeps */

/* Numbers k / 128, which every dtype has, in no order: a GPU multiplies zeros faster than it would a model's values. */
static void upload_values(struct device *device, struct tensor *t, void *through)
{
    uint32_t drawn = 1;
    for (int64_t i = 0; i < t->rows * t->cols; i++) {
        drawn = drawn * 1664525u + 1013904223u;
        const float value = (float)((int)(drawn >> 24) - 128) / 128;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (t->dtype == F32)
            ((float *)through)[i] = value;
        else
            ((uint16_t *)through)[i] = (uint16_t)(bits >> 16);
    }
    tensor_upload(device, t, through);
}

static enum status time_product(struct device *device, struct program *program, struct tensor *x, struct tensor *w, void *through, double *rate)
{
    upload_values(device, x, through);
    upload_values(device, w, through);
    TRY(program_prepare(program, device));
    *rate = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double began = monotonic_seconds();
        TRY(program_run(program, device));
        double now = 2.0 * (double)(x->rows * x->cols * w->rows) / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate ? now : *rate;
    }
    return OK;
}

static enum status product_rate(struct device *device, struct arena *arena, enum dtype dtype, int64_t size, double *rate, struct error *err)
{
    const int64_t extents[EXTENTS] = { 0 };
    struct arena *scratch = arena_create_like(arena);
    struct graph *g = graph_new(scratch, extents, false);
    struct tensor *x = graph_input(g, "x", dtype, FIXED, size, size), *w = graph_input(g, "w", dtype, FIXED, size, size);
    struct program *program;
    void *memory = NULL;
    graph_keep(g, linear(g, x, w, NULL, NULL, 1));
    device->err = err;
    enum status status = plan(&program, g, NULL, (struct plan_options){ .threads = device->threads }, err);
    if (status == OK)
        status = device_allocate(device, "a measured product", program->arena_bytes, &memory, err);
    if (status == OK) {
        program_bind(program, memory);
        status = time_product(device, program, x, w, arena_alloc(scratch, tensor_bytes(x)), rate);
        device_release(device, memory, program->arena_bytes);
    }
    arena_destroy(scratch);
    return status;
}

enum status measure_product(struct device *device, struct arena *arena, enum dtype dtype, double *rate, struct error *err)
{
    TRY(product_rate(device, arena, dtype, SIZE, rate, err));
    const double seconds = 2.0 * LARGE_SIZE * LARGE_SIZE * LARGE_SIZE / (*rate * 1e9);
    return seconds < 1 ? product_rate(device, arena, dtype, LARGE_SIZE, rate, err) : OK; /* what is that fast is not filled by the small one */
}

enum status measure_upload(struct device *device, struct arena *arena, double *rate, struct error *err)
{
    struct arena *scratch = arena_create_like(arena);
    void *from = memset(arena_alloc(scratch, COPY_BYTES), 1, COPY_BYTES), *to = NULL;
    device->err = err;
    enum status status = device_allocate(device, "a measured upload", COPY_BYTES, &to, err);
    *rate = 0;
    for (int round = 0; status == OK && round < ROUNDS; round++) {
        double began = monotonic_seconds();
        device->row->upload(device, to, from, COPY_BYTES);
        status = device->row->synchronize(device);
        double now = COPY_BYTES / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate ? now : *rate;
    }
    device_release(device, to, COPY_BYTES);
    arena_destroy(scratch);
    return status;
}

enum status measure_copy(struct device *device, double *rate, struct error *err)
{
    void *memory;
    TRY(device_allocate(device, "a measured copy", 2 * (size_t)COPY_BYTES, &memory, err));
    char *from = memory, *to = from + COPY_BYTES;
    memset(from, 1, COPY_BYTES);
    *rate = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double began = monotonic_seconds();
        memcpy(to, from, COPY_BYTES);
        double now = 2.0 * COPY_BYTES / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate && to[round] == from[round] ? now : *rate;
    }
    device_release(device, memory, 2 * (size_t)COPY_BYTES);
    return OK;
}

static WIDE uint64_t sum_of(const uint64_t *from, int64_t count)
{
    uint64_t sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += from[i];
    return sum;
}

enum status measure_read(struct device *device, double *rate, struct error *err)
{
    void *memory;
    TRY(device_allocate(device, "measured reading", READ_BYTES, &memory, err));
    const int64_t count = READ_BYTES / (int64_t)sizeof(uint64_t), threads = device->threads;
    const uint64_t *from = memset(memory, 1, READ_BYTES);
    *rate = 0;
    for (int round = 0; round < READ_ROUNDS; round++) {
        double began = monotonic_seconds();
        uint64_t sum = 0;
#pragma omp parallel for schedule(static) num_threads(device->threads) reduction(+ : sum)
        for (int64_t part = 0; part < threads; part++)
            sum += sum_of(from + count * part / threads, count * (part + 1) / threads - count * part / threads);
        double now = READ_BYTES / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate && sum == (uint64_t)count * from[0] ? now : *rate;
    }
    device_release(device, memory, READ_BYTES);
    return OK;
}
