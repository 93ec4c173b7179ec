/* What the three files of attention share: how a batch falls into tiles. Private to autograd/ops/attention*.c.
 *
 * A tile of queries is some consecutive queries of one sequence with all heads that share one key head: its rows are (query, head) pairs, packed, so that keys
 * are read once for the whole group and a single query of a long cache is not a special case. Positions count from the first prefix row.
 */
#ifndef GRAFT_AUTOGRAD_OPS_ATTENTION_H
#define GRAFT_AUTOGRAD_OPS_ATTENTION_H

#include "autograd/op.h"

enum { Q, K, V, SPANS, PREFIX_K, PREFIX_V }; /* in: see ops.h */
enum { Y, LSE };                             /* out: y like q; lse [rows, heads] f32: log of the sum of exp of a query's scores */

enum { KEY_TILE = 512, QUERY_TILE = 64, TILE_ROWS = 128 }; /* keys, queries, and (query, head) rows of a tile, at most */

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
};

/* Scratch of one thread, in floats; rows x size unless said otherwise. */
enum part {
    QUERIES,
    RESULT,  /* forward: y before division; backward: dq */
    OUTER,   /* backward: dy */
    SCORES,  /* rows x KEY_TILE: scores, then probabilities */
    DSCORES, /* rows x KEY_TILE, backward */
    KEYS,    /* KEY_TILE x size, where keys are not f32 */
    VALUES,
    ROW_A, /* rows: forward the largest score, backward lse */
    ROW_B, /* rows: forward the sum, backward rowsum(dy * y) */
    DK,    /* all keys of a sequence x size, backward */
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

/* Positions [from, from + count) of keys: never both prefix and own. */
struct key_tile {
    int64_t from, count;
};
struct key_tile key_tile(const struct attention *a, const struct query_tile *t, int64_t from);

struct f32_rows {
    const float *data;
    int64_t stride;
};
/* The tile of K or V (which) as f32; buffer is used where it has to be widened. */
struct f32_rows key_rows(const struct attention *a, const struct query_tile *t, struct key_tile keys, int which, float *buffer);

/* The keys of this tile that row r sees: [*from, *to) within the tile. */
static inline void row_sees(const struct attention *a, const struct query_tile *t, struct key_tile keys, int64_t r, int64_t *from, int64_t *to)
{
    int64_t position = t->position + r / a->group, first = position - a->window + 1 - keys.from, last = position + 1 - keys.from;
    *to = last < 0 ? 0 : last > keys.count ? keys.count : last;
    *from = first < 0 ? 0 : first > *to ? *to : first;
}

/* The tile's rows of a tensor shaped like q, packed to [rows, size] f32; and back, set or added. */
void pack_rows(float *to, const struct attention *a, const struct query_tile *t, const struct tensor *from);
void unpack_rows(const struct tensor *to, const struct attention *a, const struct query_tile *t, const float *from, bool add);
/* `count` values of a row from a column on, set or added. */
void write_head(const struct tensor *to, int64_t row, int64_t column, const float *from, int64_t count, bool add);
/* Rows [from, to) of a tensor become 0. */
void clear_rows(const struct tensor *t, int64_t from, int64_t to);

kernel attention_forward, attention_backward;

#endif
