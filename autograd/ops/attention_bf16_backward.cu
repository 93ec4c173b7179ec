/* attention backward of bf16 on tensor cores: see attention_bf16.cuh. One kernel makes rowsum(dy * y), one owns tiles of rows and makes dq, one owns tiles of
 * keys and makes dk and dv: in there scores stand with keys as rows, so that they are the left operand of both. All sequences see the prefix: its gradients are
 * made in parts of them (attention_split.h). */
#include "autograd/ops/attention_bf16.cuh"

extern "C" {
#include "autograd/ops/attention_split.h"
}

/* Lanes that share a line. */
constexpr int SHARERS = 8;

__global__ void sum_lines(struct outer o, int64_t lines, int64_t size, float *delta)
{
    const int64_t line = ((int64_t)blockIdx.x * THREADS + threadIdx.x) / SHARERS;
    float sum = 0, values[SPAN], upstream[SPAN];
    for (int64_t at = threadIdx.x % SHARERS * SPAN; line < lines && at < size; at += SHARERS * SPAN) {
        read(values, o.y, line * size + at, span_at(at, size));
        read(upstream, o.dy, line * size + at, span_at(at, size));
        for (int i = 0; i < SPAN; i++)
            sum += values[i] * upstream[i];
    }
    for (int half = SHARERS / 2; half > 0; half /= 2)
        sum += __shfl_xor_sync(0xFFFFFFFFu, sum, half);
    if (line < lines && threadIdx.x % SHARERS == 0)
        delta[line] = sum;
}

/* Of a score and dp: the probability, and the slope of the loss by q k; both 0 where the key is not seen. */
static __device__ inline void make_slope(const struct attention &a, const struct row_facts &r, int key, float &score, float &dp)
{
    const float share = sees_key(a, r, key) ? expf(score_of(a, r, key, score) - r.lse) : 0;
    dp = share * (dp - r.delta) * a.scale;
    score = share;
}

template <int WIDE>
__global__ void __launch_bounds__(BLOCK) backward_rows_bf16(struct attention a, struct outer o, const float *delta, struct view dq, bool add)
{
    constexpr int HEIGHT = ACROSS<WIDE>;
    SHARED_FLOATS(shared);
    struct row_tile t;
    if (!row_tile_of(a, LINES, &t))
        return;
    const int line = threadIdx.x / WARP * SIDE, columns = padded(a.size);
    const struct tile q = tile_at(shared, a.size, 0), dy = tile_at(shared, a.size, LINES);
    const struct row_facts row[2] = { facts_of(a, t.span, t.kv_head, t.first + line + sum_row(0), o.lse, delta),
                                      facts_of(a, t.span, t.kv_head, t.first + line + sum_row(2), o.lse, delta) };
    struct sums result[WIDE / SIDE] = {};
    start_rows(q, LINES, a, t.span, t.kv_head, a.input[Q], t.first);
    start_rows(dy, LINES, a, t.span, t.kv_head, o.dy, t.first);
    start_keys(shared, 2 * LINES, HEIGHT, a, t.span, t.kv_head, t.from, t.end);
    int half = 0;
    for (int64_t from = t.from; from < t.end; from += HEIGHT, half = 1 - half) {
        const int here = 2 * LINES + 2 * HEIGHT * half, next = 2 * LINES + 2 * HEIGHT * (1 - half);
        wait_for_copies();
        __syncthreads(); /* this tile is there, and nobody reads the one before */
        if (from + HEIGHT < t.end)
            start_keys(shared, next, HEIGHT, a, t.span, t.kv_head, from + HEIGHT, t.end);
        if (t.first + line > t.last)
            continue;
        struct sums scores[HEIGHT / SIDE], slopes[HEIGHT / SIDE];
        products(scores, q, line, tile_at(shared, a.size, here), columns);
        products(slopes, dy, line, tile_at(shared, a.size, here + HEIGHT), columns);
        UNROLLED
        for (int at = 0; at < 8 * HEIGHT / SIDE; at++)
            make_slope(a, row[at / 2 % 2], (int)from + at / 8 * SIDE + sum_column(at % 8), scores[at / 8].value[at % 8], slopes[at / 8].value[at % 8]);
        add_lines(result, slopes, tile_at(shared, a.size, here), 0, columns);
    }
    for (int h = 0; h < 2; h++) {
        const int64_t at = t.first + line + sum_row(2 * h);
        if (at <= t.last)
            write_line(dq, line_of(a, t.span, t.kv_head, at) * a.size, 0, a.size, result, h, 1, add);
    }
}

/* Wide heads: two warps share 16 keys, each with half of the columns of dk and dv, which are all that registers hold. */
template <int WIDE> constexpr int SHARES = WIDE <= 128 ? 1 : 2;
template <int WIDE> constexpr int KEYS = LINES / SHARES<WIDE>;
template <int WIDE> constexpr int FRAGMENTS = WIDE / SIDE / SHARES<WIDE>; /* of columns, for a warp */

