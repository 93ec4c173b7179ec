/* graft doctor: what this machine computes with, how fast, and what is missing. */
#include "cli/commands.h"
#include "autograd/cpu/gemm.h"
#include "common/files.h"
#include "trainer/measure.h"
#include "trainer/memory.h"

#include <string.h>

struct doctor_options {
    struct common_options common;
};

static enum status examine(struct device *device, const char *gpu, struct output *out, struct error *err)
{
    double f32, bf16, copy, read;
    char text[32], library[64];
    TRY(measure_product(device, F32, &f32, err));
    TRY(measure_copy(device, &copy, err));
    TRY(measure_read(device, &read, err));
    output_print(out, "graft          " GRAFT_VERSION " (" GRAFT_BUILD ")\n");
    output_print(out, "device         cpu: %s\n", device->name);
    output_print(out, "threads        %d\n", device->threads);
    output_print(out, "memory         %s available\n", text_bytes(text, memory_available()));
    output_print(out, "float32        %.0f GFLOP/s\n", f32);
    if (cpu_has_bf16()) {
        TRY(measure_product(device, BF16, &bf16, err));
        output_print(out, "bfloat16       %.0f GFLOP/s, in hardware\n", bf16);
    } else {
        output_print(out, "bfloat16       not in hardware: computed as float32\n");
    }
    output_print(out, "copy, 1 thread %.1f GB/s\n", copy);
    output_print(out, "read           %.1f GB/s, all threads together\n", read);
    gemm_library(library);
    output_print(out, "products       %s\n", library);
    output_print(out, "GPU            %s\n", gpu);
    return OK;
}

static enum status run_doctor(struct cli *cli, const void *options)
{
    const struct doctor_options *o = options;
    struct device device = { 0 };
    struct output out = { 0 };
    TRY(device_open(&device, o->common.device, (int)o->common.threads, cli->err));
    const char *gpu = device_has_cuda() ? arena_print(cli->arena, "none is used%s", device.aside) : "this build has no GPU support";
    if (device.kind != CPU) { /* the figures are those of the processors all the same */
        gpu = arena_text(cli->arena, device.name, strlen(device.name));
        device_close(&device);
        TRY(device_open(&device, "cpu", (int)o->common.threads, cli->err));
    }
    enum status status = output_open(&out, cli->arena, NULL, true, cli->err);
    if (status == OK)
        status = examine(&device, gpu, &out, cli->err);
    if (status == OK)
        status = output_commit(&out);
    else
        output_discard(&out);
    device_close(&device);
    return status;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "what this machine computes with, and how fast",
    .bytes = sizeof(struct doctor_options),
    .run = run_doctor,
};
