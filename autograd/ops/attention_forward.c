/* attention forward: one task per tile of queries; keys come in tiles.
 *
 * A row keeps its largest score so far and the sum of exp(score - largest). When a tile brings a larger one, sum and result shrink by exp(old - new).
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/ops/attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Scores of one row become exp(score - largest), 0 outside [from, to). Returns by what the row's earlier result shrinks. */
INLINE float soften_row(float *score, int64_t count, int64_t from, int64_t to, float *largest, float *sum)
{
    float top = *largest, total = 0;
    for (int64_t j = 0; j < from; j++)
        score[j] = 0;
    for (int64_t j = to; j < count; j++)
        score[j] = 0;
    if (from == to)
        return 1;
#pragma omp simd reduction(max : top)
    for (int64_t j = from; j < to; j++)
        top = top > score[j] ? top : score[j];
    float shrink = *largest == -INFINITY ? 0 : exp_f32(*largest - top);
#pragma omp simd reduction(+ : total)
    for (int64_t j = from; j < to; j++) {
        float p = exp_f32(score[j] - top);
        score[j] = p;
        total += p;
    }
    *largest = top;
    *sum = *sum * shrink + total;
    return shrink;
}

static WIDE void soften(const struct attention *a, const struct query_tile *t, struct key_tile keys, const struct workspace *w)
{
    for (int64_t r = 0; r < t->count * a->group; r++) {
        int64_t from, to;
        row_sees(a, t, keys, r, &from, &to);
        float shrink = soften_row(w->part[SCORES] + r * keys.count, keys.count, from, to, &w->part[ROW_A][r], &w->part[ROW_B][r]);
        float *result = w->part[RESULT] + r * a->size;
        for (int64_t i = 0; shrink != 1 && i < a->size; i++)
            result[i] *= shrink;
    }
}

static void finish(const struct attention *a, const struct query_tile *t, const struct workspace *w)
{
    const struct tensor *lse = a->n->out[LSE];
    for (int64_t r = 0; r < t->count * a->group; r++) {
        float sum = w->part[ROW_B][r], *result = w->part[RESULT] + r * a->size;
        for (int64_t i = 0; i < a->size; i++)
            result[i] /= sum;
        int64_t query = t->span.q + t->first + r / a->group, head = t->kv_head * a->group + r % a->group;
        ((float *)lse->data)[query * a->heads + head] = w->part[ROW_A][r] + logf(sum);
    }
    unpack_rows(a->n->out[Y], a, t, w->part[RESULT], false);
}

static void forward_tile(const struct attention *a, const struct query_tile *t, const struct workspace *w)
{
    int64_t rows = t->count * a->group;
    pack_rows(w->part[QUERIES], a, t, a->n->in[Q]);
    memset(w->part[RESULT], 0, (size_t)(rows * a->size) * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        w->part[ROW_A][r] = -INFINITY;
        w->part[ROW_B][r] = 0;
    }
    for (int64_t from = t->seen; from < t->end;) {
        struct key_tile keys = key_tile(a, t, from);
        struct f32_rows k = key_rows(a, t, keys, K, w->part[KEYS]), v = key_rows(a, t, keys, V, w->part[VALUES]);
        gemm_tile(rows, keys.count, a->size, a->scale, w->part[QUERIES], a->size, false, k.data, k.stride, true, 0, w->part[SCORES], keys.count);
        soften(a, t, keys, w);
        gemm_tile(rows, a->size, keys.count, 1, w->part[SCORES], keys.count, false, v.data, v.stride, false, 1, w->part[RESULT], a->size);
        from += keys.count;
    }
    finish(a, t, w);
}

/* Rows of no sequence: y and lse are 0. */
static void clear_gaps(const struct attention *a)
{
    int64_t end = 0;
    for (int64_t i = 0; i <= a->sequences; i++) {
        int64_t rows = a->n->in[Q]->rows;
        struct span s = i < a->sequences ? span_of(a, i) : (struct span){ .q = rows };
        clear_rows(a->n->out[Y], end, s.q);
        clear_rows(a->n->out[LSE], end, s.q);
        end = s.q + s.queries;
    }
}

enum status attention_forward(struct device *device, const struct node *n)
{
    struct attention a = attention_of(n);
    TRY(attention_check(device, &a, false));
    clear_gaps(&a);
    int64_t tiles = (a.longest + a.tile_queries - 1) / a.tile_queries, tasks = tiles * a.kv_heads * a.sequences;
    size_t floats = workspace_floats(&a);
#pragma omp parallel for schedule(dynamic) num_threads(device->threads)
    for (int64_t task = 0; task < tasks; task++) {
        struct span s = span_of(&a, task / (tiles * a.kv_heads));
        int64_t index = tiles - 1 - task % tiles; /* late queries see more keys: first things first */
        if (index * a.tile_queries >= s.queries)
            continue;
        struct query_tile t = query_tile(&a, s, task / tiles % a.kv_heads, index);
        struct workspace w = workspace_at(&a, (float *)n->scratch + (size_t)omp_get_thread_num() * floats);
        forward_tile(&a, &t, &w);
    }
    return OK;
}
