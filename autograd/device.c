/* Which device, how many threads, and memory with a message when there is none. */
#include "autograd/device.h"
#include "autograd/captures.h"
#include "autograd/cpu/device_cpu.h"
#include "autograd/cuda/device_cuda.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#if defined(GRAFT_CUDA)
#define CUDA_ROW &device_cuda
#else
#define CUDA_ROW NULL
#endif

static const struct device_row *const rows[DEVICES] = { [CPU] = &device_cpu, [CUDA] = CUDA_ROW };

bool device_has_cuda(void)
{
    return rows[CUDA] != NULL;
}

/* The mask of a machine with more than CPU_SETSIZE processors does not fit: then as many as fit are used. */
static int usable_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : CPU_SETSIZE;
}

static enum status open_kind(struct device *device, enum device_kind kind, int index)
{
    device->kind = kind;
    device->row = rows[kind];
    enum status status = device->row->open(device, index);
    if (status != OK)
        device->row = NULL;
    return status;
}

/* A GPU if there is one; else the CPU, with why it is not one. */
static enum status open_best(struct device *device, int index)
{
    struct error *err = device->err, why = { 0 };
    device->err = &why;
    enum status status = rows[CUDA] ? open_kind(device, CUDA, index) : NO_DEVICE;
    device->err = err;
    if (status == OK)
        return OK;
    TRY(open_kind(device, CPU, index));
    if (rows[CUDA])
        snprintf(device->aside, sizeof device->aside, " (%.100s)", why.what);
    return OK;
}

enum status device_open(struct device *device, const char *spec, int threads, struct error *err)
{
    return device_open_nth(device, spec, 0, threads, err);
}

enum status device_open_nth(struct device *device, const char *spec, int index, int threads, struct error *err)
{
    *device = (struct device){ .err = err };
    if (threads < 0)
        return fail_with(err, BAD_OPTION, "%d threads", "give a number of threads from 1 on, or 0 for all cores", threads);
    device->threads = threads ? threads : usable_cores();
    if (strcmp(spec, "cpu") == 0)
        return open_kind(device, CPU, index);
    if (strcmp(spec, "cuda") == 0 && rows[CUDA])
        return open_kind(device, CUDA, index);
    if (strcmp(spec, "cuda") == 0)
        return fail_with(err, NO_DEVICE, "device cuda: this build has no GPU support", "build with CUDA (GRAFT_CUDA=ON), or use --device cpu");
    if (strcmp(spec, "auto") == 0)
        return open_best(device, index);
    return fail_with(err, BAD_OPTION, "unknown device '%s'", "use auto, cpu or cuda", spec);
}

void device_close(struct device *device)
{
    captures_release(device);
    if (device->row)
        device->row->close(device);
    device->row = NULL;
}

enum status device_allocate(struct device *device, const char *what, size_t bytes, void **out, struct error *err)
{
    *out = device->row->allocate(device, bytes);
    if (*out)
        return OK;
    if (device->row->available)
        return fail_with(err, NO_MEMORY, "%s: no memory for %zu bytes (%.1f GiB) on %s, which has %.1f GiB left",
                         "'graft plan' shows what a run takes, part by part: use a smaller model or fewer rows at once, or see what else uses the GPU", what,
                         bytes, (double)bytes / (1 << 30), device->name, (double)device->row->available(device) / (1 << 30));
    return fail_with(err, NO_MEMORY, "%s: no memory for %zu bytes (%.1f GiB) on %s", "use a smaller model, fewer rows at once, or a machine with more memory",
                     what, bytes, (double)bytes / (1 << 30), device->row->name);
}

void device_release(struct device *device, void *bytes, size_t size)
{
    if (bytes)
        device->row->release(device, bytes, size);
}

size_t device_footprint(const struct device *device, size_t bytes)
{
    return bytes ? device->row->footprint(bytes) : 0;
}

enum status device_synchronize(struct device *device, struct error *err)
{
    device->err = err;
    return device->row->synchronize(device);
}

void tensor_upload(struct device *device, struct tensor *t, const void *from)
{
    device->row->upload(device, t->data, from, tensor_bytes(t));
}

void tensor_download(struct device *device, const struct tensor *t, void *to)
{
    device->row->download(device, to, t->data, tensor_bytes(t));
}

const void *tensor_values(struct device *device, struct arena *arena, const struct tensor *t)
{
    if (device->row->host)
        return t->data;
    void *copy = arena_alloc(arena, tensor_bytes(t));
    tensor_download(device, t, copy);
    return copy;
}
