/* x w^T of few rows: one dot product for each of many weight rows, and nearly all the time goes into reading those.
 *
 * A weight row is read once, front to back, as memory likes it. Vectors have 8 lanes on every CPU, as in gemm_small.c.
 */
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/rows.h"

enum { LANES = 8, CHUNK = 1024, THIN_COLUMNS = 32 };

typedef float vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef float half __attribute__((vector_size(LANES * sizeof(float) / 2), aligned(sizeof(float)), may_alias));

static inline __attribute__((always_inline)) float sum_of(vector v)
{
    const float *f = (const float *)&v;
    half h = *(const half *)f + *(const half *)(f + LANES / 2);
    return (h[0] + h[1]) + (h[2] + h[3]);
}

/* One row of x: four sums, so that none waits for the one before. */
static inline __attribute__((always_inline)) void dot(float *out, const float *x, const float *w, int64_t k)
{
    vector s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };
    int64_t p = 0;
    for (; p + 4 * LANES <= k; p += 4 * LANES) {
        s0 += *(const vector *)(x + p) * *(const vector *)(w + p);
        s1 += *(const vector *)(x + p + LANES) * *(const vector *)(w + p + LANES);
        s2 += *(const vector *)(x + p + 2 * LANES) * *(const vector *)(w + p + 2 * LANES);
        s3 += *(const vector *)(x + p + 3 * LANES) * *(const vector *)(w + p + 3 * LANES);
    }
    for (; p + LANES <= k; p += LANES)
        s0 += *(const vector *)(x + p) * *(const vector *)(w + p);
    float rest = 0;
    for (; p < k; p++)
        rest += x[p] * w[p];
    *out += sum_of(s0 + s1 + (s2 + s3)) + rest;
}

/* Four rows of x. */
static inline __attribute__((always_inline)) void dot4(float *out, const float *x, int64_t x_stride, const float *w, int64_t k)
{
    const float *x1 = x + x_stride, *x2 = x1 + x_stride, *x3 = x2 + x_stride;
    vector s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES) {
        vector v = *(const vector *)(w + p);
        s0 += *(const vector *)(x + p) * v;
        s1 += *(const vector *)(x1 + p) * v;
        s2 += *(const vector *)(x2 + p) * v;
        s3 += *(const vector *)(x3 + p) * v;
    }
    float rest[4] = { 0 };
    for (; p < k; p++) {
        rest[0] += x[p] * w[p];
        rest[1] += x1[p] * w[p];
        rest[2] += x2[p] * w[p];
        rest[3] += x3[p] * w[p];
    }
    out[0] += sum_of(s0) + rest[0];
    out[1] += sum_of(s1) + rest[1];
    out[2] += sum_of(s2) + rest[2];
    out[3] += sum_of(s3) + rest[3];
}

static void store_column(void *c, enum dtype dtype, int64_t stride, int64_t j, const float *sum, int64_t m, float alpha, float beta)
{
    for (int64_t i = 0; i < m; i++) {
        void *to = (char *)c + (size_t)(i * stride + j) * dtype_bytes(dtype);
        float value = 0;
        if (beta != 0)
            widen(&value, to, dtype, 1);
        value += alpha * sum[i];
        narrow(to, &value, dtype, 1);
    }
}

/* Columns [first, last) of the result. */
static WIDE void thin_part(int64_t m, int64_t first, int64_t last, int64_t k, float alpha, const float *x, int64_t x_stride, const void *w, enum dtype w_dtype,
                           int64_t w_stride, float beta, void *c, enum dtype c_dtype, int64_t c_stride)
{
    float buffer[CHUNK] __attribute__((aligned(64)));
    for (int64_t j = first; j < last; j++) {
        float sum[THIN_ROWS] = { 0 };
        for (int64_t p = 0; p < k; p += CHUNK) {
            int64_t count = k - p < CHUNK ? k - p : CHUNK, i = 0;
            const void *stored = (const char *)w + (size_t)(j * w_stride + p) * dtype_bytes(w_dtype);
            const float *row = stored;
            if (w_dtype != F32) {
                widen(buffer, stored, w_dtype, count);
                row = buffer;
            }
            for (; i + 4 <= m; i += 4)
                dot4(sum + i, x + i * x_stride + p, x_stride, row, count);
            for (; i < m; i++)
                dot(&sum[i], x + i * x_stride + p, row, count);
        }
        store_column(c, c_dtype, c_stride, j, sum, m, alpha, beta);
    }
}

/* y = x w^T of a few rows. A stride that is no power of two keeps the rows of x together in the first cache. */
enum status thin_product(struct device *device, const struct product *p)
{
    int64_t stride = even_part(p->k, 1, 32) + 16;
    TRY(gemm_reserve(device, (size_t)(p->m * stride) * sizeof(float)));
    float *x = gemm_scratch(device, 0);
    for (int64_t i = 0; i < p->m; i++)
        widen(x + i * stride, element(p->a.data, p->a.dtype, i * p->a.stride), p->a.dtype, p->k);
#pragma omp parallel for schedule(static) num_threads(device->threads) if (p->n * p->k > 65536)
    for (int64_t j = 0; j < p->n; j += THIN_COLUMNS)
        thin_part(p->m, j, smaller(j + THIN_COLUMNS, p->n), p->k, p->alpha, x, stride, p->b.data, p->b.dtype, p->b.stride, p->beta, p->c, p->c_dtype,
                  p->c_stride);
    return OK;
}