/* Shared memory of a block: keys, values, then two halves of rows of q and dy, then facts of their rows. */
template <int WIDE> static __host__ __device__ constexpr int lines_of_keys(void)
{
    return 2 * KEYS<WIDE> + 4 * ACROSS<WIDE>;
}

template <int WIDE> static size_t key_bytes(const struct attention *a)
{
    return bytes_of_lines(a, lines_of_keys<WIDE>()) + 2 * ACROSS<WIDE> * sizeof(struct row_facts);
}

/* Rows from `row` on, into one half. */
template <int WIDE>
static __device__ inline void start_half(float *shared, int half, const struct attention &a, const struct span &s, int64_t kv_head, const struct outer &o,
                                         const float *delta, int64_t row)
{
    constexpr int HEIGHT = ACROSS<WIDE>;
    const int before = 2 * KEYS<WIDE> + 2 * HEIGHT * half;
    struct row_facts *facts = (struct row_facts *)tile_at(shared, a.size, lines_of_keys<WIDE>()).data + HEIGHT * half;
    start_rows(tile_at(shared, a.size, before), HEIGHT, a, s, kv_head, a.input[Q], row);
    start_rows(tile_at(shared, a.size, before + HEIGHT), HEIGHT, a, s, kv_head, o.dy, row);
    if (threadIdx.x < HEIGHT)
        facts[threadIdx.x] = facts_of(a, s, kv_head, row + threadIdx.x, o.lse, delta);
}

template <int WIDE>
static __device__ inline void add_sequence(float *shared, const struct attention &a, const struct span &s, const struct key_tile &t, const struct outer &o,
                                           const float *delta, struct sums (&dk)[FRAGMENTS<WIDE>], struct sums (&dv)[FRAGMENTS<WIDE>])
{
    constexpr int HEIGHT = ACROSS<WIDE>, GROUPS = KEYS<WIDE> / SIDE;
    const int warp = threadIdx.x / WARP, line = warp % GROUPS * SIDE, first = warp / GROUPS * FRAGMENTS<WIDE> * SIDE, columns = padded(a.size);
    const struct row_range rows = rows_that_see(a, s, t.from, t.end);
    int half = 0;
    if (rows.first < rows.end)
        start_half<WIDE>(shared, half, a, s, t.kv_head, o, delta, rows.first);
    for (int64_t row = rows.first; row < rows.end; row += HEIGHT, half = 1 - half) {
        const int here = 2 * KEYS<WIDE> + 2 * HEIGHT * half;
        const struct row_facts *facts = (const struct row_facts *)tile_at(shared, a.size, lines_of_keys<WIDE>()).data + HEIGHT * half;
        wait_for_copies();
        __syncthreads(); /* these rows are there, and nobody reads those before */
        if (row + HEIGHT < rows.end)
            start_half<WIDE>(shared, 1 - half, a, s, t.kv_head, o, delta, row + HEIGHT);
        if (t.from + line >= t.end)
            continue;
        struct sums scores[HEIGHT / SIDE], slopes[HEIGHT / SIDE];
        products(scores, tile_at(shared, a.size, 0), line, tile_at(shared, a.size, here), columns);
        products(slopes, tile_at(shared, a.size, KEYS<WIDE>), line, tile_at(shared, a.size, here + HEIGHT), columns);
        UNROLLED
        for (int at = 0; at < 8 * HEIGHT / SIDE; at++)
            make_slope(a, facts[at / 8 * SIDE + sum_column(at % 8)], (int)t.from + line + sum_row(at % 8), scores[at / 8].value[at % 8],
                       slopes[at / 8].value[at % 8]);
        add_lines(dv, scores, tile_at(shared, a.size, here + HEIGHT), first, columns);
        add_lines(dk, slopes, tile_at(shared, a.size, here), first, columns);
    }
    __syncthreads();
}

/* The sequences of this block's part of them. */
static __device__ inline void take_sequences(struct key_tile *t)
{
    const int64_t parts = gridDim.z, each = (t->end_sequence - t->sequence + parts - 1) / parts;
    t->sequence += blockIdx.z * each;
    t->end_sequence = t->sequence + each < t->end_sequence ? t->sequence + each : t->end_sequence;
}

/* Parts of sequences stand behind each other. */
template <int WIDTH>
static __device__ inline void write_keys(struct view to, const struct attention &a, const struct key_tile &t, int line, int first,
                                         const struct sums (&from)[WIDTH], bool add)
{
    const int64_t before = blockIdx.z * a.prefix * a.kv_heads * a.size;
    for (int h = 0; to.data && h < 2; h++) {
        const int64_t key = t.from + line + sum_row(2 * h);
        if (key < t.end)
            write_line(to, before + key_start(a, t, key), first, a.size, from, h, 1, add);
    }
}

