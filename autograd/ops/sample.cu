/* sample on a GPU: see sample.c and sample.h. A block takes a row; a digit has four bits here, and every thread sums into bins of its own. */
#include "autograd/cuda/kernel.cuh"

extern "C" {
#include "autograd/ops/sample.h"
#include "common/random.h"
}

enum { LOGITS, DRAWS, SEEN };
enum { ID };
constexpr int DIGIT_BITS = 4, BINS = 1 << DIGIT_BITS;

struct rows_to_sample {
    const float *logits;
    int64_t vocab, most; /* most: ids seen */
    const int32_t *draws, *seen;
    struct sampling rules;
    uint64_t stream;
    float *penalized; /* where seen is not NULL */
    int32_t *id;
};

struct row {
    const float *logits;
    int64_t vocab;
    double temperature;
    float largest;
    uint64_t least;
};

struct larger {
    __device__ uint64_t operator()(uint64_t a, uint64_t b) const
    {
        return a > b ? a : b;
    }
};

/* What an item counts, if it counts. */
static __device__ uint64_t counted(const struct row &r, bool weights, int64_t j, uint64_t key)
{
    return key < r.least ? 0 : weights ? weight_of(r.logits[j], r.largest, r.temperature) : 1;
}

/* sum[digit] of what the threads have in their bins. */
static __device__ void join_bins(const uint64_t *bins, uint64_t *sum)
{
    const int lane = threadIdx.x % WARP;
    __syncthreads();
    for (int digit = threadIdx.x / WARP; digit < BINS; digit += THREADS / WARP) {
        uint64_t all = 0;
        for (int t = lane; t < THREADS; t += WARP)
            all += bins[digit * THREADS + t];
        for (int half = WARP / 2; half > 0; half /= 2)
            all += __shfl_xor_sync(0xFFFFFFFFu, all, half);
        if (lane == 0)
            sum[digit] = all;
    }
    __syncthreads();
}

struct found {
    uint64_t key, sum;
};

static __device__ struct found find(const struct row &r, bool weights, uint64_t goal)
{
    __shared__ uint64_t bins[BINS * THREADS], sum[BINS];
    uint64_t above = 0, prefix = 0;
    for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        for (int digit = 0; digit < BINS; digit++)
            bins[digit * THREADS + threadIdx.x] = 0;
        for (int64_t j = threadIdx.x; j < r.vocab; j += THREADS) {
            const uint64_t key = key_of(r.logits[j], j);
            if (key >> shift >> DIGIT_BITS == prefix)
                bins[(key >> shift & (BINS - 1)) * THREADS + threadIdx.x] += counted(r, weights, j, key);
        }
        join_bins(bins, sum);
        uint64_t digit = BINS - 1;
        for (; above + sum[digit] < goal; digit--)
            above += sum[digit];
        prefix = prefix << DIGIT_BITS | digit;
        if (shift == 0)
            above += sum[digit];
    }
    return { prefix, above };
}

/* The row's logits as they are sampled from. */
static __device__ const float *prepared(const struct rows_to_sample &s, int64_t row)
{
    const float *logits = s.logits + row * s.vocab;
    if (!s.seen)
        return logits;
    float *to = s.penalized + row * s.vocab;
    const int32_t *seen = s.seen + row * s.most;
    for (int64_t j = threadIdx.x; j < s.vocab; j += THREADS)
        to[j] = logits[j];
    __syncthreads();
    for (int64_t i = threadIdx.x; i < s.most && seen[i] >= 0; i += THREADS) /* behind the last there are negative ones only */
        if (seen[i] < s.vocab)
            to[seen[i]] = penalized(logits[seen[i]], s.rules.repetition_penalty);
    __syncthreads();
    return to;
}

static __device__ int32_t drawn(const struct rows_to_sample &s, struct row r, const int32_t *draw)
{
    if (s.rules.top_k && s.rules.top_k < r.vocab)
        r.least = find(r, false, (uint64_t)s.rules.top_k).key;
    uint64_t kept = 0;
    for (int64_t j = threadIdx.x; j < r.vocab; j += THREADS)
        kept += counted(r, true, j, key_of(r.logits[j], j));
    kept = block_sum(kept);
    if (s.rules.top_p < 1)
        kept = find(r, true, weight_of_share(kept, s.rules.top_p)).sum;
    const uint32_t bits = random_bits(s.rules.seed, s.stream ^ (uint64_t)draw[0], (uint64_t)draw[1]) >> 8;
    return place_of_key(find(r, true, weight_drawn(kept, bits)).key);
}

__global__ void sample_rows(struct rows_to_sample s)
{
    const int64_t row = blockIdx.x;
    const float *logits = prepared(s, row);
    uint64_t best = 0;
    for (int64_t j = threadIdx.x; j < s.vocab; j += THREADS)
        best = larger()(best, key_of(logits[j], j));
    best = block_join(best, larger());
    const int32_t first = place_of_key(best);
    const float largest = logits[first];
    int32_t id = first;
    if (largest != largest)
        id = -1 - first;
    else if (s.rules.temperature != 0)
        id = drawn(s, { logits, s.vocab, s.rules.temperature, largest, 0 }, s.draws + 2 * row);
    if (threadIdx.x == 0)
        s.id[row] = id;
}

enum status sample_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *logits = n->in[LOGITS], *seen = n->in[SEEN];
    const struct rows_to_sample s = { (const float *)logits->data,
                                      logits->cols,
                                      seen ? seen->cols : 0,
                                      (const int32_t *)n->in[DRAWS]->data,
                                      seen ? (const int32_t *)seen->data : NULL,
                                      n->params.sample.rules,
                                      n->params.sample.stream,
                                      (float *)n->scratch,
                                      (int32_t *)n->out[ID]->data };
    if (logits->rows > 0)
        LAUNCH(device, (unsigned)logits->rows, THREADS, 0, sample_rows, s);
    return launched(device, n);
}
