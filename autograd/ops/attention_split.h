/* What attention on a GPU keeps in scratch beside what the CPU needs: the plan asks here, the kernels too.
 *
 * Few queries of many keys would leave most of a GPU idle, so their keys are shared out in parts, each with its own largest score, sum and result; a second
 * pass joins them in order. Backward keeps rowsum(dy * y) of every query and head; and as all sequences see the prefix, they are shared out too, and the sums
 * of the parts joined. All in bf16 only.
 */
#ifndef GRAFT_AUTOGRAD_OPS_ATTENTION_SPLIT_H
#define GRAFT_AUTOGRAD_OPS_ATTENTION_SPLIT_H

#include "autograd/graph.h"

/* Parts are made until there would be more blocks than this, or fewer keys in a part. */
enum { SPLIT_BLOCKS = 512, SPLIT_KEYS = 128 };
/* Parts of the sequences that see a prefix, at most. */
enum { PREFIX_PARTS = 16 };

/* Parts that the keys of every query are shared out in; 1: they are not. */
static inline int64_t split_parts(int64_t queries, int64_t kv_heads, int64_t keys)
{
    int64_t parts = queries > 0 ? SPLIT_BLOCKS / (queries * kv_heads) : 1;
    parts = parts < keys / SPLIT_KEYS ? parts : keys / SPLIT_KEYS;
    return parts > 1 ? parts : 1;
}

static inline int64_t prefix_parts(int64_t sequences)
{
    int64_t parts = sequences < PREFIX_PARTS ? sequences : (int64_t)PREFIX_PARTS;
    return parts > 1 ? parts : 1;
}

/* Floats that backward keeps of queries; sums of the prefix begin behind them, on a boundary of 16 bytes. */
static inline int64_t delta_floats(int64_t queries, int64_t heads)
{
    return (queries * heads + 3) / 4 * 4;
}

/* Floats of scratch, for any number of live rows. key_capacity: without the prefix. */
static inline size_t split_floats(const struct heads *h, int64_t query_capacity, int64_t key_capacity, int64_t prefix, bool backward)
{
    int64_t width = (int64_t)h->kv_heads * h->head_size;
    key_capacity += prefix;
    int64_t most = key_capacity / SPLIT_KEYS * query_capacity, blocks = SPLIT_BLOCKS / h->kv_heads;
    int64_t lines = (most < blocks ? most : blocks) * h->heads, parts = key_capacity < 2 * SPLIT_KEYS ? 0 : lines * (h->head_size + 2);
    int64_t gradients = backward ? delta_floats(query_capacity, h->heads) + 2 * PREFIX_PARTS * prefix * width : 0;
    return (size_t)(parts > gradients ? parts : gradients);
}

#endif
