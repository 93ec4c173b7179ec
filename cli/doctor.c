/* graft doctor: what this machine computes with, how fast, and what is missing. */
#include "cli/commands.h"
#include "autograd/cpu/gemm.h"
#include "common/files.h"
#include "trainer/memory.h"
#include "trainer/progress.h"

#include <string.h>

struct doctor_options {
    struct common_options common;
};

enum { SIZE = 1024, ROUNDS = 5 };

/* Best of a few rounds of a SIZE x SIZE product, in GFLOP/s. */
static enum status product_rate(struct device *device, struct arena *arena, enum dtype dtype, double *rate, struct error *err)
{
    size_t bytes = SIZE * SIZE * dtype_bytes(dtype);
    void *a = arena_alloc(arena, bytes), *b = arena_alloc(arena, bytes);
    float *c = NEW_ARRAY(arena, SIZE * SIZE, float);
    const struct operand left = { a, dtype, SIZE, false }, right = { b, dtype, SIZE, true };
    *rate = 0;
    device->err = err;
    for (int round = 0; round < ROUNDS; round++) {
        double began = monotonic_seconds();
        TRY(gemm(device, SIZE, SIZE, SIZE, 1, left, right, 0, c, F32, SIZE));
        double now = 2.0 * SIZE * SIZE * SIZE / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate ? now : *rate;
    }
    return OK;
}

/* Copying 64 MiB, both directions counted, in GB/s. */
static double copy_rate(struct arena *arena)
{
    const size_t bytes = 64 << 20;
    char *from = arena_alloc(arena, bytes), *to = arena_alloc(arena, bytes);
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double began = monotonic_seconds();
        memcpy(to, from, bytes);
        double now = 2.0 * (double)bytes / (monotonic_seconds() - began) / 1e9;
        best = now > best && to[round] == from[round] ? now : best;
    }
    return best;
}

static enum status examine(struct device *device, struct arena *arena, struct output *out, struct error *err)
{
    double f32, bf16;
    char text[32];
    TRY(product_rate(device, arena, F32, &f32, err));
    output_print(out, "graft          " GRAFT_VERSION " (" GRAFT_BUILD ")\n");
    output_print(out, "device         cpu: %s\n", device->name);
    output_print(out, "threads        %d\n", device->threads);
    output_print(out, "memory         %s available\n", text_bytes(text, memory_available()));
    output_print(out, "float32        %.0f GFLOP/s\n", f32);
    if (cpu_has_bf16()) {
        TRY(product_rate(device, arena, BF16, &bf16, err));
        output_print(out, "bfloat16       %.0f GFLOP/s, in hardware\n", bf16);
    } else {
        output_print(out, "bfloat16       not in hardware: computed as float32\n");
    }
    output_print(out, "copy, 1 thread %.1f GB/s\n", copy_rate(arena));
    output_print(out, "GPU            this build has no GPU support\n");
    return OK;
}

static enum status run_doctor(struct cli *cli, const void *options)
{
    const struct doctor_options *o = options;
    struct device device = { 0 };
    struct output out = { 0 };
    TRY(device_open(&device, o->common.device, (int)o->common.threads, cli->err));
    enum status status = output_open(&out, cli->arena, NULL, true, cli->err);
    if (status == OK)
        status = examine(&device, cli->arena, &out, cli->err);
    if (status == OK)
        status = output_commit(&out);
    else
        output_discard(&out);
    device_close(&device);
    return status;
}

const struct command command_doctor = {
    .name = "doctor",
    .bytes = sizeof(struct doctor_options),
    .run = run_doctor,
};
