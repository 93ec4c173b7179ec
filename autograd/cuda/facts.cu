/* What a GPU is, and how fast bytes move in its memory: nothing can be computed faster than what it reads and writes is moved. */
#include <time.h>

#include "autograd/cuda/kernel.cuh"

extern "C" {
#include "autograd/cuda/device_cuda.h"
}

constexpr size_t COPIED = 256 << 20; /* far more than any cache keeps */
constexpr int ROUNDS = 5, COPIES = 10;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static enum status call_failed(struct device *device, const char *call, cudaError_t code)
{
    return fail_with(device->err, LIBRARY, "%s on %s: %s", "see that the driver fits this build", call, device->name, cudaGetErrorString(code));
}

/* from and to are NULL where there was no memory for them. */
static enum status measure_copies(struct device *device, void *from, void *to, double *rate)
{
    *rate = 0;
    if (!from || !to)
        return fail_with(device->err, NO_MEMORY, "no memory for a measured copy of %zu bytes on %s", "see what else uses the GPU", COPIED, device->name);
    for (int round = 0; round < ROUNDS; round++) {
        TRY(device->row->synchronize(device));
        const double began = seconds_now();
        for (int i = 0; i < COPIES; i++)
            cudaMemcpyAsync(to, from, COPIED, cudaMemcpyDeviceToDevice, device->cuda->stream); /* what fails here stays the stream's error */
        TRY(device->row->synchronize(device));
        const double now = 2.0 * COPIES * (double)COPIED / (seconds_now() - began);
        *rate = now > *rate ? now : *rate;
    }
    return OK;
}

enum status describe_cuda(struct device *device, struct device_facts *facts)
{
    struct cudaDeviceProp properties;
    cudaError_t code;
    if ((code = cudaGetDeviceProperties(&properties, 0)) != cudaSuccess || (code = cudaDriverGetVersion(&facts->driver)) != cudaSuccess ||
        (code = cudaRuntimeGetVersion(&facts->runtime)) != cudaSuccess || (code = cudaMemGetInfo(&facts->memory_free, &facts->memory)) != cudaSuccess)
        return call_failed(device, "asking what it is", code);
    facts->capability = 10 * properties.major + properties.minor;
    void *from = device->row->allocate(device, COPIED), *to = device->row->allocate(device, COPIED);
    enum status status = measure_copies(device, from, to, &facts->copy_rate);
    device->row->release(device, from, COPIED);
    device->row->release(device, to, COPIED);
    return status;
}
