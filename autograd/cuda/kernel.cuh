/* What CUDA kernels share: elements of any float dtype seen as f32, one loop over spans of them, sums in a fixed order, and the launch.
 *
 * A thread works on a span of SPAN elements, which are 16 bytes of bf16: read() and write() move them at once where they lie on a boundary of 16 bytes, and
 * dtypes are looked at once a span. So no kernel is written, or compiled, once for each dtype. An op is a struct with the views it needs and operator().
 */
#ifndef GRAFT_AUTOGRAD_CUDA_KERNEL_CUH
#define GRAFT_AUTOGRAD_CUDA_KERNEL_CUH

#include "autograd/cuda/state.cuh"

extern "C" {
#include "autograd/cpu/halves.h"
#include "autograd/op.h"
}

constexpr int SPAN = 8, THREADS = 256, WARP = 32;

/* The host compiler of tests/cuda_on_host brings its own. */
#if !defined(LAUNCH)
#define LAUNCH(device, blocks, threads, shared_bytes, function, ...) function<<<(blocks), (threads), (shared_bytes), (device)->cuda->stream>>>(__VA_ARGS__)
#define SHARED_FLOATS(name)                                                                                                                                    \
    extern __shared__ __align__(16) float shared_floats[];                                                                                                     \
    float *name = shared_floats
#endif

/* After a launch. Errors: LIBRARY with op, shape and CUDA's message. */
enum status launched(struct device *device, const struct node *n);
/* The first `bytes` of a tensor become 0. */
enum status clear_bytes(struct device *device, const struct node *n, void *bytes, size_t count);

/* A matrix of floats of some dtype. */
struct view {
    void *data;
    enum dtype dtype;
};

/* Integers are only ever copied, as the four bytes that they are. */
static inline struct view view_of(const struct tensor *t)
{
    return t ? (struct view){ t->data, t->dtype == I32 ? F32 : t->dtype } : (struct view){ NULL, F32 };
}

static __device__ inline float read_one(struct view v, int64_t i)
{
    if (v.dtype == F32)
        return ((const float *)v.data)[i];
    uint16_t half = ((const uint16_t *)v.data)[i];
    return v.dtype == BF16 ? from_bf16(half) : from_f16(half);
}

static __device__ inline void write_one(struct view v, int64_t i, float value)
{
    if (v.dtype == F32)
        ((float *)v.data)[i] = value;
    else
        ((uint16_t *)v.data)[i] = v.dtype == BF16 ? to_bf16(value) : to_f16(value);
}

/* Elements of the span at `at` of a row that ends at `end`. */
static __device__ inline int span_at(int64_t at, int64_t end)
{
    return (int)(end - at < SPAN ? end - at : SPAN);
}

/* Sixteen bytes that are moved by one instruction. */
struct __align__(16) sixteen
{
    uint32_t word[4];
};

static __device__ inline bool is_whole(const void *at, int count)
{
    return count == SPAN && (uintptr_t)at % sizeof(struct sixteen) == 0;
}

/* Elements [first, first + count), count at most SPAN; those behind are 0. */
static __device__ inline void read(float to[SPAN], struct view v, int64_t first, int count)
{
    const char *at = (const char *)v.data + (size_t)first * (v.dtype == F32 ? 4 : 2);
    if (!is_whole(at, count)) {
        for (int i = 0; i < SPAN; i++)
            to[i] = i < count ? read_one(v, first + i) : 0;
    } else if (v.dtype == F32) {
        struct sixteen low = ((const struct sixteen *)at)[0], high = ((const struct sixteen *)at)[1];
        for (int i = 0; i < 4; i++) {
            to[i] = float_of(low.word[i]);
            to[i + 4] = float_of(high.word[i]);
        }
    } else {
        struct sixteen all = *(const struct sixteen *)at;
        for (int i = 0; i < SPAN; i++) {
            uint16_t half = (uint16_t)(all.word[i / 2] >> (i % 2 * 16));
            to[i] = v.dtype == BF16 ? from_bf16(half) : from_f16(half);
        }
    }
}

static __device__ inline void write(struct view v, int64_t first, int count, const float from[SPAN])
{
    char *at = (char *)v.data + (size_t)first * (v.dtype == F32 ? 4 : 2);
    if (!is_whole(at, count)) {
        for (int i = 0; i < count; i++)
            write_one(v, first + i, from[i]);
    } else if (v.dtype == F32) {
        struct sixteen low, high;
        for (int i = 0; i < 4; i++) {
            low.word[i] = bits_of(from[i]);
            high.word[i] = bits_of(from[i + 4]);
        }
        ((struct sixteen *)at)[0] = low;
        ((struct sixteen *)at)[1] = high;
    } else {
        struct sixteen all = { { 0, 0, 0, 0 } };
        for (int i = 0; i < SPAN; i++)
            all.word[i / 2] |= (uint32_t)(v.dtype == BF16 ? to_bf16(from[i]) : to_f16(from[i])) << (i % 2 * 16);
        *(struct sixteen *)at = all;
    }
}

/* For gradients: set, or added to what is there. */
static __device__ inline void write_gradient(struct view v, int64_t first, int count, const float from[SPAN], bool add)
{
    float sum[SPAN];
    if (add)
        read(sum, v, first, count);
    for (int i = 0; i < SPAN; i++)
        sum[i] = add ? sum[i] + from[i] : from[i];
    write(v, first, count, sum);
}

