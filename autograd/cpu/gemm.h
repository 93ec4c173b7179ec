/* Matrix products on the CPU. The only thing that knows oneDNN is gemm.c.
 *
 * Results never depend on the number of threads: gemm() cuts the product into tiles fixed by the shape alone, and each tile is one single-threaded product over
 * the whole inner dimension.
 */
#ifndef GRAFT_AUTOGRAD_CPU_GEMM_H
#define GRAFT_AUTOGRAD_CPU_GEMM_H

#include "autograd/device.h"

/* What products keep between calls: library objects and one scratch per thread. Opened and closed with the device. Errors: NO_MEMORY, LIBRARY. */
enum status gemm_open(struct device *device, struct error *err) MUST_USE;
void gemm_close(struct device *device);
/* Which library multiplies, with its version: "oneDNN 2.6.3". */
void gemm_library(char name[64]);

/* An operand: a row-major matrix whose rows are `stride` elements apart; transposed: its transpose is meant. */
struct operand {
    const void *data;
    enum dtype dtype; /* F32, BF16, F16 */
    int64_t stride;
    bool transposed;
};

/* c[m, n] = alpha * a[m, k] b[k, n] + beta * c, f32 accumulation; c F32 or BF16 with rows c_stride apart, and rounded once. beta is 0 or 1. m, n or k may be 0
 * (k = 0: beta * c). bf16 times bf16 is multiplied as bf16 where the CPU can; every other mixture is widened to f32, tile by tile. Not to be called from two
 * threads at once on one device. Errors: NO_MEMORY, LIBRARY. */
enum status gemm(struct device *device, int64_t m, int64_t n, int64_t k, float alpha, struct operand a, struct operand b, float beta, void *c,
                 enum dtype c_dtype, int64_t c_stride) MUST_USE;

/* Makes ready whatever gemm() of the same arguments needs beyond its operands, for any number of rows up to m (of a transposed a: any inner dimension up to k):
 * prepared products, generated code, scratch, buffers of every thread. Done before the first product, nothing is made during one, and what the process has
 * resident then is what products take. No operand is touched, data may be NULL; a second call for the same product costs nothing. Errors: as gemm(). */
enum status gemm_prepare(struct device *device, int64_t m, int64_t n, int64_t k, float alpha, struct operand a, struct operand b, float beta, void *c,
                         enum dtype c_dtype, int64_t c_stride) MUST_USE;
/* Either of them: who says what is multiplied once, does it and prepares it by the same words. */
typedef enum status gemm_call(struct device *device, int64_t m, int64_t n, int64_t k, float alpha, struct operand a, struct operand b, float beta, void *c,
                              enum dtype c_dtype, int64_t c_stride);

/* One f32 product on the calling thread, for kernels that tile by themselves (inside a parallel region). Small sizes are fast too. */
void gemm_tile(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
               bool b_transposed, float beta, float *c, int64_t c_stride);
/* Every thread lets the library multiply zeros in each of its ways: their code and buffers for tiles of up to m rows and n columns are there then. Outside
 * parallel regions. */
void gemm_tile_prepare(struct device *device, int64_t m, int64_t n, bool a_transposed, bool b_transposed);

#endif
