/* Products too small for the library.
 *
 * Vectors have 8 lanes on every CPU: wider ones would be slower where the compiler has to break them up, and sums have the same order everywhere.
 *
 * small_product: b is seen in panels of PANEL columns, k runs in blocks, and a micro kernel keeps MICRO x PANEL sums in registers (MICRO is what 16 vector
 * registers hold, two to a row). A missing row is another row computed twice and not stored; a missing column is a zero of the packed panel.
 */
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/rows.h"

#include <string.h>

enum { LANES = 8, PANEL = 2 * LANES, MICRO = 6, BLOCK = 256 };

typedef float vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

struct block {
    const float *a, *b; /* a: first row of the block's columns; b [k, PANEL] with rows b_stride apart */
    int64_t a_row, a_column, b_stride;
    int64_t k, columns; /* live columns of the panel */
    float alpha, beta;
    float *c;
    int64_t c_stride;
};

static inline __attribute__((always_inline)) void store_lanes(const struct block *s, float *c, vector sum)
{
    vector value = sum * s->alpha;
    if (s->beta != 0)
        value += *(const vector *)c;
    *(vector *)c = value;
}

static inline __attribute__((always_inline)) void store(const struct block *s, int64_t row, vector left, vector right)
{
    float *c = s->c + row * s->c_stride;
    if (s->columns == PANEL) {
        store_lanes(s, c, left);
        store_lanes(s, c + LANES, right);
        return;
    }
    for (int64_t j = 0; j < s->columns; j++)
        c[j] = s->alpha * (j < LANES ? left[j] : right[j - LANES]) + (s->beta != 0 ? c[j] : 0);
}

/* Rows first .. first + MICRO, of which `live` exist. */
static inline __attribute__((always_inline)) void micro_kernel(const struct block *s, int64_t first, int64_t live)
{
    const float *a[MICRO];
    for (int i = 0; i < MICRO; i++)
        a[i] = s->a + (first + (i < live ? i : live - 1)) * s->a_row;
    vector l0 = { 0 }, l1 = { 0 }, l2 = { 0 }, l3 = { 0 }, l4 = { 0 }, l5 = { 0 };
    vector r0 = { 0 }, r1 = { 0 }, r2 = { 0 }, r3 = { 0 }, r4 = { 0 }, r5 = { 0 };
    const float *b = s->b;
    for (int64_t p = 0; p < s->k; p++, b += s->b_stride) {
        vector left = *(const vector *)b, right = *(const vector *)(b + LANES);
        int64_t at = p * s->a_column;
        l0 += a[0][at] * left, r0 += a[0][at] * right;
        l1 += a[1][at] * left, r1 += a[1][at] * right;
        l2 += a[2][at] * left, r2 += a[2][at] * right;
        l3 += a[3][at] * left, r3 += a[3][at] * right;
        l4 += a[4][at] * left, r4 += a[4][at] * right;
        l5 += a[5][at] * left, r5 += a[5][at] * right;
    }
    const vector left[MICRO] = { l0, l1, l2, l3, l4, l5 }, right[MICRO] = { r0, r1, r2, r3, r4, r5 };
    for (int i = 0; i < live; i++)
        store(s, first + i, left[i], right[i]);
}

static inline __attribute__((always_inline)) void pack(float *to, const float *b, int64_t k, int64_t columns, int64_t row_step, int64_t column_step)
{
    if (columns < PANEL)
        memset(to, 0, (size_t)(k * PANEL) * sizeof(float));
    if (column_step == 1)
        for (int64_t p = 0; p < k; p++)
            memcpy(to + p * PANEL, b + p * row_step, (size_t)columns * sizeof(float));
    else
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = 0; j < columns; j++)
                to[p * PANEL + j] = b[p * row_step + j * column_step];
}

WIDE void small_product(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
                        bool b_transposed, float beta, float *c, int64_t c_stride)
{
    float packed[BLOCK * PANEL] __attribute__((aligned(64)));
    int64_t a_row = a_transposed ? 1 : a_stride, a_column = a_transposed ? a_stride : 1;
    int64_t b_row = b_transposed ? 1 : b_stride, b_column = b_transposed ? b_stride : 1;
    int64_t p = 0;
    do { /* once for k = 0 too: beta * c */
        int64_t depth = k - p < BLOCK ? k - p : BLOCK;
        for (int64_t j = 0; j < n; j += PANEL) {
            struct block s = {
                a + p * a_column, b + p * b_row + j * b_column, a_row, a_column, b_row, depth, n - j < PANEL ? n - j : PANEL, alpha, p ? 1 : beta, c + j,
                c_stride
            };
            if (b_transposed || s.columns < PANEL || m > 2 * MICRO) {
                pack(packed, s.b, depth, s.columns, b_row, b_column);
                s.b = packed;
                s.b_stride = PANEL;
            }
            for (int64_t i = 0; i < m; i += MICRO)
                micro_kernel(&s, i, m - i < MICRO ? m - i : MICRO);
        }
        p += BLOCK;
    } while (p < k);
}
