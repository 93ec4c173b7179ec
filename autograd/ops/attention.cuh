/* What attention on a GPU shares: how a batch falls into tiles, and the arithmetic in f32. See attention.c for what is computed; queries in bf16 go another
 * way, through tensor cores (attention_bf16.cuh).
 *
 * The rows of a tile are (query, head) pairs of one sequence and one key head, TILE of them in a row: row r is query r / group with head r % group of the
 * group, so keys are read once for all heads that share them. Positions count keys from the first prefix row. Only the device knows the spans: the grid has as
 * many tiles as there could be, and a block finds out which sequence its tile is of, or that there is none for it. The last tiles, which see most, come first.
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
    bool halves; /* queries, keys and values are bf16: tensor cores multiply */
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
    a.halves = a.q_rows * a.group < INT32_MAX && a.prefix + a.k_rows < INT32_MAX;
    for (int i = 0; i <= PREFIX_V; i++)
        a.halves = a.halves && (i == SPANS || !n->in[i] || n->in[i]->dtype == BF16);
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

/* Tile number `tile`, of `height` lines. */
static __device__ inline struct place place_of(const struct attention &a, int64_t tile, int height, bool of_keys)
{
    for (int64_t i = 0; i < a.sequences; i++) {
        const struct span s = span_of(a, i);
        const int64_t tiles = ((of_keys ? s.keys : s.queries * a.group) + height - 1) / height;
        if (tile < tiles)
            return (struct place){ i, tile * height };
        tile -= tiles;
    }
    return (struct place){ -1, 0 };
}

/* At most so many tiles of lines (rows or keys), which no two sequences share. */
static inline unsigned most_tiles(const struct attention *a, int64_t lines, int height)
{
    return (unsigned)(lines / height + a->sequences);
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

/* The rows of a block, and positions of the keys that any of them sees. */
struct row_tile {
    struct span span;
    int64_t kv_head, first, last, from, end;
};

/* False: there is nothing for this block. */
static __device__ inline bool row_tile_of(const struct attention &a, int height, struct row_tile *t)
{
    if (a.complaint->kind != NO_COMPLAINT)
        return false;
    const struct place place = place_of(a, gridDim.x - 1 - blockIdx.x, height, false);
    if (place.sequence < 0)
        return false;
    const struct span s = span_of(a, place.sequence);
    const int64_t rows = s.queries * a.group, last = place.first + height < rows ? place.first + height - 1 : rows - 1;
    const int64_t seen = position_of(a, s, place.first) - a.window + 1;
    *t = (struct row_tile){ s, (int64_t)blockIdx.y, place.first, last, seen > 0 ? seen : 0, position_of(a, s, last) + 1 };
    return true;
}

static __device__ inline bool sees(const struct attention &a, int64_t position, int64_t key)
{
    return key <= position && position - key < a.window;
}

/* What backward reads beside attention's inputs. */
struct outer {
    struct view y, dy;
    const float *lse;
};

/* Gradients of keys and of values, own or of the prefix; data NULL: not wanted. */
struct key_gradients {
    struct view dk, dv, prefix_dk, prefix_dv;
    bool add_k, add_v, add_prefix_k, add_prefix_v;
};

static inline struct view gradient_of(const struct node *n, int input)
{
    return view_of(wants(n, input) ? n->in[input]->grad : NULL);
}

/* Tiles of keys that want gradients. */
static inline unsigned prefix_tiles_of(const struct attention *a, const struct key_gradients *g, int height)
{
    return g->prefix_dk.data || g->prefix_dv.data ? (unsigned)((a->prefix + height - 1) / height) : 0;
}

static inline unsigned own_tiles_of(const struct attention *a, const struct key_gradients *g, int height)
{
    return g->dk.data || g->dv.data ? most_tiles(a, a->k_rows, height) : 0;
}

/* The keys of a block, by position: of one sequence, or of the prefix, which all sequences see. */
struct key_tile {
    bool of_prefix;
    int64_t kv_head, from, end, sequence, end_sequence;
};

/* Tiles of the prefix come first in the grid. False: there is nothing for this block. */
static __device__ inline bool key_tile_of(const struct attention &a, int height, int64_t prefix_tiles, struct key_tile *t)
{
    const int64_t tile = blockIdx.x, kv_head = blockIdx.y;
    if (a.complaint->kind != NO_COMPLAINT)
        return false;
    if (tile < prefix_tiles) {
        const int64_t from = tile * height;
        *t = (struct key_tile){ true, kv_head, from, from + height < a.prefix ? from + height : a.prefix, 0, a.sequences };
        return true;
    }
    const struct place place = place_of(a, tile - prefix_tiles, height, true);
    if (place.sequence < 0)
        return false;
    const int64_t keys = span_of(a, place.sequence).keys, end = place.first + height < keys ? place.first + height : keys;
    *t = (struct key_tile){ false, kv_head, a.prefix + place.first, a.prefix + end, place.sequence, place.sequence + 1 };
    return true;
}

/* Rows of a sequence that see any of the keys [from, end). */
struct row_range {
    int64_t first, end;
};

static __device__ inline struct row_range rows_that_see(const struct attention &a, const struct span &s, int64_t from, int64_t end)
{
    const int64_t begin = a.prefix + s.keys - s.queries, first = from > begin ? from - begin : 0, behind = end - 1 + a.window - begin;
    return (struct row_range){ first * a.group, (behind < s.queries ? behind : s.queries) * a.group };
}

/* The first element of the gradient of a key of the tile, in a tensor like k. */
static __device__ inline int64_t key_start(const struct attention &a, const struct key_tile &t, int64_t key)
{
    const int64_t row = t.of_prefix ? key : span_of(a, t.sequence).k + key - a.prefix;
    return (row * a.kv_heads + t.kv_head) * a.size;
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
        const dim3 grid_((tiles), (unsigned)(a).kv_heads);                                                                                                     \
        if ((a).size <= 32)                                                                                                                                    \
            LAUNCH_WIDE(device, grid_, (floats) * sizeof(float), kernel<1>, __VA_ARGS__);                                                                      \
        else if ((a).size <= 64)                                                                                                                               \
            LAUNCH_WIDE(device, grid_, (floats) * sizeof(float), kernel<2>, __VA_ARGS__);                                                                      \
        else if ((a).size <= 128)                                                                                                                              \
            LAUNCH_WIDE(device, grid_, (floats) * sizeof(float), kernel<4>, __VA_ARGS__);                                                                      \
        else                                                                                                                                                   \
            LAUNCH_WIDE(device, grid_, (floats) * sizeof(float), kernel<8>, __VA_ARGS__);                                                                      \
    } while (0)
#define LAUNCH_WIDE(device, grid, bytes, kernel, ...)                                                                                                          \
    do {                                                                                                                                                       \
        const size_t shared_bytes = (bytes);                                                                                                                   \
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);                                                          \
        LAUNCH(device, grid, BLOCK, shared_bytes, kernel, __VA_ARGS__);                                                                                        \
    } while (0)

/* The same on tensor cores (attention_bf16.cuh), where a->halves. */
enum status attention_backward_bf16(struct device *device, const struct node *n, const struct attention *a, const struct outer *o,
                                    const struct key_gradients *g);
enum status attention_forward_bf16(struct device *device, const struct node *n, const struct attention *a);

/* Spans are looked at on the device before anything follows them. Errors: NO_DEVICE for heads wider than kernels are made for. */
enum status attention_check_cuda(struct device *device, const struct node *n, const struct attention *a, bool ordered_keys);

#endif
