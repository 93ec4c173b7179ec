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
/* Does the first products ahead of time, operands of these dtypes as they meet in a run: afterwards all that products keep (library code, generated kernels,
 * buffers and stacks of the threads) is resident and counted by whoever looks. training: also those of backward. Errors: as gemm(), NO_MEMORY. */
enum status gemm_warm(struct device *device, enum dtype computed, enum dtype stored, bool training, struct error *err) MUST_USE;
/* Bytes that products of a run come to keep beyond those of gemm_warm(): buffers of the threads, and bf16 products prepared by shape. An estimate. */
size_t gemm_growth(const struct device *device, enum dtype computed, bool training);
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

/* One f32 product on the calling thread, for kernels that tile by themselves (inside a parallel region). Small sizes are fast too. */
void gemm_tile(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
               bool b_transposed, float beta, float *c, int64_t c_stride);

#endif
