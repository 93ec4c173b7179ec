/* Which device, how many threads, and memory with a message when there is none. */
#include "autograd/device.h"
#include "autograd/cpu/device_cpu.h"

#include <sched.h>
#include <string.h>

static const struct {
    const char *spec;
    enum device_kind kind;
    const struct device_row *row;
} specs[] = {
    { "auto", CPU, &device_cpu },
    { "cpu", CPU, &device_cpu },
};

/* The mask of a machine with more than CPU_SETSIZE processors does not fit: then as many as fit are used. */
static int usable_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : CPU_SETSIZE;
}

enum status device_open(struct device *device, const char *spec, int threads, struct error *err)
{
    *device = (struct device){ .err = err };
    if (threads < 0)
        return fail_with(err, BAD_OPTION, "%d threads", "give a number of threads from 1 on, or 0 for all cores", threads);
    device->threads = threads ? threads : usable_cores();
    for (size_t i = 0; i < COUNT(specs); i++) {
        if (strcmp(spec, specs[i].spec) != 0)
            continue;
        device->kind = specs[i].kind;
        device->row = specs[i].row;
        return device->row->open(device, 0);
    }
    return fail_with(err, BAD_OPTION, "unknown device '%s'", "use auto or cpu", spec);
}

void device_close(struct device *device)
{
    if (device->row)
        device->row->close(device);
    device->row = NULL;
}

enum status device_allocate(struct device *device, const char *what, size_t bytes, void **out, struct error *err)
{
    *out = device->row->allocate(device, bytes);
    if (*out)
        return OK;
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
