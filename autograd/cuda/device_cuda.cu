/* A GPU as a device: one stream in which everything happens in the order it was asked for. Nothing waits but download() and synchronize(), and an upload when
 * so many are on their way that there is no room for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/cuda/kernel.cuh"

extern "C" {
#include "autograd/cuda/device_cuda.h"
#include "autograd/cuda/gemm.h"
}

constexpr size_t STAGING_HALF = 4 << 20, LATER_BYTES = 1 << 20, APART = 64;

/* By complaint; the numbers are those of struct complaint. */
static const struct {
    const char *what, *cure;
} texts[COMPLAINTS] = {
    { "", "" },
    { "embed: id %lld at row %lld is outside the table of %lld rows",
      "use the tokenizer that belongs to this model, and texts no longer than it has positions" },
    { "embed_columns: id %lld at row %lld is negative", "use the tokenizer that belongs to this model" },
    { "kv_append: row %lld goes to slot %lld of %lld", "make the prompt shorter, or ask for fewer new tokens" },
    { "take_rows: index %lld is %lld, after %lld, of %lld rows", "indices must increase and lie inside the batch" },
    { "head_loss: row %lld has label %lld, the vocabulary has %lld entries", "the tokenizer and the model may not belong together" },
    { "attention: sequence %lld has %lld queries from row %lld and %lld keys from row %lld, of %lld and %lld rows",
      "sequences follow each other, inside the batch, with a key for every query" },
    { "rope_angles: sequence %lld has rows %lld to %lld of %lld", "sequences must lie inside the batch" },
};

static enum status cuda_failed(struct device *device, const char *what, cudaError_t code)
{
    return fail_with(device->err, LIBRARY, "%s on %s: %s", "see that nothing else uses the GPU's memory, and that its driver fits this build", what,
                     device->name, cudaGetErrorString(code));
}

#define TRY_CUDA(device, what, call)                                                                                                                           \
    do {                                                                                                                                                       \
        cudaError_t try_cuda_ = (call);                                                                                                                        \
        if (try_cuda_ != cudaSuccess)                                                                                                                          \
            return cuda_failed(device, what, try_cuda_);                                                                                                       \
    } while (0)

enum status launched(struct device *device, const struct node *n)
{
    cudaError_t code = cudaGetLastError();
    if (code == cudaSuccess)
        return OK;
    const struct tensor *t = n->out[0] ? n->out[0] : n->in[0];
    return fail_with(device->err, LIBRARY, "%s, %s [%lld, %lld] on %s: %s", "use a smaller batch; if that does not help, use --device cpu", n->op->name,
                     t->name, (long long)t->rows, (long long)t->cols, device->name, cudaGetErrorString(code));
}

enum status clear_bytes(struct device *device, const struct node *n, void *bytes, size_t count)
{
    if (count)
        cudaMemsetAsync(bytes, 0, count, device->cuda->stream); /* its error is also the last one */
    return launched(device, n);
}

static enum status make_state(struct device *device, struct cuda_state *state)
{
    TRY_CUDA(device, "a stream", cudaStreamCreate(&state->stream));
    TRY_CUDA(device, "pinned memory", cudaMallocHost((void **)&state->staging, 2 * STAGING_HALF));
    state->later = (struct later *)calloc(1, sizeof *state->later);
    if (!state->later)
        return fail_with(device->err, NO_MEMORY, "no memory to open %s", "free some memory", device->name);
    TRY_CUDA(device, "pinned memory", cudaMallocHost((void **)&state->later->arrived, LATER_BYTES));
    for (int half = 0; half < 2; half++)
        TRY_CUDA(device, "an event", cudaEventCreateWithFlags(&state->half_is_free[half], cudaEventDisableTiming));
    TRY_CUDA(device, "the first allocation", cudaMalloc((void **)&state->complaint, sizeof *state->complaint));
    TRY_CUDA(device, "the first kernel", cudaMemsetAsync(state->complaint, 0, sizeof *state->complaint, state->stream));
    return lt_open(device);
}

