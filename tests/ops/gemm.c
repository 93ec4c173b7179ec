/* Matrix products: every mixture of sizes, storage, transposition and accumulation against double precision, and what the rest of the house relies on: the same
 * bits with any number of threads, exact zeros, nothing written outside.
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GAP = 5 }; /* columns between rows that belong to nobody */

static const float nobodys = 12352; /* exact in every dtype */

struct matrix {
    enum dtype dtype;
    int64_t rows, cols, stride;
    double *value; /* what is stored, as double: [rows, cols] */
    void *data;
};

static struct matrix matrix_new(int64_t rows, int64_t cols, enum dtype dtype, uint32_t seed, float amplitude)
{
    struct matrix m = { dtype, rows, cols, cols + GAP, NULL, NULL };
    float *row = calloc((size_t)m.stride, sizeof *row);
    m.value = calloc((size_t)(rows * cols) + 1, sizeof *m.value);
    m.data = calloc((size_t)(rows * m.stride) + 1, dtype_bytes(dtype));
    for (int64_t i = 0; i < rows; i++) {
        void *to = (char *)m.data + (size_t)(i * m.stride) * dtype_bytes(dtype);
        for (int64_t j = 0; j < m.stride; j++) {
            seed = seed * 1664525u + 1013904223u;
            row[j] = j < cols ? amplitude * ((float)(seed >> 8) / 8388608.0f - 1) : nobodys;
        }
        narrow(to, row, dtype, m.stride);
        widen(row, to, dtype, m.stride);
        for (int64_t j = 0; j < cols; j++)
            m.value[i * cols + j] = row[j];
    }
    free(row);
    return m;
}

static void matrix_free(struct matrix *m)
{
    free(m->value);
    free(m->data);
}

static float stored(const struct matrix *m, int64_t i, int64_t j)
{
    float value;
    widen(&value, (char *)m->data + (size_t)(i * m->stride + j) * dtype_bytes(m->dtype), m->dtype, 1);
    return value;
}

static struct device open_device(int threads, struct error *err)
{
    struct device device;
    *err = (struct error){ 0 };
    assert_int_equal(device_open(&device, "cpu", threads, err), OK);
    return device;
}

static const int64_t sizes[][3] = {
    { 1, 1, 1 },    { 2, 3, 5 },     { 1, 70, 33 },  { 3, 129, 1030 }, { 8, 50, 64 },   { 9, 16, 16 },    { 7, 1, 300 },   { 33, 65, 1 },
    { 64, 64, 64 }, { 31, 17, 200 }, { 130, 7, 40 }, { 37, 500, 24 },  { 300, 48, 70 }, { 601, 97, 20 },  { 45, 70, 790 }, { 120, 31, 1600 },
    { 15, 26, 77 }, { 3, 47, 9 },    { 29, 8, 300 }, { 13, 1700, 3 },  { 14, 33, 513 }, { 99, 100, 257 },
};
static const struct {
    enum dtype a, b, c;
} storage[] = {
    { F32, F32, F32 },  { F32, BF16, F32 },  { F32, F16, F32 },   { BF16, BF16, F32 }, { BF16, BF16, BF16 },
    { BF16, F32, F32 }, { BF16, F32, BF16 }, { BF16, F16, BF16 }, { F32, F32, BF16 },
};

static void check_result(const struct matrix *a, const struct matrix *b, const struct matrix *c, int64_t k, bool ta, bool tb, float alpha, float beta,
                         const char *what)
{
    double rounding = c->dtype == BF16 ? 1.0 / 256 : 0;
    for (int64_t i = 0; i < c->rows; i++) {
        for (int64_t j = 0; j < c->cols; j++) {
            double sum = 0, size = 0;
            for (int64_t p = 0; p < k; p++) {
                double term = a->value[ta ? p * a->cols + i : i * a->cols + p] * b->value[tb ? j * b->cols + p : p * b->cols + j];
                sum += term;
                size += fabs(term);
            }
            double expected = alpha * sum + beta * c->value[i * c->cols + j], got = stored(c, i, j);
            double allowed = 1e-6 * (fabs(alpha) * size + fabs(expected)) + rounding * fabs(expected);
            if (!(fabs(got - expected) <= allowed))
                fail_msg("%s: element %lld, %lld is %g, not %g", what, (long long)i, (long long)j, got, expected);
        }
        for (int64_t j = c->cols; j < c->stride; j++)
            assert_true(stored(c, i, j) == nobodys);
    }
}

