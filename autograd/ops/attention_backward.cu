/* attention backward on a GPU: see attention_backward.c and attention.cuh.
 *
 * Two kernels make the same probabilities again: one block owns a tile of rows and their dq, another a tile of keys and their dk and dv, so nothing is shared
 * and every sum has one order. A tile of prefix rows walks through all sequences. rowsum(dy * y) is made where it is needed: it is a small part of a tile's
 * work.
 */
#include "autograd/ops/attention.cuh"

/* Shared memory of a block. */
struct backward_tiles {
    float *q, *dy, *k, *v, *shares, *slopes, *lse, *delta, *parts;
};

static __device__ struct backward_tiles backward_tiles_at(float *shared, int64_t size)
{
    const int64_t tile = TILE * (size + 1), square = TILE * (TILE + 1);
    float *shares = shared + 4 * tile, *slopes = shares + square, *lse = slopes + square, *parts = lse + 2 * TILE;
    return (struct backward_tiles){ shared, shared + tile, shared + 2 * tile, shared + 3 * tile, shares, slopes, lse, lse + TILE, parts };
}

static size_t backward_floats(const struct attention *a)
{
    return (size_t)(4 * TILE * (a->size + 1) + 2 * TILE * (TILE + 1) + 2 * TILE + BLOCK);
}

/* q, dy, lse and rowsum(dy * y) of a tile of rows; ends with a barrier. */
static __device__ void load_tile(const struct backward_tiles &t, const struct attention &a, const struct span &s, int64_t kv_head, const struct outer &o,
                                 int64_t first)
{
    const int each = BLOCK / TILE, line = threadIdx.x / each, part = threadIdx.x % each;
    const int64_t row = first + line;
    const bool there = row < s.queries * a.group;
    const int64_t start = there ? row_start(a, s, kv_head, row) : 0;
    load_rows(t.q, a, s, kv_head, a.input[Q], first);
    load_rows(t.dy, a, s, kv_head, o.dy, first);
    __syncthreads();
    float sum = 0;
    for (int64_t i = part; there && i < a.size; i += each)
        sum += t.dy[line * (a.size + 1) + i] * read_one(o.y, start + i);
    t.parts[threadIdx.x] = sum;
    __syncthreads();
    if (part == 0) {
        float delta = 0;
        for (int i = 0; i < each; i++)
            delta += t.parts[threadIdx.x + i];
        t.delta[line] = delta;
        t.lse[line] = there ? o.lse[start / a.size] : 0;
    }
    __syncthreads();
}

/* shares = p and slopes = ds of a tile of rows and one of keys, 0 where a key is not seen; ends with a barrier. */
static __device__ void make_slopes(const struct backward_tiles &t, const struct attention &a, const struct span &s, int64_t kv_head, int64_t first,
                                   int64_t from, int64_t end)
{
    const int lane = threadIdx.x % WARP, first_row = threadIdx.x / WARP * EACH;
    float scores[EACH], dp[EACH];
    products(scores, t.q + first_row * (a.size + 1), t.k, lane, a.size);
    products(dp, t.dy + first_row * (a.size + 1), t.v, lane, a.size);
    for (int e = 0; e < EACH; e++) {
        const int line = first_row + e;
        const int64_t row = first + line;
        const bool seen = row < s.queries * a.group && from + lane < end && sees(a, position_of(a, s, row), from + lane);
        const float share = seen ? expf(score_of(a, s, kv_head, row, from + lane, scores[e]) - t.lse[line]) : 0;
        t.shares[line * (TILE + 1) + lane] = share;
        t.slopes[line * (TILE + 1) + lane] = seen ? share * (dp[e] - t.delta[line]) * a.scale : 0;
    }
    __syncthreads();
}

static __device__ void write_sums(struct view to, int64_t start, const float *sums, int columns, int lane, int64_t size, bool add)
{
    for (int c = 0; c < columns; c++) {
        const int64_t at = start + lane + WARP * c;
        if (lane + WARP * c < size)
            write_one(to, at, add ? read_one(to, at) + sums[c] : sums[c]);
    }
}

template <int COLUMNS> __global__ void __launch_bounds__(BLOCK) backward_rows(struct attention a, struct outer o, struct view dq, bool add)
{
    SHARED_FLOATS(shared);
    const struct backward_tiles t = backward_tiles_at(shared, a.size);
    const int lane = threadIdx.x % WARP, first_row = threadIdx.x / WARP * EACH;
    struct row_tile r;
    if (!row_tile_of(a, TILE, &r))
        return;
    float sums[EACH][COLUMNS] = {};
    load_tile(t, a, r.span, r.kv_head, o, r.first);
    for (int64_t from = r.from; from < r.end; from += TILE) {
        load_keys(t.k, a, r.span, r.kv_head, K, from, r.end);
        load_keys(t.v, a, r.span, r.kv_head, V, from, r.end);
        __syncthreads();
        make_slopes(t, a, r.span, r.kv_head, r.first, from, r.end);
        add_lines(sums, t.slopes + first_row * (TILE + 1), TILE + 1, 1, t.k, lane, a.size);
        __syncthreads();
    }
    for (int e = 0; e < EACH; e++)
        if (r.first + first_row + e <= r.last)
            write_sums(dq, row_start(a, r.span, r.kv_head, r.first + first_row + e), sums[e], COLUMNS, lane, a.size, add);
}

