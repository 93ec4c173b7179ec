/* The CPU as a device: memory is host memory, everything is done when a kernel returns. */
#include "autograd/cpu/device_cpu.h"
#include "autograd/cpu/gemm.h"

#include <malloc.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From LARGE bytes on memory comes as pages of its own, aligned so that the kernel can use huge pages: products read weights and activations faster then. */
enum { ALIGNMENT = 64, LARGE = 1 << 20, HUGE_PAGE = 2 << 20 };

static void cpu_name(char *name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "CPU");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value)
            continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        snprintf(name, size, "%s", value);
        break;
    }
    if (file)
        fclose(file);
}

/* Products take and give back buffers of one or two MiB all the time. glibc's malloc would return such pages to the system until it has seen enough of them,
 * and leave scraps unjoined: it is told to keep the pages and to join the scraps (of the thread's cache, that cannot be said here: cli/allocator.c). */
static void keep_buffers(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most there is */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_MXFAST, 0);
}

static enum status open_cpu(struct device *device, int index)
{
    (void)index;
    cpu_name(device->name, sizeof device->name);
    omp_set_num_threads(device->threads);
    keep_buffers();
    return gemm_open(device, device->err);
}

static void close_cpu(struct device *device)
{
    gemm_close(device);
}

static size_t footprint(size_t bytes)
{
    return bytes >= LARGE ? (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : (bytes / ALIGNMENT + 1) * ALIGNMENT;
}

static void *allocate_large(size_t bytes)
{
    size_t room;
    if (__builtin_add_overflow(bytes, (size_t)2 * HUGE_PAGE, &room))
        return NULL;
    bytes = footprint(bytes);
    room = bytes + HUGE_PAGE;
    char *start = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    size_t before = (size_t)(-(uintptr_t)start % HUGE_PAGE), behind = room - bytes - before;
    if (before)
        munmap(start, before);
    if (behind)
        munmap(start + before + bytes, behind);
    madvise(start + before, bytes, MADV_HUGEPAGE); /* a wish: without huge pages everything still works */
    return start + before;
}

static void *allocate(struct device *device, size_t bytes)
{
    (void)device;
    if (bytes >= LARGE)
        return allocate_large(bytes);
    size_t room = footprint(bytes);
    void *memory = aligned_alloc(ALIGNMENT, room);
    return memory ? memset(memory, 0, room) : NULL;
}

static void release(struct device *device, void *bytes, size_t size)
{
    (void)device;
    if (size >= LARGE)
        munmap(bytes, footprint(size));
    else
        free(bytes);
}

static void copy(struct device *device, void *to, const void *from, size_t bytes)
{
    (void)device;
    if (bytes)
        memcpy(to, from, bytes);
}

static void fill_bytes(struct device *device, void *to, int byte, size_t bytes)
{
    (void)device;
    if (bytes)
        memset(to, byte, bytes);
}

static enum status synchronize(struct device *device)
{
    (void)device;
    return OK;
}

const struct device_row device_cpu = {
    .name = "cpu",
    .host = true,
    .open = open_cpu,
    .close = close_cpu,
    .allocate = allocate,
    .release = release,
    .footprint = footprint,
    .upload = copy,
    .download = copy,
    .download_later = copy,
    .fill = fill_bytes,
    .synchronize = synchronize,
};

/* Every CPU with AMX has AVX512-BF16 as well. */
bool cpu_has_bf16(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16") != 0;
#else
    return false;
#endif
}