static void close_cuda(struct device *device)
{
    struct cuda_state *state = device->cuda;
    if (!state)
        return;
    lt_close(device);
    for (int half = 0; half < 2; half++)
        if (state->half_is_free[half])
            cudaEventDestroy(state->half_is_free[half]);
    cudaFree(state->complaint);
    cudaFreeHost(state->staging);
    if (state->later)
        cudaFreeHost(state->later->arrived);
    free(state->later);
    if (state->stream)
        cudaStreamDestroy(state->stream);
    free(state);
    device->cuda = NULL;
}

static enum status open_cuda(struct device *device, int index)
{
    int count = 0;
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code != cudaSuccess || count <= 0)
        return fail_with(device->err, NO_DEVICE, "no GPU can be used: %s", "install the NVIDIA driver, or use --device cpu",
                         code != cudaSuccess ? cudaGetErrorString(code) : "the driver knows none");
    struct cudaDeviceProp properties;
    index %= count;
    snprintf(device->name, sizeof device->name, "GPU %d", index);
    TRY_CUDA(device, "opening it", cudaSetDevice(index));
    TRY_CUDA(device, "looking at it", cudaGetDeviceProperties(&properties, index));
    TRY_CUDA(device, "looking at it", cudaDeviceGetPCIBusId(device->place, sizeof device->place, index));
    snprintf(device->name, sizeof device->name, "%.100s", properties.name);
    device->cuda = (struct cuda_state *)calloc(1, sizeof *device->cuda);
    if (!device->cuda)
        return fail_with(device->err, NO_MEMORY, "no memory to open %s", "free some memory", device->name);
    enum status status = make_state(device, device->cuda);
    if (status != OK)
        close_cuda(device);
    return status;
}

/* cudaMalloc gives multiples of this. */
static size_t footprint(size_t bytes)
{
    return (bytes + 511) / 512 * 512;
}

static size_t available(struct device *)
{
    size_t left = 0, all = 0;
    return cudaMemGetInfo(&left, &all) == cudaSuccess ? left : 0;
}

static void *allocate(struct device *device, size_t bytes)
{
    void *memory = NULL;
    if (cudaMalloc(&memory, bytes ? bytes : 1) == cudaSuccess && cudaMemsetAsync(memory, 0, bytes, device->cuda->stream) == cudaSuccess)
        return memory;
    cudaGetLastError(); /* so that it is not taken for that of a kernel */
    cudaFree(memory);
    return NULL;
}

static void release(struct device *, void *bytes, size_t)
{
    cudaFree(bytes);
}

/* Room in the staging memory; when a half is full the other one is taken, as soon as what went through it has arrived. */
static char *staging_room(struct cuda_state *state, size_t wanted, size_t *bytes)
{
    if (state->half_used == STAGING_HALF) {
        cudaEventRecord(state->half_is_free[state->half], state->stream);
        state->half = 1 - state->half;
        state->half_used = 0;
        cudaEventSynchronize(state->half_is_free[state->half]);
    }
    const size_t left = STAGING_HALF - state->half_used;
    char *room = state->staging + state->half * STAGING_HALF + state->half_used;
    *bytes = wanted < left ? wanted : left;
    state->half_used += (*bytes + APART - 1) / APART * APART;
    return room;
}

/* What fails here stays the stream's error: synchronize() finds it. */
static void upload(struct device *device, void *to, const void *from, size_t bytes)
{
    for (size_t at = 0, here; at < bytes; at += here) {
        char *through = staging_room(device->cuda, bytes - at, &here);
        memcpy(through, (const char *)from + at, here);
        cudaMemcpyAsync((char *)to + at, through, here, cudaMemcpyHostToDevice, device->cuda->stream);
    }
}

static void download(struct device *device, void *to, const void *from, size_t bytes)
{
    if (bytes)
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, device->cuda->stream);
    cudaStreamSynchronize(device->cuda->stream);
}

/* The stream has finished: its downloads have arrived, or never will. */
static void hand_over(struct later *later, bool arrived)
{
    for (int i = 0; arrived && i < later->count; i++)
        memcpy(later->one[i].to, later->arrived + later->one[i].at, later->one[i].bytes);
    later->count = 0;
    later->used = 0;
}

