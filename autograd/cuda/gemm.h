/* Matrix products on a GPU: cuda_gemm() chooses, cuBLASLt (gemm.cu) or graft's own kernel (gemm_plain.cu) multiply. */
#ifndef GRAFT_AUTOGRAD_CUDA_GEMM_H
#define GRAFT_AUTOGRAD_CUDA_GEMM_H

#include "autograd/cpu/gemm.h"
#include "autograd/op.h"

/* As gemm() of autograd/cpu/gemm.h, on device memory, for a step of node n (named by errors). cuBLASLt multiplies operands of one dtype, F32 or BF16, also into
 * c of F32; all else goes to the plain kernel, which widens elements as it reads them. Errors: LIBRARY. */
enum status cuda_gemm(struct device *device, const struct node *n, int64_t rows, int64_t cols, int64_t inner, float alpha, struct operand a, struct operand b,
                      float beta, void *c, enum dtype c_dtype, int64_t c_stride) MUST_USE;

/* c[rows, cols] = alpha * a b + beta * c. */
struct product {
    int64_t rows, cols, inner;
    float alpha;
    struct operand a, b;
    float beta;
    void *c;
    enum dtype c_dtype;
    int64_t c_stride;
};

/* cuBLASLt: opened and closed with the device (closing is fine after opening failed). Errors: LIBRARY, NO_MEMORY. */
enum status lt_open(struct device *device) MUST_USE;
void lt_close(struct device *device);
/* Operands are of one dtype, F32 or BF16; no size is 0. *known: whether it was multiplied; false where the library has no way for these strides. Errors:
 * LIBRARY. */
enum status lt_product(struct device *device, const struct product *p, bool *known) MUST_USE;

#endif
