/* attention backward: one task per sequence (or block of sequences) and key head, which owns the gradients of its keys, values and queries.
 *
 *     p = exp(scale * q k^T - lse)      dv = p^T dy        dp = dy v^T       ds = scale * p * (dp - rowsum(dy * y))
 *     dq = ds k                         dk = ds^T q        summed over the heads of the group, as these are rows of the same tile
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/ops/attention.h"

#include <omp.h>
#include <string.h>

/* What is wanted; scores: anything that needs ds. */
struct wanted {
    bool q, k, v, scores;
};

static WIDE void probabilities(const struct attention *a, const struct query_tile *t, struct key_tile keys, const struct workspace *w)
{
    for (int64_t r = 0; r < t->count * a->group; r++) {
        int64_t from, to;
        row_sees(a, t, keys, r, &from, &to);
        float *p = w->part[SCORES] + r * keys.count, lse = w->part[ROW_A][r];
        for (int64_t j = 0; j < from; j++)
            p[j] = 0;
#pragma omp simd
        for (int64_t j = from; j < to; j++)
            p[j] = exp_f32(p[j] - lse);
        for (int64_t j = to; j < keys.count; j++)
            p[j] = 0;
    }
}

/* DSCORES from dp to ds. Where p is 0 so is ds, whatever dp is. */
static WIDE void score_gradients(const struct attention *a, const struct query_tile *t, struct key_tile keys, const struct workspace *w)
{
    for (int64_t r = 0; r < t->count * a->group; r++) {
        const float *p = w->part[SCORES] + r * keys.count;
        float *ds = w->part[DSCORES] + r * keys.count, delta = w->part[ROW_B][r], scale = a->scale;
#pragma omp simd
        for (int64_t j = 0; j < keys.count; j++)
            ds[j] = p[j] * (ds[j] - delta) * scale;
    }
}

/* ROW_A: lse; ROW_B: rowsum(dy * y), with y passing through the place of dq. */
static void row_statistics(const struct attention *a, const struct query_tile *t, const struct workspace *w, bool scores)
{
    const float *lse = a->n->out[LSE]->data;
    const float *dy = w->part[OUTER], *y = w->part[RESULT];
    if (scores)
        pack_rows(w->part[RESULT], a, t, a->n->out[Y]);
    for (int64_t r = 0; r < t->count * a->group; r++) {
        float sum = 0;
        w->part[ROW_A][r] = lse[(t->span.q + t->first + r / a->group) * a->heads + t->kv_head * a->group + r % a->group];
        for (int64_t i = 0; scores && i < a->size; i++)
            sum += dy[r * a->size + i] * y[r * a->size + i];
        w->part[ROW_B][r] = sum;
    }
}

static void backward_tile(const struct attention *a, const struct query_tile *t, const struct workspace *w, struct wanted wanted)
{
    int64_t rows = t->count * a->group, size = a->size;
    float *q = w->part[QUERIES], *dy = w->part[OUTER], *dq = w->part[RESULT], *p = w->part[SCORES], *ds = w->part[DSCORES];
    pack_rows(q, a, t, a->n->in[Q]);
    pack_rows(dy, a, t, a->n->out[Y]->grad);
    row_statistics(a, t, w, wanted.scores);
    memset(dq, 0, (size_t)(rows * size) * sizeof(float));
    for (int64_t from = t->seen; from < t->end;) {
        struct key_tile keys = key_tile(a, t, from);
        struct f32_rows k = key_rows(a, t, keys, K, w->part[KEYS]);
        gemm_tile(rows, keys.count, size, a->scale, q, size, false, k.data, k.stride, true, 0, p, keys.count);
        probabilities(a, t, keys, w);
        if (wanted.v)
            gemm_tile(keys.count, size, rows, 1, p, keys.count, true, dy, size, false, 1, w->part[DV] + from * size, size);
        if (wanted.scores) {
            struct f32_rows v = key_rows(a, t, keys, V, w->part[VALUES]);
            gemm_tile(rows, keys.count, size, 1, dy, size, false, v.data, v.stride, true, 0, ds, keys.count);
            score_gradients(a, t, keys, w);
        }
        if (wanted.k)
            gemm_tile(keys.count, size, rows, 1, ds, keys.count, true, q, size, false, 1, w->part[DK] + from * size, size);
        if (wanted.q)
            gemm_tile(rows, size, keys.count, 1, ds, keys.count, false, k.data, k.stride, false, 1, dq, size);
        from += keys.count;
    }
    if (wanted.q)
        unpack_rows(a->n->in[Q]->grad, a, t, dq, adds(a->n, Q));
}

