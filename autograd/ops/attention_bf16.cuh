/* What attention of bf16 on tensor cores shares: see attention.cuh for tiles and positions, and attention.c for what is computed.
 *
 * A block of four warps owns a tile of lines, each warp 16 of them, and walks through tiles of the lines they meet; while one such tile is worked on, the next
 * is on its way into the other half of a double buffer. Heads are padded with zeros to whole fragments in shared memory. Scores, and sums of any kind, are f32
 * in the registers of the warp that owns the lines; probabilities and their slopes become bf16 where they are multiplied, in place. So nothing is shared
 * between blocks, or between warps but what they read, and every sum has one order.
 *
 * Source: Dao 2023, "FlashAttention-2", sections 3.1 and 3.2.
 */
#ifndef GRAFT_AUTOGRAD_OPS_ATTENTION_BF16_CUH
#define GRAFT_AUTOGRAD_OPS_ATTENTION_BF16_CUH

#include "autograd/cuda/fragments.cuh"
#include "autograd/ops/attention.cuh"

constexpr int LINES = BLOCK / WARP * SIDE; /* lines of a block */

/* Lines of the tiles that a block walks through, for heads of up to WIDE columns: with them no block needs more than 99 KB of shared memory. */
template <int WIDE> constexpr int ACROSS = WIDE <= 128 ? 2 * SIDE : SIDE;

static __host__ __device__ inline int padded(int64_t size)
{
    return (int)(size + SIDE - 1) / SIDE * SIDE;
}

static __host__ __device__ inline int stride_of(int64_t size)
{
    return padded(size) + 8;
}

static inline size_t bytes_of_lines(const struct attention *a, int lines)
{
    return (size_t)(lines * stride_of(a->size)) * sizeof(uint16_t);
}

/* A row, as far as scores need it. */
struct row_facts {
    float lse, delta, slope; /* delta: rowsum(dy * y) */
    int position;            /* -1: there is no such row, it sees nothing */
};

/* Which (query, head) of the batch a row is. */
static __device__ inline int64_t line_of(const struct attention &a, const struct span &s, int64_t kv_head, int64_t row)
{
    const uint32_t query = (uint32_t)row / (uint32_t)a.group, head = (uint32_t)row % (uint32_t)a.group;
    return (s.q + query) * a.heads + kv_head * a.group + head;
}

/* lse and delta are of all lines, or NULL. */
static __device__ inline struct row_facts facts_of(const struct attention &a, const struct span &s, int64_t kv_head, int64_t row, const float *lse,
                                                   const float *delta)
{
    if (row >= s.queries * a.group)
        return (struct row_facts){ 0, 0, 0, -1 };
    const int64_t line = line_of(a, s, kv_head, row), head = kv_head * a.group + (uint32_t)row % (uint32_t)a.group;
    const float slope = a.slopes ? a.slopes[head] * (a.scaled_slopes && !a.coarse ? a.scale : 1) : 0;
    return (struct row_facts){ lse ? lse[line] : 0, delta ? delta[line] : 0, slope, (int)position_of(a, s, (uint32_t)row) };
}

static __device__ inline bool sees_key(const struct attention &a, const struct row_facts &r, int key)
{
    return key <= r.position && r.position - key < a.window;
}

/* The scaled score of a row and a key, of their product. */
static __device__ inline float score_of(const struct attention &a, const struct row_facts &r, int key, float product)
{
    if (!a.slopes)
        return product * a.scale;
    if (a.coarse)
        return (product + from_bf16(to_bf16(r.slope * (float)key))) * a.scale;
    return product * a.scale + r.slope * (float)(key - r.position);
}

/* SPAN columns of a line on their way into a tile; start < 0: there is no such line, it is 0. */
static __device__ inline void start_span(const struct tile &t, int line, int first, struct view from, int64_t start, int size)
{
    uint16_t *to = t.data + line * t.stride + first;
    const int count = start < 0 || first >= size ? 0 : span_at(first, size);
    if (count > 0 && is_whole((const uint16_t *)from.data + start + first, count)) {
        copy_soon(to, (const uint16_t *)from.data + start + first);
        return;
    }
    float values[SPAN] = {};
    struct sixteen all;
    if (count > 0)
        read(values, from, start + first, count);
    UNROLLED
    for (int i = 0; i < 4; i++)
        all.word[i] = pair_of(values[2 * i], values[2 * i + 1]);
    *(struct sixteen *)to = all;
}

/* Rows [first, first + height) of a tensor like q. */
static __device__ inline void start_rows(const struct tile &t, int height, const struct attention &a, const struct span &s, int64_t kv_head, struct view from,
                                         int64_t first)
{
    const int spans = padded(a.size) / SPAN;
    for (int e = threadIdx.x; e < height * spans; e += BLOCK) {
        const int64_t row = first + e / spans;
        start_span(t, e / spans, e % spans * SPAN, from, row < s.queries * a.group ? line_of(a, s, kv_head, row) * a.size : -1, (int)a.size);
    }
}