template <int WIDE>
__global__ void __launch_bounds__(BLOCK)
    backward_keys_bf16(struct attention a, struct outer o, const float *delta, struct key_gradients g, int64_t prefix_tiles)
{
    constexpr int GROUPS = KEYS<WIDE> / SIDE;
    SHARED_FLOATS(shared);
    struct key_tile t;
    if (!key_tile_of(a, KEYS<WIDE>, prefix_tiles, &t))
        return;
    take_sequences(&t);
    const int warp = threadIdx.x / WARP, line = warp % GROUPS * SIDE, first = warp / GROUPS * FRAGMENTS<WIDE> * SIDE;
    struct sums dk[FRAGMENTS<WIDE>] = {}, dv[FRAGMENTS<WIDE>] = {
    };
    const struct span own = t.of_prefix ? (struct span){ 0, 0, 0, 0 } : span_of(a, t.sequence);
    start_keys(shared, 0, KEYS<WIDE>, a, own, t.kv_head, t.from, t.end);
    for (int64_t i = t.sequence; i < t.end_sequence; i++)
        add_sequence<WIDE>(shared, a, span_of(a, i), t, o, delta, dk, dv);
    write_keys(t.of_prefix ? g.prefix_dk : g.dk, a, t, line, first, dk, t.of_prefix ? g.add_prefix_k : g.add_k);
    write_keys(t.of_prefix ? g.prefix_dv : g.dv, a, t, line, first, dv, t.of_prefix ? g.add_prefix_v : g.add_v);
}

template <int WIDE> static size_t row_bytes(const struct attention *a)
{
    return bytes_of_lines(a, 2 * LINES + 4 * ACROSS<WIDE>);
}

/* The gradient of the prefix, of all parts in order. */
struct joined_sums {
    struct view parts, to;
    int64_t part_count, part_floats;
    bool add;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float sum[SPAN] = {}, some[SPAN];
        for (int64_t i = 0; i < part_count; i++) {
            read(some, parts, i * part_floats + at, count);
            for (int j = 0; j < SPAN; j++)
                sum[j] += some[j];
        }
        write_gradient(to, at, count, sum, add);
    }
};

static enum status prefix_gradients(struct device *device, const struct node *n, const struct attention &a, const struct outer &o, const float *delta,
                                    const struct key_gradients &wanted, int height)
{
    const unsigned tiles = prefix_tiles_of(&a, &wanted, height);
    const int64_t parts = prefix_parts(a.sequences), each = a.prefix * a.kv_heads * a.size;
    float *const room = (float *)n->scratch + delta_floats(a.q_rows, a.heads);
    const struct view dk = { wanted.prefix_dk.data ? room : NULL, F32 }, dv = { wanted.prefix_dv.data ? room + parts * each : NULL, F32 }, none = { NULL, F32 };
    const struct key_gradients g = { none, none, dk, dv, false, false, false, false };
    if (tiles == 0)
        return launched(device, n);
    LAUNCH_BY_WIDTH(device, dim3(tiles, (unsigned)a.kv_heads, (unsigned)parts), a, key_bytes, backward_keys_bf16, a, o, delta, g, tiles);
    if (dk.data) {
        const struct joined_sums f = { dk, wanted.prefix_dk, parts, each, wanted.add_prefix_k };
        TRY(for_elements(device, n, n->in[PREFIX_K]->grad, f));
    }
    if (!dv.data)
        return launched(device, n);
    const struct joined_sums f = { dv, wanted.prefix_dv, parts, each, wanted.add_prefix_v };
    return for_elements(device, n, n->in[PREFIX_V]->grad, f);
}

enum status attention_backward_bf16(struct device *device, const struct node *n, const struct attention *on, const struct outer *outer,
                                    const struct key_gradients *gradients)
{
    const struct attention a = *on;
    const struct outer o = *outer;
    const struct key_gradients g = *gradients;
    float *delta = (float *)n->scratch;
    const int64_t lines = a.q_rows * a.heads;
    if (lines > 0)
        LAUNCH(device, (unsigned)((lines * SHARERS + THREADS - 1) / THREADS), THREADS, 0, sum_lines, o, lines, a.size, delta);
    const unsigned row_tiles = wants(n, Q) ? most_tiles(&a, a.q_rows * a.group, LINES) : 0, heads = (unsigned)a.kv_heads;
    if (row_tiles > 0)
        LAUNCH_BY_WIDTH(device, dim3(row_tiles, heads), a, row_bytes, backward_rows_bf16, a, o, delta, gradient_of(n, Q), adds(n, Q));
    const int height = a.size <= 128 ? KEYS<128> : KEYS<256>;
    const unsigned key_tiles = own_tiles_of(&a, &g, height);
    if (key_tiles > 0)
        LAUNCH_BY_WIDTH(device, dim3(key_tiles, heads), a, key_bytes, backward_keys_bf16, a, o, delta, g, 0);
    return prefix_gradients(device, n, a, o, delta, g, height);
}
