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

/* What backward reads beside attention's inputs. */
struct outer {
    struct view y, dy;
    const float *lse;
};

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
    const int64_t kv_head = blockIdx.y;
    if (a.complaint->kind != NO_COMPLAINT)
        return;
    const struct place place = place_of(a, blockIdx.x, false);
    if (place.sequence < 0)
        return;
    const struct span s = span_of(a, place.sequence);
    const int64_t rows = s.queries * a.group, last = place.first + TILE < rows ? place.first + TILE - 1 : rows - 1;
    const int64_t seen = position_of(a, s, place.first) - a.window + 1, end = position_of(a, s, last) + 1;
    float sums[EACH][COLUMNS] = {};
    load_tile(t, a, s, kv_head, o, place.first);
    for (int64_t from = seen > 0 ? seen : 0; from < end; from += TILE) {
        load_keys(t.k, a, s, kv_head, K, from, end);
        load_keys(t.v, a, s, kv_head, V, from, end);
        __syncthreads();
        make_slopes(t, a, s, kv_head, place.first, from, end);
        add_lines(sums, t.slopes + first_row * (TILE + 1), TILE + 1, 1, t.k, lane, a.size);
        __syncthreads();
    }
    for (int e = 0; e < EACH; e++)
        if (place.first + first_row + e <= last)
            write_sums(dq, row_start(a, s, kv_head, place.first + first_row + e), sums[e], COLUMNS, lane, a.size, add);
}

/* Gradients of keys and of values, own or of the prefix; data NULL: not wanted. */
struct key_gradients {
    struct view dk, dv, prefix_dk, prefix_dv;
    bool add_k, add_v, add_prefix_k, add_prefix_v;
    int64_t prefix_tiles; /* that come first in the grid */
};

/* The rows of one sequence that see any of the keys [from, end). */
template <int COLUMNS>
static __device__ void add_sequence(const struct backward_tiles &t, const struct attention &a, const struct span &s, int64_t kv_head, const struct outer &o,
                                    int64_t from, int64_t end, float (&dk)[EACH][COLUMNS], float (&dv)[EACH][COLUMNS])
{
    const int lane = threadIdx.x % WARP, first_key = threadIdx.x / WARP * EACH;
    const int64_t begin = a.prefix + s.keys - s.queries, first = from > begin ? from - begin : 0, behind = end - 1 + a.window - begin;
    const int64_t rows = (behind < s.queries ? behind : s.queries) * a.group;
    load_keys(t.k, a, s, kv_head, K, from, end);
    load_keys(t.v, a, s, kv_head, V, from, end);
    for (int64_t row = first * a.group / TILE * TILE; row < rows; row += TILE) {
        load_tile(t, a, s, kv_head, o, row);
        make_slopes(t, a, s, kv_head, row, from, end);
        add_lines(dk, t.slopes + first_key, 1, TILE + 1, t.q, lane, a.size);
        add_lines(dv, t.shares + first_key, 1, TILE + 1, t.dy, lane, a.size);
        __syncthreads();
    }
    __syncthreads();
}

template <int COLUMNS> __global__ void __launch_bounds__(BLOCK) backward_keys(struct attention a, struct outer o, struct key_gradients g)
{
    SHARED_FLOATS(shared);
    const struct backward_tiles t = backward_tiles_at(shared, a.size);
    const int lane = threadIdx.x % WARP, first_key = threadIdx.x / WARP * EACH;
    const int64_t kv_head = blockIdx.y, tile = blockIdx.x;
    const bool of_prefix = tile < g.prefix_tiles;
    if (a.complaint->kind != NO_COMPLAINT)
        return;
    const struct place place = of_prefix ? (struct place){ 0, tile * TILE } : place_of(a, tile - g.prefix_tiles, true);
    if (place.sequence < 0)
        return;
    const int64_t keys = of_prefix ? a.prefix : span_of(a, place.sequence).keys, shift = of_prefix ? 0 : a.prefix;
    const int64_t from = shift + place.first, end = shift + (place.first + TILE < keys ? place.first + TILE : keys);
    float dk[EACH][COLUMNS] = {}, dv[EACH][COLUMNS] = {};
    for (int64_t i = place.sequence; i < (of_prefix ? a.sequences : place.sequence + 1); i++)
        add_sequence(t, a, span_of(a, i), kv_head, o, from, end, dk, dv);
    const struct view to_k = of_prefix ? g.prefix_dk : g.dk, to_v = of_prefix ? g.prefix_dv : g.dv;
    for (int e = 0; e < EACH; e++) {
        const int64_t key = from + first_key + e;
        if (key >= end)
            return;
        const int64_t row = of_prefix ? key : span_of(a, place.sequence).k + key - a.prefix, start = (row * a.kv_heads + kv_head) * a.size;
        if (to_k.data)
            write_sums(to_k, start, dk[e], COLUMNS, lane, a.size, of_prefix ? g.add_prefix_k : g.add_k);
        if (to_v.data)
            write_sums(to_v, start, dv[e], COLUMNS, lane, a.size, of_prefix ? g.add_prefix_v : g.add_v);
    }
}

static struct view gradient_of(const struct node *n, int input)
{
    return view_of(wants(n, input) ? n->in[input]->grad : NULL);
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
    const bool own = wants(n, K) || wants(n, V), prefix = wants(n, PREFIX_K) || wants(n, PREFIX_V);
    const struct key_gradients g = { gradient_of(n, K),        gradient_of(n, V), gradient_of(n, PREFIX_K),
                                     gradient_of(n, PREFIX_V), adds(n, K),        adds(n, V),
                                     adds(n, PREFIX_K),        adds(n, PREFIX_V), prefix ? (a.prefix + TILE - 1) / TILE : 0 };
    TRY(attention_check_cuda(device, n, &a, true));
    TRY(clear_gaps(device, n));
    const unsigned row_tiles = most_tiles(&a, a.q_rows * a.group), key_tiles = (unsigned)g.prefix_tiles + (own ? most_tiles(&a, a.k_rows) : 0);
    if (wants(n, Q) && row_tiles > 0)
        LAUNCH_BY_SIZE(device, row_tiles, a, backward_floats(&a), backward_rows, a, o, gradient_of(n, Q), adds(n, Q));
    if (key_tiles > 0)
        LAUNCH_BY_SIZE(device, key_tiles, a, backward_floats(&a), backward_keys, a, o, g);
    return launched(device, n);
}