/* The rows of one sequence that see any of the tile's keys. */
template <int COLUMNS>
static __device__ void add_sequence(const struct backward_tiles &t, const struct attention &a, const struct span &s, const struct key_tile &keys,
                                    const struct outer &o, float (&dk)[EACH][COLUMNS], float (&dv)[EACH][COLUMNS])
{
    const int lane = threadIdx.x % WARP, first_key = threadIdx.x / WARP * EACH;
    const struct row_range rows = rows_that_see(a, s, keys.from, keys.end);
    load_keys(t.k, a, s, keys.kv_head, K, keys.from, keys.end);
    load_keys(t.v, a, s, keys.kv_head, V, keys.from, keys.end);
    for (int64_t row = rows.first; row < rows.end; row += TILE) {
        load_tile(t, a, s, keys.kv_head, o, row);
        make_slopes(t, a, s, keys.kv_head, row, keys.from, keys.end);
        add_lines(dk, t.slopes + first_key, 1, TILE + 1, t.q, lane, a.size);
        add_lines(dv, t.shares + first_key, 1, TILE + 1, t.dy, lane, a.size);
        __syncthreads();
    }
    __syncthreads();
}

template <int COLUMNS> __global__ void __launch_bounds__(BLOCK) backward_keys(struct attention a, struct outer o, struct key_gradients g, int64_t prefix_tiles)
{
    SHARED_FLOATS(shared);
    const struct backward_tiles t = backward_tiles_at(shared, a.size);
    const int lane = threadIdx.x % WARP, first_key = threadIdx.x / WARP * EACH;
    struct key_tile keys;
    if (!key_tile_of(a, TILE, prefix_tiles, &keys))
        return;
    float dk[EACH][COLUMNS] = {}, dv[EACH][COLUMNS] = {};
    for (int64_t i = keys.sequence; i < keys.end_sequence; i++)
        add_sequence(t, a, span_of(a, i), keys, o, dk, dv);
    const struct view to_k = keys.of_prefix ? g.prefix_dk : g.dk, to_v = keys.of_prefix ? g.prefix_dv : g.dv;
    for (int e = 0; e < EACH; e++) {
        const int64_t key = keys.from + first_key + e;
        if (key >= keys.end)
            return;
        const int64_t start = key_start(a, keys, key);
        if (to_k.data)
            write_sums(to_k, start, dk[e], COLUMNS, lane, a.size, keys.of_prefix ? g.add_prefix_k : g.add_k);
        if (to_v.data)
            write_sums(to_v, start, dv[e], COLUMNS, lane, a.size, keys.of_prefix ? g.add_prefix_v : g.add_v);
    }
}

/* Keys and rows of no sequence have gradients of 0, unless somebody wrote them before. */
static enum status clear_gaps(struct device *device, const struct node *n)
{
    for (int input = Q; input <= V; input++)
        if (wants(n, input) && !adds(n, input))
            TRY(clear_bytes(device, n, n->in[input]->grad->data, tensor_bytes(n->in[input]->grad)));
    return OK;
}

enum status attention_backward_cuda(struct device *device, const struct node *n)
{
    const struct attention a = attention_on(device, n);
    const struct outer o = { view_of(n->out[Y]), view_of(n->out[Y]->grad), (const float *)n->out[LSE]->data };
    const struct key_gradients g = { gradient_of(n, K), gradient_of(n, V), gradient_of(n, PREFIX_K), gradient_of(n, PREFIX_V),
                                     adds(n, K),        adds(n, V),        adds(n, PREFIX_K),        adds(n, PREFIX_V) };
    TRY(attention_check_cuda(device, n, &a, true));
    TRY(clear_gaps(device, n));
    if (a.halves)
        return attention_backward_bf16(device, n, &a, &o, &g);
    const unsigned row_tiles = wants(n, Q) ? most_tiles(&a, a.q_rows * a.group, TILE) : 0;
    const unsigned prefix_tiles = prefix_tiles_of(&a, &g, TILE), key_tiles = prefix_tiles + own_tiles_of(&a, &g, TILE);
    if (row_tiles > 0)
        LAUNCH_BY_SIZE(device, row_tiles, a, backward_floats(&a), backward_rows, a, o, gradient_of(n, Q), adds(n, Q));
    if (key_tiles > 0)
        LAUNCH_BY_SIZE(device, key_tiles, a, backward_floats(&a), backward_keys, a, o, g, prefix_tiles);
    return launched(device, n);
}