/* The first complaint stays; numbers in the order of the kind's text. */
template <class... Numbers> static __device__ void complain(struct complaint *c, enum complaint_kind kind, Numbers... numbers)
{
    if (atomicCAS(&c->kind, NO_COMPLAINT, kind) != NO_COMPLAINT)
        return;
    int i = 0;
    ((c->number[i++] = numbers), ...);
}

/* f(row, first column, count) once for every span of a matrix [rows, width]. */
template <class F> __global__ void each_span(F f, int64_t rows, int64_t width)
{
    int64_t spans = (width + SPAN - 1) / SPAN, at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, row = at / spans, first = at % spans * SPAN;
    if (row < rows)
        f(row, first, span_at(first, width));
}

template <class F> enum status for_spans(struct device *device, const struct node *n, int64_t rows, int64_t width, F f)
{
    int64_t spans = rows * ((width + SPAN - 1) / SPAN), blocks = (spans + THREADS - 1) / THREADS;
    if (blocks > 0)
        LAUNCH(device, (unsigned)blocks, THREADS, 0, each_span<F>, f, rows, width);
    return launched(device, n);
}

/* The same over a matrix as one row: elements that know nothing of each other. */
template <class F> enum status for_elements(struct device *device, const struct node *n, const struct tensor *t, F f)
{
    return for_spans(device, n, 1, t->rows * t->cols, f);
}

/* Threads of a block that takes a row: one for each span, in whole warps, as far as there are. */
static inline unsigned row_threads(int64_t width)
{
    const int64_t warps = (width + SPAN * WARP - 1) / (SPAN * WARP);
    return (unsigned)(warps < 1 ? WARP : warps * WARP < THREADS ? warps * WARP : THREADS);
}

/* All values of a block joined, the same bits for all of its threads: in warps by halves, then over warps in order. */
template <class T, class Join> static __device__ T block_join(T value, Join join)
{
    __shared__ T joined[THREADS / WARP];
    for (int half = WARP / 2; half > 0; half /= 2)
        value = join(value, __shfl_xor_sync(0xFFFFFFFFu, value, half));
    if (blockDim.x == WARP)
        return value;
    __syncthreads(); /* what a call before left has been read */
    if (threadIdx.x % WARP == 0)
        joined[threadIdx.x / WARP] = value;
    __syncthreads();
    value = joined[0];
    for (unsigned w = 1; w < blockDim.x / WARP; w++)
        value = join(value, joined[w]);
    return value;
}

template <class T> struct sum_of {
    __device__ T operator()(T a, T b) const
    {
        return a + b;
    }
};

template <class T> static __device__ T block_sum(T value)
{
    return block_join(value, sum_of<T>());
}

/* Sums of columns: a block takes `lanes` spans of them and THREADS / lanes rows at a time. A thread sums its rows in order, then the block over SPAN threads of
 * a column in order, then over those sums. lanes is a power of two, at most MOST_LANES. */
constexpr int MOST_LANES = 4;

template <class F> __global__ void sum_columns(F f, int64_t rows, int64_t cols, int lanes, struct view to, bool add)
{
    __shared__ double sums[SPAN][THREADS + 1], parts[THREADS];
    const int thread = (int)threadIdx.x, lane = thread % lanes, width = lanes * SPAN, column = thread % width, part = thread / width;
    const int64_t begin = (int64_t)blockIdx.x * width, first = begin + lane * SPAN;
    double sum[SPAN] = {}, all = 0;
    for (int64_t r = thread / lanes; first < cols && r < rows; r += THREADS / lanes) {
        float values[SPAN];
        f(values, r, first, span_at(first, cols));
        for (int i = 0; i < SPAN; i++)
            sum[i] += (double)values[i];
    }
    for (int i = 0; i < SPAN; i++)
        sums[i][thread] = sum[i];
    __syncthreads();
    for (int i = 0; i < SPAN; i++)
        all += sums[column % SPAN][(part * SPAN + i) * lanes + column / SPAN];
    parts[thread] = all;
    __syncthreads();
    if (part > 0 || begin + column >= cols)
        return;
    for (int p = 1; p < THREADS / width; p++)
        all += parts[p * width + column];
    write_one(to, begin + column, (float)(add ? (double)read_one(to, begin + column) + all : all));
}

/* to[column] = sum over rows of values, or added; f(values, row, first column, count) makes a span of them, those behind being numbers of any kind. Tall
 * and narrow matrices are cut finer, until there are blocks for most of a GPU. */
template <class F> enum status column_sums(struct device *device, const struct node *n, int64_t rows, int64_t cols, struct view to, bool add, F f)
{
    int lanes = MOST_LANES;
    while (lanes > 1 && rows > THREADS / lanes && cols < 128 * lanes * SPAN)
        lanes /= 2;
    if (cols > 0)
        LAUNCH(device, (unsigned)((cols + lanes * SPAN - 1) / (lanes * SPAN)), THREADS, 0, sum_columns<F>, f, rows, cols, lanes, to, add);
    return launched(device, n);
}

#endif
