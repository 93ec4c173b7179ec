/* kv_append: cache[slot[i]] = x[i]; the only op that writes the KV cache. Readers of the cache are recorded behind it. */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { CACHE, X, SLOT }; /* in: cache STATE [slots, width], x [rows, width], slot I32 [rows, 1], distinct */

void kv_append(struct graph *g, struct tensor *cache, struct tensor *x, struct tensor *slot)
{
    expect_shape(g, op_kv_append.name, cache, -1, x->cols);
    expect_shape(g, op_kv_append.name, slot, -1, 1);
    expect_rows_of(g, op_kv_append.name, slot, x);
    record(g, &op_kv_append, cache, x, slot);
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *cache = n->in[CACHE], *x = n->in[X];
    const int32_t *slot = n->in[SLOT]->data;
    for (int64_t r = 0; r < x->rows; r++)
        if (slot[r] < 0 || slot[r] >= cache->rows)
            return fail_with(device->err, BAD_DATA, "kv_append: row %lld goes to slot %d of %lld", "make the prompt shorter, or ask for fewer new tokens",
                             (long long)r, slot[r], (long long)cache->rows);
#pragma omp parallel for schedule(static) if (x->rows * x->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < x->rows; r++)
        span_copy(cache, slot[r] * cache->cols, x, r * x->cols, x->cols, false);
    return OK;
}

const struct op op_kv_append = {
    .name = "kv_append",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(kv_append_forward) },
    .in_place = NONE,
    .writes = IN(CACHE),
    .no_gradient = true,
};
