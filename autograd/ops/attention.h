/* What the files of attention share: how a batch falls into tiles. Private to autograd/ops/attention*.c.
 *
 * A tile of queries is some consecutive queries of one sequence with all heads that share one key head: its rows are (query, head) pairs, packed, so that keys
 * are read once for the whole group and a single query of a long cache is not a special case. Positions count from the first prefix row.
 *
 * A panel is PANEL rows of a matrix laid across vectors: element (row, i) stands at panel[i * PANEL + row]; panels follow each other.
 */
#ifndef GRAFT_AUTOGRAD_OPS_ATTENTION_H
#define GRAFT_AUTOGRAD_OPS_ATTENTION_H

#include "autograd/cpu/transpose.h"
#include "autograd/op.h"
#include "autograd/ops/attention_product.h"

enum { Q, K, V, SPANS, PREFIX_K, PREFIX_V, SLOPES }; /* in: see ops.h */
enum { Y, LSE };                                     /* out: y like q; lse [rows, heads] f32: log of the sum of exp of a query's scores */

enum { KEY_TILE = 128, QUERY_TILE = 64, TILE_ROWS = 128 }; /* keys, queries, and (query, head) rows of a tile, at most */

/* One sequence. */
struct span {
    int64_t q, queries, k, keys;
};

struct attention {
    const struct node *n;
    const int32_t *spans;
    int64_t sequences, longest; /* longest: queries */
    int64_t heads, kv_heads, group, size, prefix;
    int64_t window; /* never 0 here: INT64_MAX sees everything */
    int64_t tile_queries;
    float scale;
    const float *slopes; /* by head, or NULL */
    float slope_factor;  /* of slopes where they meet raw scores */
    bool coarse;
};

/* Scratch of one thread, in floats. Rows are those of a tile, keys those of a whole sequence; both are rounded up to whole panels. "Wide" is size rounded up to
 * HALF_PANEL, with zeros behind. */
enum part {
    QUERIES,    /* rows x size: q */
    PANELS,     /* forward, rows x size: q as panels */
    RESULT,     /* rows x wide; forward y before division, backward dq */
    OUTER,      /* backward, rows x size: dy */
    SCORES,     /* forward, KEY_TILE x PANEL; backward, rows x PANEL: scores, then probabilities */
    DSCORES,    /* backward, rows x PANEL */
    ROW_A,      /* rows: forward the largest score, backward lse */
    ROW_B,      /* rows: forward the sum, backward rowsum(dy * y) */
    KEYS,       /* forward, KEY_TILE x wide, where keys are not read in place; backward, keys x wide */
    VALUES,     /* the same of values; backward, keys x size, as panels */
    KEY_PANELS, /* backward, keys x size, as panels */
    DK,         /* backward, keys x size, as panels */
    DV,
    PARTS,
};
struct workspace {
    float *part[PARTS];
};

/* Sizes of the node; live spans if its bytes are there. */
struct attention attention_of(const struct node *n);
/* Errors: BAD_DATA if a span leaves q or k, holds fewer keys than queries, or overlaps the one before (ordered_keys: also in k). */
enum status attention_check(struct device *device, const struct attention *a, bool ordered_keys) MUST_USE;
struct span span_of(const struct attention *a, int64_t sequence);

/* Gradients of a prefix are summed over sequences: in order inside a block of sequences, then over blocks, of which there are at most so many. */
enum { PREFIX_BLOCKS = 16 };
size_t prefix_sum_floats(const struct attention *a);

static inline int64_t whole_panels(int64_t rows)
{
    return (rows + PANEL - 1) / PANEL * PANEL;
}

static inline int64_t wide(int64_t size)
{
    return (size + HALF_PANEL - 1) / HALF_PANEL * HALF_PANEL;
}

size_t workspace_floats(const struct attention *a);
struct workspace workspace_at(const struct attention *a, float *base);

/* Queries [first, first + count) of a span, and what they may see. */
struct query_tile {
    struct span span;
    int64_t kv_head, first, count;
    int64_t position;  /* of the first query */
    int64_t seen, end; /* positions of keys: the first that any query sees, one behind the last */
};
struct query_tile query_tile(const struct attention *a, struct span span, int64_t kv_head, int64_t index);

/* The slope of the head of a tile's row. */
static inline float slope_of(const struct attention *a, const struct query_tile *t, int64_t row)
{
    return a->slopes[t->kv_head * a->group + row % a->group];
}

/* A finite value rounded to bf16, to nearest even. */
static inline float rounded_to_bf16(float value)
{
    union {
        float value;
        uint32_t bits;
    } u = { value };
    u.bits = (u.bits + 0x7FFF + (u.bits >> 16 & 1)) & 0xFFFF0000;
    return u.value;
}

/* Positions [from, from + count) of keys: never both prefix and own. */
struct key_tile {
    int64_t from, count;
};
struct key_tile key_tile(const struct attention *a, const struct query_tile *t, int64_t from);

struct f32_rows {
    const float *data;
    int64_t stride;
};
/* The tile of K or V (which) as f32, its rows wide: in place, or through buffer. */
struct f32_rows key_rows(const struct attention *a, const struct query_tile *t, struct key_tile keys, int which, float *buffer);
/* Keys or values [0, prefix + span.keys) of a key head, packed with rows `stride` apart. */
void pack_keys(float *to, int64_t stride, const struct attention *a, struct span span, int64_t kv_head, int which);

/* The keys of this tile that a query at `position` sees: [from, to) within the tile. */
struct seen {
    int64_t from, to;
};
static inline struct seen seen_from(const struct attention *a, int64_t position, struct key_tile keys)
{
    int64_t first = position - a->window + 1 - keys.from, last = position + 1 - keys.from;
    int64_t to = last < 0 ? 0 : last > keys.count ? keys.count : last;
    return (struct seen){ first < 0 ? 0 : first > to ? to : first, to };
}

/* Rows [count, size] with rows `stride` apart as panels, missing rows being 0; and back to rows `size` apart. */
void to_panels(float *panels, const float *rows, int64_t stride, int64_t count, int64_t size);
void from_panels(float *rows, const float *panels, int64_t count, int64_t size);

/* The tile's rows of a tensor shaped like q, packed to [rows, size] f32; and back, `stride` apart, set or added. */
void pack_rows(float *to, const struct attention *a, const struct query_tile *t, const struct tensor *from);
void unpack_rows(const struct tensor *to, const struct attention *a, const struct query_tile *t, const float *from, int64_t stride, bool add);
/* `count` values of a row from a column on, set or added. */
void write_head(const struct tensor *to, int64_t row, int64_t column, const float *from, int64_t count, bool add);
/* Rows [from, to) of a tensor become 0. */
void clear_rows(const struct tensor *t, int64_t from, int64_t to);

kernel attention_prepare, attention_forward, attention_backward;

#endif
