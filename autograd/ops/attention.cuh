/* What attention.cu and attention_backward.cu share: how a batch falls into tiles on a GPU. See attention.c for what is computed.
 *
 * The rows of a tile are (query, head) pairs of one sequence and one key head, TILE of them in a row: row r is query r / group with head r % group of the
 * group, so keys are read once for all heads that share them. Positions count keys from the first prefix row. Only the device knows the spans: the grid has as
 * many tiles as there could be, and a block finds out which sequence its tile is of, or that there is none for it.
 *
 * A block has four warps. For scores a thread takes one key and EACH rows, for sums over keys (or rows) EACH lines and every 32nd column; tiles in shared
 * memory have one float more in a row than there are columns, so that neighbouring threads never meet in a bank.
 */
#ifndef GRAFT_AUTOGRAD_OPS_ATTENTION_CUH
#define GRAFT_AUTOGRAD_OPS_ATTENTION_CUH

#include "autograd/cuda/kernel.cuh"

enum { Q, K, V, SPANS, PREFIX_K, PREFIX_V, SLOPES };
enum { Y, LSE };

constexpr int TILE = 32, BLOCK = 128, EACH = TILE / (BLOCK / WARP), MOST_COLUMNS = 256;

struct attention {
    struct view input[PREFIX_V + 1];
    const int32_t *spans;
    int64_t sequences, q_rows, k_rows, heads, kv_heads, group, size, prefix, window; /* window: never 0 here */
    const float *slopes;                                                             /* of heads, or NULL */
    bool scaled_slopes, coarse;
    float scale;
    struct complaint *complaint;
};

struct span {
    int64_t q, queries, k, keys;
};

static inline struct attention attention_on(struct device *device, const struct node *n)
{
    const struct heads h = n->params.heads;
    struct attention a;
    for (int i = 0; i <= PREFIX_V; i++)
        a.input[i] = view_of(n->in[i]);
    a.spans = (const int32_t *)n->in[SPANS]->data;
    a.sequences = n->in[SPANS]->rows;
    a.q_rows = n->in[Q]->rows;
    a.k_rows = n->in[K]->rows;
    a.heads = h.heads;
    a.kv_heads = h.kv_heads;
    a.group = h.heads / h.kv_heads;
    a.size = h.head_size;
    a.prefix = n->in[PREFIX_K] ? n->in[PREFIX_K]->rows : 0;
    a.window = h.window ? h.window : INT64_MAX / 2;
    a.slopes = n->in[SLOPES] ? (const float *)n->in[SLOPES]->data : NULL;
    a.scaled_slopes = h.scaled_slopes;
    a.coarse = h.coarse;
    a.scale = h.scale;
    a.complaint = device->cuda->complaint;
    return a;
}

static __device__ inline struct span span_of(const struct attention &a, int64_t sequence)
{
    const int32_t *s = a.spans + 4 * sequence;
    return (struct span){ s[0], s[1], s[2], s[3] };
}

/* A tile of queries, or of keys. */
struct place {
    int64_t sequence, first; /* sequence -1: there is none; first: row, or key behind the prefix */
};

static __device__ inline struct place place_of(const struct attention &a, int64_t tile, bool of_keys)
{
    for (int64_t i = 0; i < a.sequences; i++) {
        const struct span s = span_of(a, i);
        const int64_t tiles = ((of_keys ? s.keys : s.queries * a.group) + TILE - 1) / TILE;
        if (tile < tiles)
            return (struct place){ i, tile * TILE };
        tile -= tiles;
    }
    return (struct place){ -1, 0 };
}

/* At most so many tiles of lines (rows or keys), which no two sequences share. */
static inline unsigned most_tiles(const struct attention *a, int64_t lines)
{
    return (unsigned)(lines / TILE + a->sequences);
}

/* The first element of a row of a tensor like q. */
static __device__ inline int64_t row_start(const struct attention &a, const struct span &s, int64_t kv_head, int64_t row)
{
    return ((s.q + row / a.group) * a.heads + kv_head * a.group + row % a.group) * a.size;
}

static __device__ inline int64_t position_of(const struct attention &a, const struct span &s, int64_t row)
{
    return a.prefix + s.keys - s.queries + row / a.group;
}

static __device__ inline bool sees(const struct attention &a, int64_t position, int64_t key)
{
    return key <= position && position - key < a.window;
}

/* The scaled score of a row and a key, of their product. */
static __device__ inline float score_of(const struct attention &a, const struct span &s, int64_t kv_head, int64_t row, int64_t key, float product)
{
    if (!a.slopes)
        return product * a.scale;
    const float slope = a.slopes[kv_head * a.group + row % a.group];
    if (a.coarse)
        return (product + from_bf16(to_bf16(slope * (float)key))) * a.scale;
    return product * a.scale + slope * (a.scaled_slopes ? a.scale : 1) * (float)(key - position_of(a, s, row));
}

