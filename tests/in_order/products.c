/* Products whose every element is one sum over the inner dimension in ascending order, whatever the shape: the twin of autograd/cpu/gemm.c for tests that want
 * no tiles. Slow. */
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/rows.h"

#include <stdlib.h>
#include <string.h>

enum status gemm_open(struct device *device, struct error *err)
{
    (void)device, (void)err;
    return OK;
}

void gemm_close(struct device *device)
{
    (void)device;
}

void gemm_library(char name[64])
{
    strcpy(name, "in order");
}

void gemm_tile(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
               bool b_transposed, float beta, float *c, int64_t c_stride)
{
    small_product(m, n, k, alpha, a, a_stride, a_transposed, b, b_stride, b_transposed, beta, c, c_stride);
}

void gemm_tile_prepare(struct device *device, int64_t m, int64_t n, bool a_transposed, bool b_transposed)
{
    (void)device, (void)m, (void)n, (void)a_transposed, (void)b_transposed;
}

/* The stored matrix as f32. */
static float *widened(const struct operand *o, int64_t rows, int64_t columns)
{
    const int64_t stored = o->transposed ? columns : rows, length = o->transposed ? rows : columns;
    float *values = malloc((size_t)(stored * length) * sizeof *values);
    for (int64_t r = 0; values && r < stored; r++)
        widen(values + r * length, element(o->data, o->dtype, r * o->stride), o->dtype, length);
    return values;
}

enum status gemm(struct device *device, int64_t m, int64_t n, int64_t k, float alpha, struct operand a, struct operand b, float beta, void *c,
                 enum dtype c_dtype, int64_t c_stride)
{
    if (m == 0 || n == 0)
        return OK;
    float *left = widened(&a, m, k), *right = widened(&b, k, n), *sums = malloc((size_t)(m * n) * sizeof *sums);
    const bool enough = left && right && sums;
    for (int64_t i = 0; enough && i < m; i++)
        widen(sums + i * n, element(c, c_dtype, i * c_stride), c_dtype, n);
    if (enough)
        small_product(m, n, k, alpha, left, a.transposed ? m : k, a.transposed, right, b.transposed ? k : n, b.transposed, beta, sums, n);
    for (int64_t i = 0; enough && i < m; i++)
        narrow(element(c, c_dtype, i * c_stride), sums + i * n, c_dtype, n);
    free(left), free(right), free(sums);
    return enough ? OK : fail_with(device->err, NO_MEMORY, "products in order: no memory for %lld x %lld", "free some memory", (long long)m, (long long)n);
}

enum status gemm_prepare(struct device *device, int64_t m, int64_t n, int64_t k, float alpha, struct operand a, struct operand b, float beta, void *c,
                         enum dtype c_dtype, int64_t c_stride)
{
    (void)device, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)b, (void)beta, (void)c, (void)c_dtype, (void)c_stride;
    return OK;
}