static void every_mixture_equals_double_precision(void **state)
{
    (void)state;
    struct error err;
    struct device device = open_device(2, &err);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t d = 0; d < sizeof storage / sizeof *storage; d++)
            for (int form = 0; form < 8; form++) {
                bool ta = form & 1, tb = form & 2;
                float beta = form & 4 ? 1.0f : 0.0f, alpha = form & 4 ? 0.75f : 1;
                int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
                struct matrix a = matrix_new(ta ? k : m, ta ? m : k, storage[d].a, 1, 1), b = matrix_new(tb ? n : k, tb ? k : n, storage[d].b, 2, 1);
                struct matrix c = matrix_new(m, n, storage[d].c, 3, 4);
                assert_int_equal(gemm(&device, m, n, k, alpha, (struct operand){ a.data, a.dtype, a.stride, ta },
                                      (struct operand){ b.data, b.dtype, b.stride, tb }, beta, c.data, c.dtype, c.stride),
                                 OK);
                char what[128];
                snprintf(what, sizeof what, "[%d, %d, %d] %s%s x %s%s -> %s, beta %g", (int)m, (int)n, (int)k, dtype_name(a.dtype), ta ? "^T" : "",
                         dtype_name(b.dtype), tb ? "^T" : "", dtype_name(c.dtype), (double)beta);
                check_result(&a, &b, &c, k, ta, tb, alpha, beta, what);
                matrix_free(&a), matrix_free(&b), matrix_free(&c);
            }
    device_close(&device);
}

static void a_tile_equals_double_precision_at_every_size(void **state)
{
    (void)state;
    static const int64_t some[] = { 1, 2, 4, 6, 7, 13, 16, 17, 32, 47, 64, 80, 128, 300 };
    for (size_t s = 0; s < 14 * 14 * 14; s++) {
        int64_t m = some[s % 14], n = some[s / 14 % 14], k = some[s / 196];
        bool ta = s % 3 == 1, tb = s % 5 < 2;
        float beta = s % 7 < 3 ? 1.0f : 0.0f;
        if (m * n * k > 500000)
            continue;
        struct matrix a = matrix_new(ta ? k : m, ta ? m : k, F32, 1, 1), b = matrix_new(tb ? n : k, tb ? k : n, F32, 2, 1), c = matrix_new(m, n, F32, 3, 4);
        gemm_tile(m, n, k, 0.5f, a.data, a.stride, ta, b.data, b.stride, tb, beta, c.data, c.stride);
        char what[64];
        snprintf(what, sizeof what, "tile [%d, %d, %d]", (int)m, (int)n, (int)k);
        check_result(&a, &b, &c, k, ta, tb, 0.5f, beta, what);
        matrix_free(&a), matrix_free(&b), matrix_free(&c);
    }
}

static void the_number_of_threads_changes_no_bit(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = { { 5, 700, 300 }, { 700, 24, 300 }, { 200, 600, 150 }, { 16, 300, 900 }, { 291, 800, 64 } };
    for (size_t s = 0; s < 5 * 9 * 4; s++) {
        int64_t m = shapes[s % 5][0], n = shapes[s % 5][1], k = shapes[s % 5][2];
        size_t d = s / 5 % 9;
        bool ta = s / 45 & 1, tb = s / 45 & 2;
        struct matrix a = matrix_new(ta ? k : m, ta ? m : k, storage[d].a, 1, 1), b = matrix_new(tb ? n : k, tb ? k : n, storage[d].b, 2, 1), c[3];
        for (int threads = 1; threads <= 3; threads++) {
            struct error err;
            struct device device = open_device(threads, &err);
            struct matrix *r = &c[threads - 1];
            *r = matrix_new(m, n, storage[d].c, 3, 4);
            assert_int_equal(gemm(&device, m, n, k, 1, (struct operand){ a.data, a.dtype, a.stride, ta }, (struct operand){ b.data, b.dtype, b.stride, tb }, 1,
                                  r->data, r->dtype, r->stride),
                             OK);
            assert_memory_equal(r->data, c[0].data, (size_t)(m * r->stride) * dtype_bytes(r->dtype));
            device_close(&device);
        }
        for (int i = 0; i < 3; i++)
            matrix_free(&c[i]);
        matrix_free(&a), matrix_free(&b);
    }
}

