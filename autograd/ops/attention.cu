/* attention forward on a GPU, and the check of spans: see attention.c and attention.cuh. A block takes a tile of rows through all keys they see, with a running
 * maximum and sum. */
#include "autograd/ops/attention.cuh"

__global__ void check_spans(struct attention a, bool ordered_keys)
{
    int64_t q_end = 0, k_end = 0;
    for (int64_t i = 0; i < a.sequences; i++) {
        const struct span s = span_of(a, i);
        const bool inside = s.q >= q_end && s.queries >= 0 && s.queries <= a.q_rows - s.q && s.k >= 0 && s.keys >= s.queries && s.keys <= a.k_rows - s.k;
        if (!inside || (ordered_keys && s.k < k_end)) {
            complain(a.complaint, ATTENTION_SPAN, i, s.queries, s.q, s.keys, s.k, a.q_rows, a.k_rows);
            return;
        }
        q_end = s.q + s.queries;
        k_end = s.k + s.keys;
    }
}

enum status attention_check_cuda(struct device *device, const struct node *n, const struct attention *a, bool ordered_keys)
{
    if (a->size > MOST_COLUMNS)
        return fail_with(device->err, NO_DEVICE, "attention: heads of %lld columns; on GPUs they have at most %d", "use --device cpu", (long long)a->size,
                         MOST_COLUMNS);
    LAUNCH(device, 1u, 1, 0, check_spans, *a, ordered_keys);
    return launched(device, n);
}

/* Shared memory of a block. */
struct forward_tiles {
    float *q, *k, *v, *scores, *largest, *sum, *shrink;
};

static __device__ struct forward_tiles forward_tiles_at(float *shared, int64_t size)
{
    const int64_t tile = TILE * (size + 1);
    float *scores = shared + 3 * tile, *largest = scores + TILE * (TILE + 1);
    return (struct forward_tiles){ shared, shared + tile, shared + 2 * tile, scores, largest, largest + TILE, largest + 2 * TILE };
}

static size_t forward_floats(const struct attention *a)
{
    return (size_t)(3 * TILE * (a->size + 1) + TILE * (TILE + 1) + 3 * TILE);
}

/* Scores of a tile of keys become exp(score - largest), with the largest so far; thread r < TILE keeps row r's. */
static __device__ void soften(const struct forward_tiles &t, int first_row, int key)
{
    const int row = threadIdx.x;
    if (row < TILE) {
        const float before = t.largest[row];
        float top = before;
        for (int j = 0; j < TILE; j++)
            top = fmaxf(top, t.scores[row * (TILE + 1) + j]);
        t.largest[row] = top;
        t.shrink[row] = top == -INFINITY ? 1 : expf(before - top); /* a row that has seen no key yet */
    }
    __syncthreads();
    for (int e = 0; e < EACH; e++) {
        const float top = t.largest[first_row + e];
        float *score = t.scores + (first_row + e) * (TILE + 1) + key;
        *score = top == -INFINITY ? 0 : expf(*score - top);
    }
    __syncthreads();
    if (row < TILE) {
        float sum = t.sum[row] * t.shrink[row];
        for (int j = 0; j < TILE; j++)
            sum += t.scores[row * (TILE + 1) + j];
        t.sum[row] = sum;
    }
}

template <int COLUMNS> __global__ void __launch_bounds__(BLOCK) forward_rows(struct attention a, struct view y, float *lse)
{
    SHARED_FLOATS(shared);
    const struct forward_tiles t = forward_tiles_at(shared, a.size);
    const int lane = threadIdx.x % WARP, first_row = threadIdx.x / WARP * EACH;
    struct row_tile r;
    if (!row_tile_of(a, TILE, &r))
        return;
    const struct span s = r.span;
    float result[EACH][COLUMNS] = {};
    load_rows(t.q, a, s, r.kv_head, a.input[Q], r.first);
    if (threadIdx.x < TILE) {
        t.largest[threadIdx.x] = -INFINITY;
        t.sum[threadIdx.x] = 0;
    }
    for (int64_t from = r.from; from < r.end; from += TILE) {
        float scores[EACH];
        load_keys(t.k, a, s, r.kv_head, K, from, r.end);
        load_keys(t.v, a, s, r.kv_head, V, from, r.end);
        __syncthreads();
        products(scores, t.q + first_row * (a.size + 1), t.k, lane, a.size);
        for (int e = 0; e < EACH; e++) {
            const int64_t row = r.first + first_row + e;
            const bool seen_here = row <= r.last && sees(a, position_of(a, s, row), from + lane);
            t.scores[(first_row + e) * (TILE + 1) + lane] = seen_here ? score_of(a, s, r.kv_head, row, from + lane, scores[e]) : -INFINITY;
        }
        __syncthreads();
        soften(t, first_row, lane);
        for (int e = 0; e < EACH; e++)
            for (int c = 0; c < COLUMNS; c++)
                result[e][c] *= t.shrink[first_row + e];
        add_lines(result, t.scores + first_row * (TILE + 1), TILE + 1, 1, t.v, lane, a.size);
        __syncthreads();
    }
    for (int e = 0; e < EACH; e++) {
        const int64_t row = r.first + first_row + e, start = row <= r.last ? row_start(a, s, r.kv_head, row) : 0;
        for (int c = 0; c < COLUMNS; c++)
            if (row <= r.last && lane + WARP * c < a.size)
                write_one(y, start + lane + WARP * c, result[e][c] / t.sum[first_row + e]);
        if (row <= r.last && lane == 0)
            lse[start / a.size] = t.largest[first_row + e] + logf(t.sum[first_row + e]);
    }
}

enum status attention_forward_cuda(struct device *device, const struct node *n)
{
    const struct attention a = attention_on(device, n);
    const struct tensor *y = n->out[Y];
    TRY(attention_check_cuda(device, n, &a, false));
    if (a.halves)
        return attention_forward_bf16(device, n, &a);
    TRY(clear_bytes(device, n, y->data, tensor_bytes(y))); /* rows of no sequence stay 0 */
    TRY(clear_bytes(device, n, n->out[LSE]->data, tensor_bytes(n->out[LSE])));
    const unsigned tiles = most_tiles(&a, a.q_rows * a.group, TILE);
    if (tiles > 0)
        LAUNCH_BY_SIZE(device, tiles, a, forward_floats(&a), forward_rows, a, view_of(y), (float *)n->out[LSE]->data);
    return launched(device, n);
}