/* Sums over all queries of a sequence leave the workspace: own rows to the gradient of K or V, prefix rows to this block's sums. */
static void leave(const struct attention *a, struct span s, int64_t kv_head, int which, const float *sums, float *prefix_sums)
{
    int64_t size = a->size, column = kv_head * size;
    for (int64_t i = 0; i < s.keys && wants(a->n, which); i++)
        write_head(a->n->in[which]->grad, s.k + i, column, sums + (a->prefix + i) * size, size, adds(a->n, which));
    for (int64_t i = 0; prefix_sums && i < a->prefix; i++)
        for (int64_t j = 0; j < size; j++)
            prefix_sums[i * a->kv_heads * size + column + j] += sums[i * size + j];
}

/* prefix_sums: of this block, keys then values, or NULL. */
static void backward_sequence(const struct attention *a, struct span s, int64_t kv_head, const struct workspace *w, struct wanted wanted, float *prefix_sums)
{
    size_t bytes = (size_t)((a->prefix + s.keys) * a->size) * sizeof(float);
    float *value_sums = prefix_sums ? prefix_sums + a->prefix * a->kv_heads * a->size : NULL;
    if (wanted.k)
        memset(w->part[DK], 0, bytes);
    if (wanted.v)
        memset(w->part[DV], 0, bytes);
    for (int64_t i = 0; i * a->tile_queries < s.queries; i++) {
        struct query_tile t = query_tile(a, s, kv_head, i);
        backward_tile(a, &t, w, wanted);
    }
    if (wanted.k)
        leave(a, s, kv_head, K, w->part[DK], prefix_sums);
    if (wanted.v)
        leave(a, s, kv_head, V, w->part[DV], value_sums);
}

/* Rows of no sequence: their gradients are 0, unless somebody wrote them before. */
static void clear_gradient_gaps(const struct attention *a)
{
    int64_t q_end = 0, k_end = 0;
    for (int64_t i = 0; i <= a->sequences; i++) {
        struct span s = i < a->sequences ? span_of(a, i) : (struct span){ .q = a->n->in[Q]->rows, .k = a->n->in[K]->rows };
        if (wants(a->n, Q) && !adds(a->n, Q))
            clear_rows(a->n->in[Q]->grad, q_end, s.q);
        for (int which = K; which <= V; which++)
            if (wants(a->n, which) && !adds(a->n, which))
                clear_rows(a->n->in[which]->grad, k_end, s.k);
        q_end = s.q + s.queries;
        k_end = s.k + s.keys;
    }
}

static void prefix_gradients(const struct attention *a, float *sums, int64_t blocks)
{
    int64_t count = a->prefix * a->kv_heads * a->size;
    for (int64_t b = 1; b < blocks; b++)
        for (int64_t i = 0; i < 2 * count; i++)
            sums[i] += sums[2 * b * count + i];
    for (int which = PREFIX_K; which <= PREFIX_V; which++)
        for (int64_t i = 0; i < a->prefix && wants(a->n, which); i++)
            write_head(a->n->in[which]->grad, i, 0, sums + (which == PREFIX_V ? count : 0) + i * a->kv_heads * a->size, a->kv_heads * a->size,
                       adds(a->n, which));
}

enum status attention_backward(struct device *device, const struct node *n)
{
    struct attention a = attention_of(n);
    struct wanted wanted = { .q = wants(n, Q), .k = wants(n, K) || wants(n, PREFIX_K), .v = wants(n, V) || wants(n, PREFIX_V) };
    wanted.scores = wanted.q || wanted.k;
    TRY(attention_check(device, &a, true));
    clear_gradient_gaps(&a);
    size_t floats = workspace_floats(&a);
    bool prefix = wants(n, PREFIX_K) || wants(n, PREFIX_V);
    int64_t blocks = prefix && a.sequences > PREFIX_BLOCKS ? PREFIX_BLOCKS : a.sequences, prefix_size = 2 * a.prefix * a.kv_heads * a.size;
    float *sums = (float *)n->scratch + (size_t)device->threads * floats;
    if (prefix)
        memset(sums, 0, (size_t)((blocks > 0 ? blocks : 1) * prefix_size) * sizeof(float));
#pragma omp parallel for schedule(dynamic) num_threads(device->threads)
    for (int64_t task = 0; task < blocks * a.kv_heads; task++) {
        int64_t block = task / a.kv_heads;
        struct workspace w = workspace_at(&a, (float *)n->scratch + (size_t)omp_get_thread_num() * floats);
        for (int64_t i = block * a.sequences / blocks; i < (block + 1) * a.sequences / blocks; i++)
            backward_sequence(&a, span_of(&a, i), task % a.kv_heads, &w, wanted, prefix ? sums + block * prefix_size : NULL);
    }
    if (prefix)
        prefix_gradients(&a, sums, blocks);
    return OK;
}
