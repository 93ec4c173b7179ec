/* Products too small or too thin for the library.
 *
 * small_product: b is seen in panels of PANEL columns, k runs in blocks, and a micro kernel keeps MICRO x PANEL sums in registers (MICRO is what 16 vector
 * registers hold). A missing row is computed twice and stored once; a missing column is a zero of the packed panel. thin_product: few rows against many weight
 * rows, one dot product each; four weight rows at a time, so that sums do not wait for each other.
 */
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/rows.h"

#include <string.h>

enum { PANEL = 16, MICRO = 6, BLOCK = 256, CHUNK = 1024 };

typedef float vector __attribute__((vector_size(PANEL * sizeof(float)), aligned(sizeof(float)), may_alias));

struct block {
    const float *a, *b; /* a: first row of the block's columns; b [k, PANEL] with rows b_stride apart */
    int64_t a_row, a_column, b_stride;
    int64_t k, columns; /* live columns of the panel */
    float alpha, beta;
    float *c;
    int64_t c_stride;
};

static inline __attribute__((always_inline)) void store(const struct block *s, int64_t row, const vector *sum)
{
    float *c = s->c + row * s->c_stride;
    if (s->columns == PANEL) {
        vector value = *sum * s->alpha;
        if (s->beta != 0)
            value += *(const vector *)c;
        *(vector *)c = value;
        return;
    }
    for (int64_t j = 0; j < s->columns; j++)
        c[j] = s->alpha * (*sum)[j] + (s->beta != 0 ? c[j] : 0);
}

/* Rows first .. first + MICRO, of which `live` exist. */
static inline __attribute__((always_inline)) void micro_kernel(const struct block *s, int64_t first, int64_t live)
{
    const float *a[MICRO];
    for (int i = 0; i < MICRO; i++)
        a[i] = s->a + (first + (i < live ? i : live - 1)) * s->a_row;
    vector c0 = { 0 }, c1 = { 0 }, c2 = { 0 }, c3 = { 0 }, c4 = { 0 }, c5 = { 0 };
    const float *b = s->b;
    for (int64_t p = 0; p < s->k; p++, b += s->b_stride) {
        vector v = *(const vector *)b;
        int64_t at = p * s->a_column;
        c0 += a[0][at] * v;
        c1 += a[1][at] * v;
        c2 += a[2][at] * v;
        c3 += a[3][at] * v;
        c4 += a[4][at] * v;
        c5 += a[5][at] * v;
    }
    const vector *sum[MICRO] = { &c0, &c1, &c2, &c3, &c4, &c5 };
    for (int i = 0; i < live; i++)
        store(s, first + i, sum[i]);
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

static inline __attribute__((always_inline)) void dot4(float out[4], const float *x, const float *const w[4], int64_t k)
{
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const float *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t p = 0; p < k; p++) {
        s0 += x[p] * w0[p];
        s1 += x[p] * w1[p];
        s2 += x[p] * w2[p];
        s3 += x[p] * w3[p];
    }
    out[0] += s0, out[1] += s1, out[2] += s2, out[3] += s3;
}

/* Four weight rows from column p on, as f32: themselves, or widened into the buffer. Rows beyond the last are the last again. */
static inline __attribute__((always_inline)) void weight_rows(const float *row[4], float (*buffer)[CHUNK], const void *w, enum dtype dtype, int64_t stride,
                                                              int64_t j, int64_t last, int64_t p, int64_t count)
{
    for (int r = 0; r < 4; r++) {
        int64_t at = (j + r < last ? j + r : last - 1) * stride + p;
        row[r] = buffer[r];
        if (dtype == F32)
            row[r] = (const float *)w + at;
        else if (j + r < last)
            widen(buffer[r], (const uint16_t *)w + at, dtype, count);
        else
            row[r] = buffer[0];
    }
}

static void store_row(void *c, enum dtype dtype, int64_t at, const float *sum, int64_t count, float alpha, float beta)
{
    float before[4] = { 0 }, value[4];
    void *to = dtype == F32 ? (void *)((float *)c + at) : (void *)((uint16_t *)c + at);
    if (beta != 0)
        widen(before, to, dtype, count);
    for (int64_t r = 0; r < count; r++)
        value[r] = alpha * sum[r] + before[r];
    narrow(to, value, dtype, count);
}

WIDE void thin_product(int64_t m, int64_t first, int64_t last, int64_t k, float alpha, const float *x, const void *w, enum dtype w_dtype, int64_t w_stride,
                       float beta, void *c, enum dtype c_dtype, int64_t c_stride)
{
    float buffer[4][CHUNK] __attribute__((aligned(64)));
    for (int64_t j = first; j < last; j += 4) {
        float sum[THIN_ROWS][4] = { { 0 } };
        for (int64_t p = 0; p < k; p += CHUNK) {
            int64_t count = k - p < CHUNK ? k - p : CHUNK;
            const float *row[4];
            weight_rows(row, buffer, w, w_dtype, w_stride, j, last, p, count);
            for (int64_t i = 0; i < m; i++)
                dot4(sum[i], x + i * k + p, row, count);
        }
        for (int64_t i = 0; i < m; i++)
            store_row(c, c_dtype, i * c_stride + j, sum[i], last - j < 4 ? last - j : 4, alpha, beta);
    }
}
