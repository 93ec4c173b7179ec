/* CUDA for the host compiler: stands in for the toolkit's header, so that every .cu file of graft compiles and runs on any machine, under sanitizers.
 *
 * Memory is the host's, there is one stream, which does what it was asked for when somebody waits for it (stream.cpp), and a launch runs its blocks one after
 * another, with a fiber for each thread of a block (fibers.cpp). Threads meet at __syncthreads() and at shuffles; a barrier that only some of them reach ends
 * the program. So this proves indices, bounds and arithmetic, and that no thread counts on another coming first where none waits (threads, warps and blocks
 * take turns in both directions); speed it does not see.
 */
#ifndef GRAFT_TESTS_CUDA_ON_HOST_CUDA_RUNTIME_H
#define GRAFT_TESTS_CUDA_ON_HOST_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <functional>
#include <tuple>

#define __global__
#define __device__
#define __host__
#define __forceinline__  inline
#define __align__(bytes) alignas(bytes)
#define __shared__       static /* one block runs at a time */
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned width = 1, unsigned height = 1, unsigned depth = 1) : x(width), y(height), z(depth)
    {
    }
};
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

/* body runs once for every thread; shared memory starts as NaN. */
void host_launch(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()> &body);
void *host_shared(void);
void host_wait_for_block(void);
void host_wait_for_warp(void);

/* What the threads of a warp lay before each other: `size` bytes of each, in the order of lanes. Valid until the second exchange after this one. */
constexpr size_t HOST_EXCHANGE = 32;
struct host_slot {
    alignas(8) unsigned char bytes[HOST_EXCHANGE];
};
const host_slot *host_exchange(const void *value, size_t size);

/* The stream does this later, in its order. */
void host_ask(std::function<void()> one);
/* It has done all of it. */
void host_finish(void);

/* Arguments are taken when a kernel is asked for, as its parameters. */
template <class... Parameters> struct host_kernel {
    void (*function)(Parameters...);
    template <class... Arguments> void operator()(dim3 grid, dim3 block, size_t shared_bytes, Arguments... argument) const
    {
        const std::tuple<Parameters...> taken(argument...);
        host_ask([=, run = function]() { host_launch(grid, block, shared_bytes, [&]() { std::apply(run, taken); }); });
    }
};
template <class... Parameters> host_kernel<Parameters...> host_kernel_of(void (*function)(Parameters...))
{
    return { function };
}

#define LAUNCH(device, blocks, threads, shared_bytes, function, ...)                                                                                           \
    do {                                                                                                                                                       \
        (void)(device);                                                                                                                                        \
        host_kernel_of(function)((blocks), (threads), (shared_bytes), __VA_ARGS__);                                                                            \
    } while (0)
#define SHARED_FLOATS(name) float *name = static_cast<float *>(host_shared())

static inline void __syncthreads(void)
{
    host_wait_for_block();
}

static inline void __syncwarp(void)
{
    host_wait_for_warp();
}

template <class T> T __shfl_xor_sync(unsigned, T value, int mask)
{
    static_assert(sizeof(T) <= HOST_EXCHANGE, "it has to fit in a slot");
    memcpy(&value, host_exchange(&value, sizeof value)[threadIdx.x % 32 ^ (unsigned)mask].bytes, sizeof value);
    return value;
}

static inline int atomicCAS(int *at, int expected, int desired)
{
    int before = *at;
    if (before == expected)
        *at = desired;
    return before;
}

/* ----- the instructions of autograd/cuda/fragments.cuh (fragments.cpp); copies arrive when they are waited for, so that one that nobody waits for shows */

#define UNROLLED
void mma_bf16(float to[4], const uint32_t a[4], const uint32_t b[2]);
void load_matrices(uint32_t to[4], const uint16_t *row);
void load_turned_matrices(uint32_t to[4], const uint16_t *row);
uint32_t pair_of(float low, float high);
void copy_soon(void *to, const void *from);
void wait_for_copies(void);

/* ----- the runtime library */

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation = 2, cudaErrorNotReady = 600 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum { cudaEventDisableTiming = 2 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor;
};
typedef struct host_stream *cudaStream_t;
typedef struct host_event *cudaEvent_t;
typedef struct host_graph *cudaGraph_t, *cudaGraphExec_t;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *ready, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphLaunch(cudaGraphExec_t ready, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t ready);

static inline const char *cudaGetErrorString(cudaError_t code)
{
    return code == cudaSuccess ? "no error" : "out of memory";
}
static inline cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}
static inline cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 4; /* so that ranks have one each */
    return cudaSuccess;
}
static inline cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}
static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    strcpy(properties->name, "CUDA on the host");
    properties->totalGlobalMem = (size_t)3 << 30;
    properties->major = 9;
    properties->minor = 0;
    return cudaSuccess;
}
static inline cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13010;
    return cudaSuccess;
}
static inline cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}
static inline cudaError_t cudaDeviceGetPCIBusId(char *place, int size, int index)
{
    snprintf(place, (size_t)size, "host:%02d", index);
    return cudaSuccess;
}
/* A device of 3 GiB, of which somebody else has 1; the size of an allocation stands in front of it. */
enum : size_t { HOST_GPU_BYTES = (size_t)3 << 30, HOST_GPU_FREE = (size_t)2 << 30, HOST_GPU_HEAD = 64 };
extern size_t host_gpu_used;

static inline cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    host_finish();
    *memory = NULL;
    char *all = bytes <= HOST_GPU_FREE - host_gpu_used ? static_cast<char *>(aligned_alloc(64, HOST_GPU_HEAD + (bytes + 63) / 64 * 64)) : NULL;
    if (!all)
        return cudaErrorMemoryAllocation;
    memcpy(all, &bytes, sizeof bytes);
    host_gpu_used += bytes;
    *memory = all + HOST_GPU_HEAD;
    return cudaSuccess;
}
static inline cudaError_t cudaFree(void *memory)
{
    size_t bytes;
    host_finish();
    if (!memory)
        return cudaSuccess;
    char *all = static_cast<char *>(memory) - HOST_GPU_HEAD;
    memcpy(&bytes, all, sizeof bytes);
    host_gpu_used -= bytes;
    free(all);
    return cudaSuccess;
}
static inline cudaError_t cudaMemGetInfo(size_t *available, size_t *all)
{
    *all = HOST_GPU_BYTES;
    *available = HOST_GPU_FREE - host_gpu_used;
    return cudaSuccess;
}
static inline cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
static inline cudaError_t cudaFreeHost(void *memory)
{
    host_finish();
    free(memory);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t)
{
    host_ask([=]() { memcpy(to, from, bytes); });
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t)
{
    host_ask([=]() { memset(to, byte, bytes); });
    return cudaSuccess;
}
static inline cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    *stream = NULL;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    host_finish();
    return cudaSuccess;
}
static inline cudaError_t cudaStreamQuery(cudaStream_t)
{
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t)
{
    return cudaSuccess;
}
static inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = NULL;
    return cudaSuccess;
}
static inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t)
{
    return cudaSuccess;
}
static inline cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    host_finish();
    return cudaSuccess;
}
static inline cudaError_t cudaEventDestroy(cudaEvent_t)
{
    return cudaSuccess;
}
template <class F> cudaError_t cudaFuncSetAttribute(F *, cudaFuncAttribute, int)
{
    return cudaSuccess;
}

#endif
