/* attention forward: one task per tile of queries; keys come in tiles, and rows in panels, so that scores stay in the first cache.
 *
 * Lanes are rows: scores stand as [key, row], a row's largest score and sum are lanes too, and softmax never sums across a vector. When a tile of keys brings a
 * larger score, sum and result shrink by exp(old - new).
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "autograd/ops/attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Of a few rows most lanes of a panel would idle, so keys and values are read front to back, as memory likes it. */
enum { FEW_ROWS = 4 };

static bool few(int64_t rows, int64_t size)
{
    return rows <= FEW_ROWS && size >= 2 * PANEL;
}

static void few_scores(int64_t rows, int64_t size, int64_t count, const float *q, struct f32_rows k, float *score)
{
    float by_row[FEW_ROWS * KEY_TILE];
    gemm_tile(rows, count, size, 1, q, size, false, k.data, k.stride, true, 0, by_row, count);
    memset(score, 0, (size_t)(count * PANEL) * sizeof *score);
    transpose(score, PANEL, by_row, count, rows, count);
}

static void few_results(int64_t rows, int64_t size, int64_t count, const float *score, struct f32_rows v, float *result)
{
    float by_row[FEW_ROWS * KEY_TILE];
    transpose(by_row, count, score, PANEL, count, rows);
    gemm_tile(rows, size, count, 1, by_row, count, false, v.data, v.stride, false, 1, result, size);
}

/* Rows [first, first + live) of a tile and the keys [begin, end) of a key tile that any of them sees; lanes behind the last row see all of these. */
struct panel {
    int64_t first, live, begin, end;
    int32_t from[PANEL], to[PANEL]; /* of each row */
};

static struct panel panel_at(const struct attention *a, const struct query_tile *t, struct key_tile keys, int64_t first, int64_t rows)
{
    struct panel p = { .first = first, .live = rows - first < PANEL ? rows - first : PANEL };
    int64_t position = t->position + first / a->group, head = first % a->group;
    for (int r = 0; r < p.live; r++) {
        struct seen seen = seen_from(a, position, keys);
        p.from[r] = (int32_t)seen.from;
        p.to[r] = (int32_t)seen.to;
        if (++head == a->group) {
            head = 0;
            position++;
        }
    }
    p.begin = p.from[0];
    p.end = p.to[p.live - 1];
    for (int64_t r = p.live; r < PANEL; r++) {
        p.from[r] = p.from[0];
        p.to[r] = p.to[p.live - 1];
    }
    return p;
}

/* ALiBi: what slopes add to raw scores of the keys at positions [first, first + count), which scale is applied to later. */
static WIDE void add_slopes(float *score, int64_t first, int64_t count, const float *slope, const float *query, bool coarse)
{
    for (int64_t j = 0; coarse && j < count; j++)
#pragma omp simd
        for (int r = 0; r < PANEL; r++)
            score[j * PANEL + r] += rounded_to_bf16(slope[r] * (float)(first + j));
    for (int64_t j = 0; !coarse && j < count; j++)
#pragma omp simd
        for (int r = 0; r < PANEL; r++)
            score[j * PANEL + r] += slope[r] * ((float)(first + j) - query[r]);
}

static void add_slopes_of(const struct attention *a, const struct query_tile *t, const struct panel *p, int64_t first, float *score)
{
    float slope[PANEL] = { 0 }, query[PANEL] = { 0 };
    for (int64_t r = 0; r < p->live; r++) {
        slope[r] = slope_of(a, t, p->first + r) * a->slope_factor;
        query[r] = (float)(t->position + (p->first + r) / a->group);
    }
    add_slopes(score, first, p->end - p->begin, slope, query, a->coarse);
}

/* Scores of keys [first, end) become those of no key for rows that do not see them. */
static WIDE void hide(const struct panel *p, int32_t first, int32_t end, float none, float *score)
{
    for (int32_t j = first; j < end; j++)
#pragma omp simd
        for (int r = 0; r < PANEL; r++) {
            float s = score[(j - p->begin) * PANEL + r];
            score[(j - p->begin) * PANEL + r] = ((j >= p->from[r]) & (j < p->to[r])) ? s : none;
        }
}

/* Scores [count, PANEL] become exp(scale * score - largest), and their column sums are added to sum; by what earlier results shrink. */
static WIDE void soften(float *score, int64_t count, float scale, float *largest, float *sum, float *shrink)
{
    float top[PANEL], shift[PANEL], total[PANEL];
#pragma omp simd
    for (int r = 0; r < PANEL; r++) {
        top[r] = largest[r];
        total[r] = 0;
    }
    for (int64_t j = 0; j < count; j++)
#pragma omp simd
        for (int r = 0; r < PANEL; r++) {
            float s = score[j * PANEL + r] * scale;
            top[r] = s > top[r] ? s : top[r];
        }
#pragma omp simd
    for (int r = 0; r < PANEL; r++) {
        shift[r] = top[r] == -INFINITY ? 0 : top[r]; /* a row that has seen no key yet */
        shrink[r] = exp_flushed_f32(largest[r] - shift[r]);
        largest[r] = top[r];
    }
    for (int64_t j = 0; j < count; j++)
#pragma omp simd
        for (int r = 0; r < PANEL; r++) {
            float p = exp_flushed_f32(score[j * PANEL + r] * scale - shift[r]);
            score[j * PANEL + r] = p;
            total[r] += p;
        }
#pragma omp simd
    for (int r = 0; r < PANEL; r++)
        sum[r] = sum[r] * shrink[r] + total[r];
}

