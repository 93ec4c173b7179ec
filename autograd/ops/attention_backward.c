/* attention backward: one task per sequence (or block of sequences) and key head, which owns the gradients of its keys, values and queries.
 *
 *     p = exp(scale * q k^T - lse)      dv = p^T dy        dp = dy v^T       ds = scale * p * (dp - rowsum(dy * y))
 *     dq = ds k                         dk = ds^T q        summed over the heads of the group, as these are rows of the same tile
 *
 * Lanes are keys: scores stand as [row, key] in panels of PANEL keys, and keys, values and their gradients lie as panels while a sequence lasts.
 */
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/ops/attention.h"

#include <omp.h>
#include <string.h>

/* What is wanted; scores: anything that needs ds. */
struct wanted {
    bool q, k, v, scores;
};

/* As in forward, with keys along the lanes: row r of the tile, keys at positions [key, key + PANEL). */
static WIDE void add_slope(float *score, float slope, int64_t query, int64_t key, bool coarse)
{
    if (coarse) {
#pragma omp simd
        for (int j = 0; j < PANEL; j++)
            score[j] += rounded_to_bf16(slope * (float)(key + j));
    } else {
#pragma omp simd
        for (int j = 0; j < PANEL; j++)
            score[j] += slope * ((float)(key + j) - (float)query);
    }
}

/* Scores [rows, PANEL] become probabilities, whether seen or not. */
static WIDE void probabilities(float *p, const float *lse, float scale, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int j = 0; j < PANEL; j++)
            p[r * PANEL + j] = exp_flushed_f32(p[r * PANEL + j] * scale - lse[r]);
}

/* From dp to ds. */
static WIDE void score_gradients(float *ds, const float *p, const float *delta, float scale, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int j = 0; j < PANEL; j++)
            ds[r * PANEL + j] = p[r * PANEL + j] * (ds[r * PANEL + j] - delta[r]) * scale;
}

static WIDE void hide_row(float *score, int from, int to)
{
#pragma omp simd
    for (int j = 0; j < PANEL; j++)
        score[j] = ((j >= from) & (j < to)) ? score[j] : 0;
}

/* What queries [first, end) do not see of a panel of keys becomes 0, whatever it is. */
static void hide(const struct attention *a, const struct query_tile *t, int64_t first, int64_t end, struct key_tile keys, float *scores)
{
    for (int64_t i = first; i < end; i++) {
        struct seen seen = seen_from(a, t->position + i, keys);
        for (int64_t r = i * a->group; (seen.from > 0 || seen.to < PANEL) && r < (i + 1) * a->group; r++)
            hide_row(scores + r * PANEL, (int)seen.from, (int)seen.to);
    }
}

static WIDE float dot(const float *x, const float *y, int64_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += x[i] * y[i];
    return sum;
}

/* ROW_A: lse; ROW_B: rowsum(dy * y), with y passing through the place of dq. */
static void row_statistics(const struct attention *a, const struct query_tile *t, const struct workspace *w, bool scores)
{
    const float *lse = a->n->out[LSE]->data;
    if (scores)
        pack_rows(w->part[RESULT], a, t, a->n->out[Y]);
    for (int64_t i = 0, r = 0; i < t->count; i++)
        for (int64_t h = 0; h < a->group; h++, r++) {
            w->part[ROW_A][r] = lse[(t->span.q + t->first + i) * a->heads + t->kv_head * a->group + h];
            w->part[ROW_B][r] = scores ? dot(w->part[OUTER] + r * a->size, w->part[RESULT] + r * a->size, a->size) : 0;
        }
}

