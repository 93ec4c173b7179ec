/* attention: y = softmax(scale * q k^T) v, causal, inside each sequence, for every head; the builder, tiles, and the row.
 *
 * No score is kept: forward runs over tiles of keys with a running maximum and sum (attention_forward.c) and leaves one number per query and head, the log of
 * the sum of exponentials; from it backward makes the probabilities again, tile by tile (attention_backward.c).
 *
 * Sources: Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"; Dao 2023, "FlashAttention-2", sections 3.1 and 3.2.
 */
#include "autograd/ops/attention.h"
#include "autograd/cpu/rows.h"
#include "autograd/ops.h"
#include "autograd/ops/attention_split.h"

#include <string.h>

struct tensor *attention(struct graph *g, struct tensor *q, struct tensor *k, struct tensor *v, struct tensor *spans, struct tensor *prefix_k,
                         struct tensor *prefix_v, struct tensor *slopes, struct heads heads)
{
    int64_t width = (int64_t)heads.kv_heads * heads.head_size;
    expect_shape(g, "attention", q, -1, (int64_t)heads.heads * heads.head_size);
    expect_shape(g, "attention", k, -1, width);
    expect_shape(g, "attention", v, k->capacity, width);
    expect_shape(g, "attention", spans, -1, 4);
    if (heads.kv_heads <= 0 || heads.head_size <= 0 || heads.heads % heads.kv_heads != 0)
        graph_fail(g, "attention: %d heads of size %d do not share %d key heads evenly", heads.heads, heads.head_size, heads.kv_heads);
    if (!prefix_k != !prefix_v)
        graph_fail(g, "attention: a prefix needs keys and values");
    else if (prefix_k) {
        expect_shape(g, "attention", prefix_k, -1, width);
        expect_shape(g, "attention", prefix_v, prefix_k->capacity, width);
    }
    if (slopes) {
        expect_shape(g, "attention", slopes, 1, heads.heads);
        if (slopes->dtype != F32 || slopes->wants_grad || heads.scale == 0 || (heads.coarse && !heads.scaled_slopes))
            graph_fail(g, "attention: slopes are float32 and frozen, scores are not scaled by 0, and coarse slopes are scaled");
    }
    struct node *n = record(g, &op_attention, q, k, v, spans, prefix_k, prefix_v, slopes);
    n->params.heads = heads;
    no_gradient(output(n, LSE, F32, q, heads.heads));
    return output(n, Y, q->dtype, q, q->cols);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct attention attention_of(const struct node *n)
{
    struct heads h = n->params.heads;
    struct attention a = { .n = n,
                           .spans = n->in[SPANS]->data,
                           .sequences = n->in[SPANS]->rows,
                           .heads = h.heads,
                           .kv_heads = h.kv_heads,
                           .group = h.heads / h.kv_heads,
                           .size = h.head_size,
                           .prefix = n->in[PREFIX_K] ? n->in[PREFIX_K]->rows : 0,
                           .window = h.window ? h.window : INT64_MAX / 2,
                           .scale = h.scale,
                           .slopes = n->in[SLOPES] ? n->in[SLOPES]->data : NULL,
                           .slope_factor = h.scaled_slopes ? 1 : 1 / h.scale,
                           .coarse = h.coarse };
    a.tile_queries = a.group >= TILE_ROWS ? 1 : smaller(QUERY_TILE, TILE_ROWS / a.group);
    for (int64_t s = 0; a.spans && s < a.sequences; s++)
        a.longest = a.longest > a.spans[4 * s + 1] ? a.longest : a.spans[4 * s + 1];
    return a;
}

struct span span_of(const struct attention *a, int64_t sequence)
{
    const int32_t *s = a->spans + 4 * sequence;
    return (struct span){ s[0], s[1], s[2], s[3] };
}

enum status attention_check(struct device *device, const struct attention *a, bool ordered_keys)
{
    int64_t q_rows = a->n->in[Q]->rows, k_rows = a->n->in[K]->rows, q_end = 0, k_end = 0;
    for (int64_t i = 0; i < a->sequences; i++) {
        struct span s = span_of(a, i);
        bool inside = s.q >= q_end && s.queries >= 0 && s.queries <= q_rows - s.q && s.k >= 0 && s.keys >= s.queries && s.keys <= k_rows - s.k;
        if (!inside || (ordered_keys && s.k < k_end))
            return fail_with(device->err, BAD_DATA,
                             "attention: sequence %lld has %lld queries from row %lld and %lld keys from row %lld, of %lld and %lld rows",
                             "sequences follow each other, inside the batch, with a key for every query", (long long)i, (long long)s.queries, (long long)s.q,
                             (long long)s.keys, (long long)s.k, (long long)q_rows, (long long)k_rows);
        q_end = s.q + s.queries;
        k_end = s.k + s.keys;
    }
    return OK;
}

/* Rows of keys that lie a multiple of this apart fall on each other in a cache, and are copied together first. */
enum { UNLUCKY_BYTES = 2048 };

static bool read_in_place(const struct tensor *t, int64_t size)
{
    return !t || (t->dtype == F32 && size == wide(size) && (size_t)t->cols * sizeof(float) % UNLUCKY_BYTES != 0);
}

static size_t part_floats(const struct attention *a, enum part part)
{
    const struct node *n = a->n;
    const struct tensor *prefix = n->in[PREFIX_K];
    size_t rows = (size_t)whole_panels(a->tile_queries * a->group), size = (size_t)a->size, row = (size_t)wide(a->size);
    size_t keys = n->out[Y]->wants_grad ? (size_t)whole_panels(n->in[K]->capacity + (prefix ? prefix->capacity : 0)) : 0;
    size_t back_rows = n->out[Y]->wants_grad ? rows : 0;
    size_t key_copy = read_in_place(n->in[K], a->size) && read_in_place(prefix, a->size) ? 0 : KEY_TILE * row;
    size_t value_copy = read_in_place(n->in[V], a->size) && read_in_place(n->in[PREFIX_V], a->size) ? 0 : KEY_TILE * row;
    switch (part) {
    case QUERIES:
    case PANELS:
        return rows * size;
    case RESULT:
        return rows * row;
    case OUTER:
        return back_rows * size;
    case SCORES:
        return (rows > KEY_TILE ? rows : KEY_TILE) * PANEL;
    case DSCORES:
        return back_rows * PANEL;
    case ROW_A:
    case ROW_B:
        return rows;
    case KEYS:
        return keys * row > key_copy ? keys * row : key_copy;
    case VALUES:
        return keys * size > value_copy ? keys * size : value_copy;
    case KEY_PANELS:
    case DK:
    case DV:
        return keys * size;
    case PARTS:
        break;
    }
    return 0;
}

static size_t rounded(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

size_t workspace_floats(const struct attention *a)
{
    size_t floats = 0;
    for (int p = 0; p < PARTS; p++)
        floats += rounded(part_floats(a, (enum part)p));
    return floats;
}

struct workspace workspace_at(const struct attention *a, float *base)
{
    struct workspace w;
    for (int p = 0; p < PARTS; p++) {
        w.part[p] = base;
        base += rounded(part_floats(a, (enum part)p));
    }
    return w;
}

struct query_tile query_tile(const struct attention *a, struct span span, int64_t kv_head, int64_t index)
{
    struct query_tile t = { .span = span, .kv_head = kv_head, .first = index * a->tile_queries };
    t.count = smaller(a->tile_queries, span.queries - t.first);
    t.position = a->prefix + span.keys - span.queries + t.first;
    t.end = t.position + t.count;
    t.seen = t.position - a->window + 1 > 0 ? t.position - a->window + 1 : 0;
    return t;
}

struct key_tile key_tile(const struct attention *a, const struct query_tile *t, int64_t from)
{
    int64_t left = (from < a->prefix ? smaller(a->prefix, t->end) : t->end) - from, tiles = (left + KEY_TILE - 1) / KEY_TILE;
    return (struct key_tile){ from, (left + tiles - 1) / tiles }; /* even parts: no small one at the end */
}

static void *element(const struct tensor *t, int64_t row, int64_t column)
{
    return (char *)t->data + (size_t)(row * t->cols + column) * dtype_bytes(t->dtype);
}

/* The row of a key or value by position: prefix rows first. */
static const void *key_at(const struct attention *a, struct span span, int64_t kv_head, int which, int64_t position, const struct tensor **from)
{
    bool prefix = position < a->prefix;
    *from = a->n->in[!prefix ? which : which == K ? PREFIX_K : PREFIX_V];
    return element(*from, prefix ? position : span.k + position - a->prefix, kv_head * a->size);
}

struct f32_rows key_rows(const struct attention *a, const struct query_tile *t, struct key_tile keys, int which, float *buffer)
{
    const struct tensor *from;
    const char *first = key_at(a, t->span, t->kv_head, which, keys.from, &from);
    bool once = t->count * a->group <= PANEL && from->dtype == F32 && a->size == wide(a->size); /* a copy would not be used again */
    if (once || read_in_place(from, a->size))
        return (struct f32_rows){ (const float *)(const void *)first, from->cols };
    int64_t stride = wide(a->size);
    for (int64_t i = 0; i < keys.count; i++) {
        widen(buffer + i * stride, first + (size_t)(i * from->cols) * dtype_bytes(from->dtype), from->dtype, a->size);
        for (int64_t j = a->size; j < stride; j++)
            buffer[i * stride + j] = 0;
    }
    return (struct f32_rows){ buffer, stride };
}

void pack_keys(float *to, int64_t stride, const struct attention *a, struct span span, int64_t kv_head, int which)
{
    int64_t count = a->prefix + span.keys;
    memset(to, 0, (size_t)(whole_panels(count) * stride) * sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        const struct tensor *from;
        const void *row = key_at(a, span, kv_head, which, i, &from);
        widen(to + i * stride, row, from->dtype, a->size);
    }
}

void to_panels(float *panels, const float *rows, int64_t stride, int64_t count, int64_t size)
{
    for (int64_t first = 0; first < count; first += PANEL, panels += PANEL * size, rows += PANEL * stride) {
        if (count - first < PANEL)
            memset(panels, 0, (size_t)(PANEL * size) * sizeof(float));
        transpose(panels, PANEL, rows, stride, smaller(count - first, PANEL), size);
    }
}

void from_panels(float *rows, const float *panels, int64_t count, int64_t size)
{
    for (int64_t first = 0; first < count; first += PANEL)
        transpose(rows + first * size, size, panels + first * size, PANEL, size, smaller(count - first, PANEL));
}

void pack_rows(float *to, const struct attention *a, const struct query_tile *t, const struct tensor *from)
{
    int64_t width = a->group * a->size; /* the heads of a group are neighbours */
    for (int64_t i = 0; i < t->count; i++)
        widen(to + i * width, element(from, t->span.q + t->first + i, t->kv_head * width), from->dtype, width);
}

/* Values are added to what is there in pieces, so that no buffer depends on sizes. */
static void write_values(void *to, enum dtype dtype, const float *from, int64_t count, bool add)
{
    float sum[256];
    if (!add) {
        narrow(to, from, dtype, count);
        return;
    }
    for (int64_t at = 0; at < count; at += 256) {
        int64_t some = smaller(256, count - at);
        char *piece = (char *)to + (size_t)at * dtype_bytes(dtype);
        widen(sum, piece, dtype, some);
        for (int64_t i = 0; i < some; i++)
            sum[i] += from[at + i];
        narrow(piece, sum, dtype, some);
    }
}

void unpack_rows(const struct tensor *to, const struct attention *a, const struct query_tile *t, const float *from, int64_t stride, bool add)
{
    int64_t heads = stride == a->size ? 1 : a->group, width = a->group * a->size / heads; /* rows without gaps leave together */
    for (int64_t i = 0; i < t->count; i++)
        for (int64_t h = 0; h < heads; h++)
            write_values(element(to, t->span.q + t->first + i, (t->kv_head * a->group + h) * a->size), to->dtype, from + (i * a->group + h) * stride, width,
                         add);
}

void write_head(const struct tensor *to, int64_t row, int64_t column, const float *from, int64_t count, bool add)
{
    write_values(element(to, row, column), to->dtype, from, count, add);
}

void clear_rows(const struct tensor *t, int64_t from, int64_t to)
{
    if (to > from)
        memset(element(t, from, 0), 0, (size_t)((to - from) * t->cols) * dtype_bytes(t->dtype));
}

size_t prefix_sum_floats(const struct attention *a)
{
    const struct tensor *prefix = a->n->in[PREFIX_K];
    return prefix && a->n->out[Y]->wants_grad ? (size_t)(2 * PREFIX_BLOCKS * prefix->capacity * prefix->cols) : 0;
}

/* What kernels for GPUs need, in builds that have them. */
static size_t cuda_floats(const struct node *n)
{
    const struct tensor *prefix = n->in[PREFIX_K];
    if (!device_has_cuda() || n->in[Q]->dtype != BF16)
        return 0;
    return split_floats(&n->params.heads, n->in[Q]->capacity, n->in[K]->capacity, prefix ? prefix->capacity : 0, n->out[Y]->wants_grad);
}

/* One workspace per thread, then sums of prefix gradients per block of sequences. */
static size_t scratch(const struct node *n, int threads)
{
    struct attention a = attention_of(n);
    size_t floats = (size_t)threads * workspace_floats(&a) + prefix_sum_floats(&a), on_cuda = cuda_floats(n);
    return (floats > on_cuda ? floats : on_cuda) * sizeof(float);
}

enum { READ = IN(Q) | IN(K) | IN(V) | IN(SPANS) | IN(PREFIX_K) | IN(PREFIX_V) | IN(SLOPES) | OUT(Y) | OUT(LSE) };

const struct op op_attention = {
    .name = "attention",
    .reads = { [Q] = READ, [K] = READ, [V] = READ, [PREFIX_K] = READ, [PREFIX_V] = READ },
    .forward = { [CPU] = attention_forward, [CUDA] = ON_CUDA(attention_forward) },
    .backward = { [CPU] = attention_backward, [CUDA] = ON_CUDA(attention_backward) },
    .prepare = { [CPU] = attention_prepare },
    .scratch = scratch,
    .in_place = NONE,
};