/* Up to so many rows decoding has one path: what a row gets does not depend on the rows beside it. */
static void few_rows_have_the_bits_of_each_alone(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = { F32, BF16, F16 };
    struct error err;
    struct device device = open_device(2, &err);
    for (int64_t m = 1; m <= 16; m++)
        for (size_t d = 0; d < 3 * 3; d++) {
            int64_t n = 53, k = (int64_t[]){ 5, 96, 203 }[d / 3];
            struct matrix a = matrix_new(m, k, F32, 1, 1), b = matrix_new(n, k, dtypes[d % 3], 2, 1), c = matrix_new(m, n, F32, 3, 4);
            struct operand x = { a.data, F32, a.stride, false }, w = { b.data, b.dtype, b.stride, true };
            assert_int_equal(gemm(&device, m, n, k, 1, x, w, 0, c.data, F32, c.stride), OK);
            for (int64_t i = 0; i < m; i++) {
                float alone[64];
                x.data = (const float *)a.data + i * a.stride;
                assert_int_equal(gemm(&device, 1, n, k, 1, x, w, 0, alone, F32, n), OK);
                assert_memory_equal((const float *)c.data + i * c.stride, alone, (size_t)n * sizeof *alone);
            }
            matrix_free(&a), matrix_free(&b), matrix_free(&c);
        }
    device_close(&device);
}

static void a_product_of_zeros_leaves_the_result_as_it_was(void **state)
{
    (void)state;
    struct error err;
    struct device device = open_device(2, &err);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t d = 0; d < sizeof storage / sizeof *storage; d++) {
            int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            struct matrix a = matrix_new(m, k, storage[d].a, 1, 1), b = matrix_new(n, k, storage[d].b, 2, 0);
            struct matrix c = matrix_new(m, n, storage[d].c, 3, 4), same = matrix_new(m, n, storage[d].c, 3, 4);
            assert_int_equal(gemm(&device, m, n, k, 1.7f, (struct operand){ a.data, a.dtype, a.stride, false },
                                  (struct operand){ b.data, b.dtype, b.stride, true }, 1, c.data, c.dtype, c.stride),
                             OK);
            assert_memory_equal(c.data, same.data, (size_t)(m * c.stride) * dtype_bytes(c.dtype));
            matrix_free(&a), matrix_free(&b), matrix_free(&c), matrix_free(&same);
        }
    device_close(&device);
}

static void empty_products_are_legal(void **state)
{
    (void)state;
    struct error err;
    struct device device = open_device(2, &err);
    float a[4] = { 1, 2, 3, 4 }, c[6] = { 1, 2, 3, 4, 5, 6 };
    struct operand o = { a, F32, 2, false };
    assert_int_equal(gemm(&device, 0, 2, 2, 1, o, o, 0, c, F32, 2), OK);
    assert_int_equal(gemm(&device, 2, 0, 2, 1, o, o, 0, c, F32, 2), OK);
    assert_int_equal(gemm(&device, 2, 2, 0, 1, o, o, 1, c, F32, 3), OK);
    assert_memory_equal(c, ((float[]){ 1, 2, 3, 4, 5, 6 }), sizeof c);
    assert_int_equal(gemm(&device, 2, 2, 0, 1, o, o, 0, c, F32, 3), OK);
    assert_memory_equal(c, ((float[]){ 0, 0, 3, 0, 0, 6 }), sizeof c);
    gemm_tile(2, 2, 0, 1, a, 2, false, a, 2, true, 0, c, 2);
    assert_memory_equal(c, ((float[]){ 0, 0, 0, 0, 0, 6 }), sizeof c);
    device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mixture_equals_double_precision),          cmocka_unit_test(a_tile_equals_double_precision_at_every_size),
        cmocka_unit_test(the_number_of_threads_changes_no_bit),           cmocka_unit_test(few_rows_have_the_bits_of_each_alone),
        cmocka_unit_test(a_product_of_zeros_leaves_the_result_as_it_was), cmocka_unit_test(empty_products_are_legal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