static void download_later(struct device *device, void *to, const void *from, size_t bytes)
{
    struct later *later = device->cuda->later;
    if (bytes > LATER_BYTES) {
        download(device, to, from, bytes);
        return;
    }
    if (later->count == MOST_LATER || bytes > LATER_BYTES - later->used) {
        hand_over(later, cudaStreamSynchronize(device->cuda->stream) == cudaSuccess);
    }
    if (bytes)
        cudaMemcpyAsync(later->arrived + later->used, from, bytes, cudaMemcpyDeviceToHost, device->cuda->stream);
    later->one[later->count].to = to;
    later->one[later->count].at = later->used;
    later->one[later->count++].bytes = bytes;
    later->used += (bytes + APART - 1) / APART * APART;
}

static void fill_bytes(struct device *device, void *to, int byte, size_t bytes)
{
    if (bytes)
        cudaMemsetAsync(to, byte, bytes, device->cuda->stream);
}

static enum status idle(struct device *device, bool *is_idle)
{
    const cudaError_t code = cudaStreamQuery(device->cuda->stream);
    *is_idle = code == cudaSuccess;
    TRY_CUDA(device, "work on the GPU", code == cudaErrorNotReady ? cudaSuccess : code);
    return OK;
}

static void *stream(struct device *device)
{
    return device->cuda->stream;
}

static enum status synchronize(struct device *device)
{
    struct cuda_state *state = device->cuda;
    struct complaint c = {};
    cudaMemcpyAsync(&c, state->complaint, sizeof c, cudaMemcpyDeviceToHost, state->stream); /* its error is also the stream's */
    const cudaError_t code = cudaStreamSynchronize(state->stream);
    hand_over(state->later, code == cudaSuccess);
    TRY_CUDA(device, "a kernel", code);
    if (c.kind == NO_COMPLAINT)
        return OK;
    TRY_CUDA(device, "a kernel", cudaMemsetAsync(state->complaint, 0, sizeof c, state->stream));
    return fail_with(device->err, BAD_DATA, texts[c.kind].what, texts[c.kind].cure, c.number[0], c.number[1], c.number[2], c.number[3], c.number[4],
                     c.number[5], c.number[6]);
}

/* Of this thread alone: what others ask of the GPU meanwhile is theirs. */
static enum status begin_capture(struct device *device)
{
    TRY_CUDA(device, "beginning a capture", cudaStreamBeginCapture(device->cuda->stream, cudaStreamCaptureModeThreadLocal));
    return OK;
}

static enum status end_capture(struct device *device, void **work)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    cudaError_t code = cudaStreamEndCapture(device->cuda->stream, &graph);
    if (code == cudaSuccess)
        code = cudaGraphInstantiateWithFlags(&ready, graph, 0);
    if (graph)
        cudaGraphDestroy(graph);
    *work = ready;
    if (code != cudaSuccess)
        cudaGetLastError(); /* so that it is not taken for that of a kernel */
    TRY_CUDA(device, "a capture", code);
    return OK;
}

static enum status replay(struct device *device, void *work)
{
    TRY_CUDA(device, "a replay", cudaGraphLaunch((cudaGraphExec_t)work, device->cuda->stream));
    return OK;
}

/* It may still be running: the library keeps it until it has. */
static void forget(struct device *, void *work)
{
    cudaGraphExecDestroy((cudaGraphExec_t)work);
}

const struct device_row device_cuda = {
    .name = "cuda",
    .host = false,
    .open = open_cuda,
    .close = close_cuda,
    .allocate = allocate,
    .release = release,
    .footprint = footprint,
    .available = available,
    .upload = upload,
    .download = download,
    .download_later = download_later,
    .fill = fill_bytes,
    .describe = describe_cuda,
    .idle = idle,
    .stream = stream,
    .synchronize = synchronize,
    .capture = begin_capture,
    .captured = end_capture,
    .replay = replay,
    .forget = forget,
};
