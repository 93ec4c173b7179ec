/* f32 products with graft's own loops.
 *
 * b is seen in panels of up to MOST_VECTORS vectors of columns, k runs in blocks, and a block of rows keeps all its sums in registers while it walks down a
 * panel. As many panels as there is room for are packed together, and all of them meet a group of rows while these are near. Columns that fill no vector are a
 * panel of their own, zeros behind them. Lanes are columns, so sums have one order, however many lanes there are.
 */
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/math.h"
#include "autograd/cpu/transpose.h"

#include <string.h>

enum {
    BLOCK = 256,
    MOST_VECTORS = 3,
    MOST_LANES = 16,
    ROOM = BLOCK * MOST_VECTORS * MOST_LANES,
    MOST_PANELS = 32,
    UNIT = 4, /* rows of a block are a multiple */
    MOST_ROWS = 3 * UNIT,
    MOST_SUMS = 2 * MOST_ROWS,
    GROUP = 2 * MOST_ROWS,
    NARROW = 8, /* columns */
};

struct small {
    int64_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    int64_t a_row, a_column, b_row, b_column; /* steps */
    float *c;
    int64_t c_stride;
};

/* Some columns and a block of the inner dimension. */
struct panel {
    const float *a, *b; /* b [k, whole vectors] with rows b_stride apart */
    int64_t a_row, a_column, b_stride;
    int64_t k, columns, vectors;
    float alpha, beta;
    float *c;
    int64_t c_stride;
};

/* Columns that fill no vector: how c is written. */
static void store_some(const struct panel *s, float *c, const float *sum)
{
    int64_t j = 0;
    for (; j + QUAD <= s->columns; j += QUAD) {
        quad four = *(const quad *)(sum + j) * s->alpha;
        if (s->beta != 0)
            four += *(const quad *)(c + j);
        *(quad *)(c + j) = four;
    }
    for (; j < s->columns; j++)
        c[j] = sum[j] * s->alpha + (s->beta != 0 ? c[j] : 0);
}

/* Without the call that memcpy is for so few. */
INLINE void copy_some(float *to, const float *from, int64_t count)
{
    int64_t j = 0;
    for (; j + QUAD <= count; j += QUAD)
        *(quad *)(to + j) = *(const quad *)(from + j);
    for (; j < count; j++)
        to[j] = from[j];
}

static void pack(struct panel *s, float *to, int64_t width, int64_t row_step, int64_t column_step)
{
    if (s->columns < width)
        memset(to, 0, (size_t)(s->k * width) * sizeof(float));
    if (column_step != 1)
        transpose(to, width, s->b, column_step, s->columns, s->k);
    else
        for (int64_t p = 0; p < s->k; p++)
            copy_some(to + p * width, s->b + p * row_step, s->columns);
    s->b = to;
    s->b_stride = width;
}

/* Vectors of the next panel when so many columns are left: even panels, then what fills no vector. */
static int64_t next_vectors(int64_t left, int64_t lanes)
{
    int64_t whole = left / lanes;
    return whole ? parts(whole, parts(whole, MOST_VECTORS)) : 1;
}

/* Panels of a block of the inner dimension from a column on, until there is no more room. Returns the first column of those that follow. */
static int64_t some_panels(const struct small *q, int64_t p, int64_t column, int64_t lanes, struct panel *panel, int *count, float *packed)
{
    int64_t k = smaller(BLOCK, q->k - p), used = 0;
    while (column < q->n && *count < MOST_PANELS) {
        int64_t vectors = next_vectors(q->n - column, lanes), width = vectors * lanes;
        struct panel s = { q->a + p * q->a_column,
                           q->b + p * q->b_row + column * q->b_column,
                           q->a_row,
                           q->a_column,
                           q->b_row,
                           k,
                           smaller(width, q->n - column),
                           vectors,
                           q->alpha,
                           p ? 1 : q->beta,
                           q->c + column,
                           q->c_stride };
        if (q->b_column != 1 || s.columns < width || (q->m > GROUP && q->b_row != width)) {
            if (used + k * width > ROOM)
                break;
            pack(&s, packed + used, width, q->b_row, q->b_column);
            used += k * width;
        }
        panel[(*count)++] = s;
        column += s.columns;
    }
    return column;
}

#define KERNEL "autograd/cpu/gemm_small_kernel.h"
#include "autograd/cpu/each_set.h"

void small_product(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
                   bool b_transposed, float beta, float *c, int64_t c_stride)
{
    struct small q = { m, n, k, alpha, beta, a, b, a_stride, 1, b_stride, 1, c, c_stride };
    if (a_transposed)
        q.a_row = 1, q.a_column = a_stride;
    if (b_transposed)
        q.b_row = 1, q.b_column = b_stride;
    (n <= NARROW ? FASTEST_NARROW(small) : FASTEST(small))(&q); /* wider lanes would idle */
}