/* One panel of keys, from position `key` on, against the queries of the tile that see some of it. */
static void backward_panel(const struct attention *a, const struct query_tile *t, int64_t key, const struct workspace *w, struct wanted wanted)
{
    int64_t first = key > t->position ? key - t->position : 0, end = key + PANEL - 1 + a->window - t->position, size = a->size, width = wide(size);
    end = end < t->count ? end : t->count;
    if (first >= end)
        return;
    struct key_tile keys = { key, PANEL };
    int64_t row = first * a->group, rows = (end - first) * a->group;
    float *p = w->part[SCORES] + row * PANEL, *ds = w->part[DSCORES] + row * PANEL;
    const float *q = w->part[QUERIES] + row * size, *dy = w->part[OUTER] + row * size;
    panel_product(rows, PANEL, size, (struct strided){ q, size, 1 }, w->part[KEY_PANELS] + key * size, PANEL, p, PANEL, false);
    for (int64_t r = 0; a->slopes && r < rows; r++)
        add_slope(p + r * PANEL, slope_of(a, t, row + r) * a->slope_factor, t->position + (row + r) / a->group, key, a->coarse);
    probabilities(p, w->part[ROW_A] + row, a->scale, rows);
    hide(a, t, first, end, keys, w->part[SCORES]);
    if (wanted.v)
        panel_product(size, PANEL, rows, (struct strided){ dy, 1, size }, p, PANEL, w->part[DV] + key * size, PANEL, true);
    if (!wanted.scores)
        return;
    panel_product(rows, PANEL, size, (struct strided){ dy, size, 1 }, w->part[VALUES] + key * size, PANEL, ds, PANEL, false);
    score_gradients(ds, p, w->part[ROW_B] + row, a->scale, rows);
    hide(a, t, first, end, keys, w->part[DSCORES]);
    if (wanted.k)
        panel_product(size, PANEL, rows, (struct strided){ q, 1, size }, ds, PANEL, w->part[DK] + key * size, PANEL, true);
    for (int64_t i = 0; wanted.q && i < width; i += PANEL)
        panel_product(rows, width - i < PANEL ? HALF_PANEL : PANEL, PANEL, (struct strided){ ds, PANEL, 1 }, w->part[KEYS] + key * width + i, width,
                      w->part[RESULT] + row * width + i, width, true);
}

static void backward_tile(const struct attention *a, const struct query_tile *t, const struct workspace *w, struct wanted wanted)
{
    int64_t width = wide(a->size);
    pack_rows(w->part[QUERIES], a, t, a->n->in[Q]);
    pack_rows(w->part[OUTER], a, t, a->n->out[Y]->grad);
    row_statistics(a, t, w, wanted.scores);
    memset(w->part[RESULT], 0, (size_t)(t->count * a->group * width) * sizeof(float));
    for (int64_t key = t->seen / PANEL * PANEL; key < t->end; key += PANEL)
        backward_panel(a, t, key, w, wanted);
    if (wanted.q)
        unpack_rows(a->n->in[Q]->grad, a, t, w->part[RESULT], width, adds(a->n, Q));
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
    int64_t keys = a->prefix + s.keys, width = wide(a->size);
    size_t bytes = (size_t)(whole_panels(keys) * a->size) * sizeof(float);
    float *value_sums = prefix_sums ? prefix_sums + a->prefix * a->kv_heads * a->size : NULL, *rows = w->part[KEYS];
    pack_keys(rows, width, a, s, kv_head, V);
    to_panels(w->part[VALUES], rows, width, keys, a->size);
    pack_keys(rows, width, a, s, kv_head, K);
    to_panels(w->part[KEY_PANELS], rows, width, keys, a->size);
    memset(w->part[DK], 0, bytes);
    memset(w->part[DV], 0, bytes);
    for (int64_t i = 0; i * a->tile_queries < s.queries; i++) {
        struct query_tile t = query_tile(a, s, kv_head, i);
        backward_tile(a, &t, w, wanted);
    }
    if (wanted.k) {
        from_panels(rows, w->part[DK], keys, a->size);
        leave(a, s, kv_head, K, rows, prefix_sums);
    }
    if (wanted.v) {
        from_panels(rows, w->part[DV], keys, a->size);
        leave(a, s, kv_head, V, rows, value_sums);
    }
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
#pragma omp parallel num_threads(device->threads)
    {
        struct workspace w = workspace_at(&a, (float *)n->scratch + (size_t)omp_get_thread_num() * floats);
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < blocks * a.kv_heads; task++) {
            int64_t block = task / a.kv_heads;
            for (int64_t i = block * a.sequences / blocks; i < (block + 1) * a.sequences / blocks; i++)
                backward_sequence(&a, span_of(&a, i), task % a.kv_heads, &w, wanted, prefix ? sums + block * prefix_size : NULL);
        }
    }
    if (prefix)
        prefix_gradients(&a, sums, blocks);
    return OK;
}