/* One line of a tile in shared memory from `first` on, zeros where it is missing. */
static __device__ inline void load_line(float *line, struct view from, int64_t start, int64_t first, int64_t size, bool there)
{
    float values[SPAN];
    const int count = (int)(size - first < SPAN ? size - first : SPAN);
    if (there)
        read(values, from, start + first, count);
    for (int i = 0; i < count; i++)
        line[first + i] = there ? values[i] : 0;
}

/* Rows [first, first + TILE) of a tensor like q. */
static __device__ inline void load_rows(float *tile, const struct attention &a, const struct span &s, int64_t kv_head, struct view from, int64_t first)
{
    const int spans = (int)((a.size + SPAN - 1) / SPAN);
    for (int e = threadIdx.x; e < TILE * spans; e += BLOCK) {
        const int64_t line = e / spans, row = first + line;
        const bool there = row < s.queries * a.group;
        load_line(tile + line * (a.size + 1), from, there ? row_start(a, s, kv_head, row) : 0, e % spans * SPAN, a.size, there);
    }
}

/* Keys or values (which: K or V) at positions [from, end), at most TILE. */
static __device__ inline void load_keys(float *tile, const struct attention &a, const struct span &s, int64_t kv_head, int which, int64_t from, int64_t end)
{
    const int spans = (int)((a.size + SPAN - 1) / SPAN);
    for (int e = threadIdx.x; e < TILE * spans; e += BLOCK) {
        const int64_t line = e / spans, key = from + line;
        const bool of_prefix = key < a.prefix;
        const int64_t row = of_prefix ? key : s.k + key - a.prefix;
        load_line(tile + line * (a.size + 1), a.input[of_prefix ? which - K + PREFIX_K : which], (row * a.kv_heads + kv_head) * a.size, e % spans * SPAN,
                  a.size, key < end);
    }
}

/* sums[e] = line e of rows . line `key` of keys, over the columns. */
static __device__ inline void products(float sums[EACH], const float *rows, const float *keys, int key, int64_t size)
{
    for (int e = 0; e < EACH; e++)
        sums[e] = 0;
    for (int64_t i = 0; i < size; i++) {
        const float by = keys[key * (size + 1) + i];
        for (int e = 0; e < EACH; e++)
            sums[e] += rows[e * (size + 1) + i] * by;
    }
}

/* sums[e][c] += over the lines of a tile, weight(e, line) * tile[line][lane + 32 c]; weights stand `step` apart from line to line, `each` from e to e. */
template <int COLUMNS>
static __device__ inline void add_lines(float (&sums)[EACH][COLUMNS], const float *weights, int each, int step, const float *tile, int lane, int64_t size)
{
    for (int line = 0; line < TILE; line++) {
        float by[EACH];
        for (int e = 0; e < EACH; e++)
            by[e] = weights[e * each + line * step];
        for (int c = 0; c < COLUMNS; c++) {
            const float value = lane + WARP * c < size ? tile[line * (size + 1) + lane + WARP * c] : 0;
            for (int e = 0; e < EACH; e++)
                sums[e][c] += by[e] * value;
        }
    }
}

/* What a launch needs to know: shared memory beyond what every kernel may have must be asked for. Kernels are made for 32, 64, 128 and 256 columns. */
#define LAUNCH_BY_SIZE(device, tiles, a, floats, kernel, ...)                                                                                                  \
    do {                                                                                                                                                       \
        if ((a).size <= 32)                                                                                                                                    \
            LAUNCH_WIDE(device, tiles, a, floats, kernel<1>, __VA_ARGS__);                                                                                     \
        else if ((a).size <= 64)                                                                                                                               \
            LAUNCH_WIDE(device, tiles, a, floats, kernel<2>, __VA_ARGS__);                                                                                     \
        else if ((a).size <= 128)                                                                                                                              \
            LAUNCH_WIDE(device, tiles, a, floats, kernel<4>, __VA_ARGS__);                                                                                     \
        else                                                                                                                                                   \
            LAUNCH_WIDE(device, tiles, a, floats, kernel<8>, __VA_ARGS__);                                                                                     \
    } while (0)
#define LAUNCH_WIDE(device, tiles, a, floats, kernel, ...)                                                                                                     \
    do {                                                                                                                                                       \
        const size_t shared_bytes = (floats) * sizeof(float);                                                                                                  \
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);                                                          \
        LAUNCH(device, dim3((tiles), (unsigned)(a).kv_heads), BLOCK, shared_bytes, kernel, __VA_ARGS__);                                                       \
    } while (0)

/* Spans are looked at on the device before anything follows them. Errors: NO_DEVICE for heads wider than kernels are made for. */
enum status attention_check_cuda(struct device *device, const struct node *n, const struct attention *a, bool ordered_keys);

#endif