static WIDE void shrink_rows(float *result, const float *shrink, int64_t rows, int64_t size)
{
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t i = 0; i < size; i++)
            result[r * size + i] *= shrink[r];
}

static void forward_panel(const struct attention *a, const struct query_tile *t, const struct panel *p, int64_t from, struct f32_rows k, struct f32_rows v,
                          const struct workspace *w)
{
    int64_t count = p->end - p->begin, size = a->size, row = wide(size);
    float *score = w->part[SCORES], *result = w->part[RESULT] + p->first * row, shrink[PANEL], none = a->scale < 0 ? INFINITY : -INFINITY;
    k.data += p->begin * k.stride;
    v.data += p->begin * v.stride;
    if (few(p->live, size))
        few_scores(p->live, size, count, w->part[QUERIES] + p->first * size, k, score);
    else
        panel_product(count, PANEL, size, (struct strided){ k.data, k.stride, 1 }, w->part[PANELS] + p->first * size, PANEL, score, PANEL, false);
    if (a->slopes)
        add_slopes_of(a, t, p, from + p->begin, score);
    int32_t all_from = p->from[p->live - 1], all_to = p->to[0] > all_from ? p->to[0] : all_from;
    hide(p, p->from[0], all_from, none, score);
    hide(p, all_to, p->to[p->live - 1], none, score);
    soften(score, count, a->scale, w->part[ROW_A] + p->first, w->part[ROW_B] + p->first, shrink);
    shrink_rows(result, shrink, p->live, row);
    if (few(p->live, size))
        few_results(p->live, row, count, score, v, result);
    else
        for (int64_t i = 0; i < row; i += PANEL)
            panel_product(p->live, row - i < PANEL ? HALF_PANEL : PANEL, count, (struct strided){ score, 1, PANEL }, v.data + i, v.stride, result + i, row,
                          true);
}

static WIDE void divide_rows(float *result, const float *sum, int64_t rows, int64_t size)
{
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t i = 0; i < size; i++)
            result[r * size + i] /= sum[r];
}

static void finish(const struct attention *a, const struct query_tile *t, const struct workspace *w)
{
    float *lse = a->n->out[LSE]->data;
    divide_rows(w->part[RESULT], w->part[ROW_B], t->count * a->group, wide(a->size));
    unpack_rows(a->n->out[Y], a, t, w->part[RESULT], wide(a->size), false);
    for (int64_t i = 0, r = 0; i < t->count; i++)
        for (int64_t h = 0; h < a->group; h++, r++)
            lse[(t->span.q + t->first + i) * a->heads + t->kv_head * a->group + h] = w->part[ROW_A][r] + logf(w->part[ROW_B][r]);
}

static void forward_tile(const struct attention *a, const struct query_tile *t, const struct workspace *w)
{
    int64_t rows = t->count * a->group;
    pack_rows(w->part[QUERIES], a, t, a->n->in[Q]);
    to_panels(w->part[PANELS], w->part[QUERIES], a->size, rows, a->size);
    memset(w->part[RESULT], 0, (size_t)(rows * wide(a->size)) * sizeof(float));
    for (int64_t r = 0; r < whole_panels(rows); r++) {
        w->part[ROW_A][r] = -INFINITY;
        w->part[ROW_B][r] = 0;
    }
    for (int64_t from = t->seen; from < t->end;) {
        struct key_tile keys = key_tile(a, t, from);
        struct f32_rows k = key_rows(a, t, keys, K, w->part[KEYS]), v = key_rows(a, t, keys, V, w->part[VALUES]);
        for (int64_t first = 0; first < rows; first += PANEL) {
            struct panel p = panel_at(a, t, keys, first, rows);
            if (p.begin < p.end)
                forward_panel(a, t, &p, from, k, v, w);
        }
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

/* The two products of a tile: scores, and sums of values. */
enum status attention_prepare(struct device *device, const struct node *n)
{
    gemm_tile_prepare(device, TILE_ROWS, KEY_TILE, false, true);
    gemm_tile_prepare(device, TILE_ROWS, n->params.heads.head_size, false, false);
    return OK;
}

enum status attention_forward(struct device *device, const struct node *n)
{
    struct attention a = attention_of(n);
    TRY(attention_check(device, &a, false));
    clear_gaps(&a);
    int64_t tiles = (a.longest + a.tile_queries - 1) / a.tile_queries, tasks = tiles * a.kv_heads * a.sequences;
    size_t floats = workspace_floats(&a);
#pragma omp parallel num_threads(device->threads)
    {
        struct workspace w = workspace_at(&a, (float *)n->scratch + (size_t)omp_get_thread_num() * floats);
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < tasks; task++) {
            struct span s = span_of(&a, task / (tiles * a.kv_heads));
            int64_t index = tiles - 1 - task % tiles; /* late queries see more keys: first things first */
            if (index * a.tile_queries >= s.queries)
                continue;
            struct query_tile t = query_tile(&a, s, task / tiles % a.kv_heads, index);
            forward_tile(&a, &t, &w);
        }
    }
    return OK;
}
