/* graft doctor: what this machine computes with, how fast, and what is missing. */
#include "cli/commands.h"
#include "autograd/cpu/gemm.h"
#include "common/files.h"
#include "common/library.h"
#include "common/text.h"
#include "trainer/measure.h"
#include "trainer/memory.h"

#include <string.h>

struct doctor_options {
    struct common_options common;
};

/* The libraries that GPUs are used through. All count their version as 10000 * major + 100 * minor + patch. */
typedef size_t version_returned(void);
typedef int version_told(int *version);
static const struct gpu_library {
    const char *name, *file; /* "%d": the major version of the CUDA of this build */
    const char *returns;     /* a version_returned, or NULL */
    const char *tells;       /* a version_told, or NULL */
} gpu_libraries[] = {
    { "cuBLASLt", "libcublasLt.so.%d", .returns = "cublasLtGetVersion" },
    { "cuDNN", "libcudnn.so.9", .returns = "cudnnGetVersion" },
    { "NCCL", "libnccl.so.2", .tells = "ncclGetVersion" },
};

/* The library stays open until the process ends: what some of them take when they are loaded they do not give back when they are closed. */
static void describe_library(struct text *text, struct arena *arena, const struct gpu_library *row, int major)
{
    char why[256], path[1024];
    int version = 0;
    const char *file = arena_print(arena, row->file, major);
    void *library = library_open(file, why), *function = library ? library_function(library, row->returns ? row->returns : row->tells) : NULL;
    if (function && row->returns)
        version = (int)((version_returned *)(uintptr_t)function)();
    else if (function)
        ((version_told *)(uintptr_t)function)(&version);
    library_path(function, path, sizeof path);
    if (version)
        text_print(text, "%-15s%d.%d.%d (%s)\n", row->name, version / 10000, version / 100 % 100, version % 100, path);
    else
        text_print(text, "%-15snot found: %s\n", row->name, library ? "it does not tell its version" : why);
}

/* The driver's own version, as its module tells; "" where there is none to ask. */
static const char *driver_version(struct arena *arena)
{
    struct error none = { 0 };
    char *version = "";
    size_t size;
    if (file_read(arena, "/sys/module/nvidia/version", 64, &version, &size, &none) != OK)
        return "";
    version[strcspn(version, " \n")] = '\0';
    return arena_print(arena, "%s, ", text_make_printable(version));
}

/* The rows of an open GPU. */
static enum status examine_gpu(struct device *gpu, struct arena *arena, struct text *text, struct error *err)
{
    struct device_facts facts = { 0 };
    double f32, bf16, upload;
    char memory[32], unused[32];
    gpu->err = err;
    TRY(gpu->row->describe(gpu, &facts));
    TRY(measure_product(gpu, arena, F32, &f32, err));
    TRY(measure_product(gpu, arena, BF16, &bf16, err));
    TRY(measure_upload(gpu, arena, &upload, err));
    text_print(text, "%s, compute capability %d.%d\n", gpu->name, facts.capability / 10, facts.capability % 10);
    text_print(text, "GPU driver     %sfor CUDA up to %d.%d; this build has CUDA %d.%d\n", driver_version(arena), facts.driver / 1000, facts.driver % 1000 / 10,
               facts.runtime / 1000, facts.runtime % 1000 / 10);
    text_print(text, "GPU memory     %s, %s free; copied within at %.0f GB/s, reading and writing counted\n", text_bytes(memory, facts.memory),
               text_bytes(unused, facts.memory_free), facts.copy_rate / 1e9);
    text_print(text, "GPU upload     %.1f GB/s\n", upload);
    text_print(text, "GPU float32    %.1f TFLOP/s\n", f32 / 1e3);
    text_print(text, "GPU bfloat16   %.1f TFLOP/s\n", bf16 / 1e3);
    for (size_t i = 0; i < COUNT(gpu_libraries); i++)
        describe_library(text, arena, &gpu_libraries[i], facts.runtime / 1000);
    return OK;
}

static enum status examine(struct device *device, struct arena *arena, const char *gpu, struct output *out, struct error *err)
{
    double f32, bf16, copy, read;
    char text[32], library[64];
    TRY(measure_product(device, arena, F32, &f32, err));
    TRY(measure_copy(device, &copy, err));
    TRY(measure_read(device, &read, err));
    output_print(out, "graft          " GRAFT_VERSION " (" GRAFT_BUILD ")\n");
    output_print(out, "device         cpu: %s\n", device->name);
    output_print(out, "threads        %d\n", device->threads);
    output_print(out, "memory         %s available\n", text_bytes(text, memory_available()));
    output_print(out, "float32        %.0f GFLOP/s\n", f32);
    if (cpu_has_bf16()) {
        TRY(measure_product(device, arena, BF16, &bf16, err));
        output_print(out, "bfloat16       %.0f GFLOP/s, in hardware\n", bf16);
    } else {
        output_print(out, "bfloat16       not in hardware: computed as float32\n");
    }
    output_print(out, "copy, 1 thread %.1f GB/s\n", copy);
    output_print(out, "read           %.1f GB/s, all threads together\n", read);
    gemm_library(library);
    output_print(out, "products       %s\n", library);
    output_print(out, "GPU            %s", gpu);
    return OK;
}

static enum status run_doctor(struct cli *cli, const void *options)
{
    const struct doctor_options *o = options;
    struct device device = { 0 };
    struct output out = { 0 };
    struct text gpu = text_new(cli->arena);
    TRY(device_open(&device, o->common.device, (int)o->common.threads, cli->err));
    if (device.kind != CPU) { /* the other figures are those of the processors all the same */
        enum status examined = examine_gpu(&device, cli->arena, &gpu, cli->err);
        device_close(&device);
        TRY(examined);
        TRY(device_open(&device, "cpu", (int)o->common.threads, cli->err));
    } else if (device_has_cuda()) {
        text_print(&gpu, "none is used%s\n", device.aside);
    } else {
        text_add_string(&gpu, "this build has no GPU support\n");
    }
    enum status status = output_open(&out, cli->arena, NULL, true, cli->err);
    if (status == OK)
        status = examine(&device, cli->arena, gpu.bytes, &out, cli->err);
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
