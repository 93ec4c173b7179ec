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

#include <string.h>

struct tensor *attention(struct graph *g, struct tensor *q, struct tensor *k, struct tensor *v, struct tensor *spans, struct tensor *prefix_k,
                         struct tensor *prefix_v, struct heads heads)
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
    struct node *n = record(g, &op_attention, q, k, v, spans, prefix_k, prefix_v);
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
                           .scale = h.scale };
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

static size_t part_floats(const struct attention *a, enum part part)
{
    size_t rows = (size_t)(a->tile_queries * a->group), size = (size_t)a->size;
    bool narrow_keys = a->n->in[K]->dtype != F32 || (a->n->in[PREFIX_K] && a->n->in[PREFIX_K]->dtype != F32);
    bool narrow_values = a->n->in[V]->dtype != F32 || (a->n->in[PREFIX_V] && a->n->in[PREFIX_V]->dtype != F32);
    bool training = a->n->out[Y]->wants_grad;
    size_t sequence = (size_t)(a->n->in[K]->capacity + (a->n->in[PREFIX_K] ? a->n->in[PREFIX_K]->capacity : 0));
    switch (part) {
    case QUERIES:
    case RESULT:
        return rows * size;
    case OUTER:
        return training ? rows * size : 0;
    case SCORES:
        return rows * KEY_TILE;
    case DSCORES:
        return training ? rows * KEY_TILE : 0;
    case KEYS:
        return narrow_keys ? KEY_TILE * size : 0;
    case VALUES:
        return narrow_values ? KEY_TILE * size : 0;
    case ROW_A:
    case ROW_B:
        return rows;
    case DK:
    case DV:
        return training ? sequence * size : 0;
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

struct f32_rows key_rows(const struct attention *a, const struct query_tile *t, struct key_tile keys, int which, float *buffer)
{
    bool prefix = keys.from < a->prefix;
    const struct tensor *from = a->n->in[!prefix ? which : which == K ? PREFIX_K : PREFIX_V];
    int64_t row = prefix ? keys.from : t->span.k + keys.from - a->prefix, column = t->kv_head * a->size;
    if (from->dtype == F32)
        return (struct f32_rows){ element(from, row, column), from->cols };
    for (int64_t i = 0; i < keys.count; i++)
        widen(buffer + i * a->size, element(from, row + i, column), from->dtype, a->size);
    return (struct f32_rows){ buffer, a->size };
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

void unpack_rows(const struct tensor *to, const struct attention *a, const struct query_tile *t, const float *from, bool add)
{
    int64_t width = a->group * a->size;
    for (int64_t i = 0; i < t->count; i++)
        write_values(element(to, t->span.q + t->first + i, t->kv_head * width), to->dtype, from + i * width, width, add);
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

/* One workspace per thread, then sums of prefix gradients per block of sequences. */
static size_t scratch(const struct node *n, int threads)
{
    struct attention a = attention_of(n);
    return ((size_t)threads * workspace_floats(&a) + prefix_sum_floats(&a)) * sizeof(float);
}

enum { READ = IN(Q) | IN(K) | IN(V) | IN(SPANS) | IN(PREFIX_K) | IN(PREFIX_V) | OUT(Y) | OUT(LSE) };

const struct op op_attention = {
    .name = "attention",
    .reads = { [Q] = READ, [K] = READ, [V] = READ, [PREFIX_K] = READ, [PREFIX_V] = READ },
    .forward = { [CPU] = attention_forward },
    .backward = { [CPU] = attention_backward },
    .scratch = scratch,
    .in_place = NONE,
};