/* The tile behind so many lines of others. */
static __device__ inline struct tile tile_at(float *shared, int64_t size, int lines_before)
{
    return (struct tile){ (uint16_t *)shared + lines_before * stride_of(size), stride_of(size) };
}

/* Keys at positions [from, end), at most `height`, into the tile behind so many lines, and their values into the one behind it. */
static __device__ inline void start_keys(float *shared, int lines_before, int height, const struct attention &a, const struct span &s, int64_t kv_head,
                                         int64_t from, int64_t end)
{
    const int spans = padded(a.size) / SPAN;
    UNROLLED
    for (int values = 0; values < 2; values++) {
        const struct tile t = tile_at(shared, a.size, lines_before + values * height);
        for (int e = threadIdx.x; e < height * spans; e += BLOCK) {
            const int64_t key = from + e / spans;
            const bool of_prefix = key < a.prefix;
            const int64_t row = of_prefix ? key : s.k + key - a.prefix;
            start_span(t, e / spans, e % spans * SPAN, a.input[(of_prefix ? PREFIX_K : K) + values], key < end ? (row * a.kv_heads + kv_head) * a.size : -1,
                       (int)a.size);
        }
    }
}

/* Products of lines [line, line + 16) of a tile with all of another: to[b] is of its lines from 16 b on. */
template <int COUNT> static __device__ inline void products(struct sums (&to)[COUNT], const struct tile &own, int line, const struct tile &other, int columns)
{
    UNROLLED
    for (int b = 0; b < COUNT; b++)
        to[b] = (struct sums){};
    for (int column = 0; column < columns; column += SIDE) {
        const struct fragment left = left_of(own, line, column);
        UNROLLED
        for (int b = 0; b < COUNT; b++)
            add_product(to[b], left, turned_right_of(other, SIDE * b, column));
    }
}

/* to[c] += sum over the lines of a tile, weights * its columns from `first` + 16 c on. */
template <int WIDTH, int COUNT>
static __device__ inline void add_lines(struct sums (&to)[WIDTH], const struct sums (&weights)[COUNT], const struct tile &lines, int first, int columns)
{
    UNROLLED
    for (int b = 0; b < COUNT; b++) {
        const struct fragment left = left_of(weights[b]);
        UNROLLED
        for (int c = 0; c < WIDTH; c++)
            if (first + SIDE * c < columns)
                add_product(to[c], left, right_of(lines, SIDE * b, first + SIDE * c));
    }
}

/* Two neighbours, as far as a line goes on, set or added. */
static __device__ inline void write_pair(struct view to, int64_t start, int column, int64_t size, float low, float high, bool add)
{
    const int64_t at = start + column;
    const bool both = column + 1 < size;
    if (column >= size)
        return;
    if (add) {
        low += read_one(to, at);
        high += both ? read_one(to, at + 1) : 0;
    }
    if (both && at % 2 == 0 && to.dtype == BF16) {
        ((uint32_t *)to.data)[at / 2] = pair_of(low, high);
        return;
    }
    write_one(to, at, low);
    if (both)
        write_one(to, at + 1, high);
}

/* This lane's part of line sum_row(2 h) of sums, times `by`, set or added from column `first` on. */
template <int WIDTH>
static __device__ inline void write_line(struct view to, int64_t start, int first, int64_t size, const struct sums (&from)[WIDTH], int h, float by, bool add)
{
    UNROLLED
    for (int at = 0; at < 2 * WIDTH; at++) {
        const float *value = from[at / 2].value + at % 2 * 4;
        write_pair(to, start, first + at / 2 * SIDE + sum_column(at % 2 * 4), size, (h ? value[2] : value[0]) * by, (h ? value[3] : value[1]) * by, add);
    }
}

/* Kernels are made for 64, 128 and 256 columns. */
#define LAUNCH_BY_WIDTH(device, grid, a, bytes, kernel, ...)                                                                                                   \
    do {                                                                                                                                                       \
        if ((a).size <= 64)                                                                                                                                    \
            LAUNCH_WIDE(device, grid, bytes<64>(&(a)), kernel<64>, __VA_ARGS__);                                                                               \
        else if ((a).size <= 128)                                                                                                                              \
            LAUNCH_WIDE(device, grid, bytes<128>(&(a)), kernel<128>, __VA_ARGS__);                                                                             \
        else                                                                                                                                                   \
            LAUNCH_WIDE(device, grid, bytes<256>(&(a)), kernel<256>, __VA_ARGS__);                                                                             \
    } while (0)

#endif
