/* What the files of the matrix product share, and nobody else includes. gemm.c chooses and knows the library, gemm_f32.c tiles and widens, gemm_small.c
 * and gemm_thin.c are graft's own loops: for sizes where a library call costs more than the arithmetic, and for few rows against a whole weight.
 */
#ifndef GRAFT_AUTOGRAD_CPU_GEMM_PARTS_H
#define GRAFT_AUTOGRAD_CPU_GEMM_PARTS_H

#include "autograd/cpu/gemm.h"

/* A loop that is unrolled whole: its arrays become registers. */
#define EACH(i, count) _Pragma("GCC unroll 16") for (int i = 0; i < (count); i++)

/* The whole product, as gemm() got it. */
struct product {
    int64_t m, n, k;
    float alpha, beta;
    struct operand a, b;
    void *c;
    enum dtype c_dtype;
    int64_t c_stride;
};

/* What gemm() does with it by: thin_product() if it has few rows, */
static inline bool thins(const struct product *p)
{
    return !p->a.transposed && p->b.transposed;
}

/* or bf16_product() if it has many. */
static inline bool multiplies_bf16(const struct product *p)
{
    return p->a.dtype == BF16 && p->b.dtype == BF16 && !p->a.transposed && cpu_has_bf16();
}

static inline void *element(const void *data, enum dtype dtype, int64_t at)
{
    return (char *)data + (size_t)at * dtype_bytes(dtype); /* const goes: c is written, a and b are read */
}

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t parts(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* Part size when `count` is cut into about `pieces` even parts of a multiple of `unit`. */
static inline int64_t even_part(int64_t count, int64_t pieces, int64_t unit)
{
    return parts(parts(count, pieces), unit) * unit;
}

/* Every thread gets that much scratch, all of it resident; called before the parallel region, so that only here memory can run out. Old contents are lost. */
enum status gemm_reserve(struct device *device, size_t bytes) MUST_USE;
void *gemm_scratch(const struct device *device, int thread);

/* An f32 tile that the library multiplies. */
struct tile {
    int64_t rows, columns;
    bool a_transposed, b_transposed;
};

enum { ASKED = 128 };
/* What gemm_prepare() did already, kept with the device. */
struct asked {
    int64_t count;
    struct product product[ASKED]; /* the latest */
    struct tile rehearsed[2][2];   /* the largest so far, by a and b transposed */
};
struct asked *gemm_asked(struct device *device);

/* Operands of a rehearsal: zeros that all threads read, which take no memory, and for each bytes to write. False if there is no room for them: then nothing is
 * rehearsed, and only the count of memory suffers. */
struct zeros {
    char *read;
    size_t bytes, before, each;
};
bool zeros_map(struct zeros *zeros, const struct device *device, size_t read, size_t each);
void *zeros_written(const struct zeros *zeros, int thread);
void zeros_unmap(struct zeros *zeros);

enum status f32_product(struct device *device, const struct product *p) MUST_USE;
enum status f32_prepare(struct device *device, const struct product *p) MUST_USE;

/* As gemm_tile, never through the library. Every element is one sum over the inner dimension in ascending order, whatever m and n are. */
void small_product(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
                   bool b_transposed, float beta, float *c, int64_t c_stride);

enum { BF16_FEWEST_ROWS = 32 }; /* of a bf16 tile; what is left of a batch is for f32 */
/* Rehearses tiles of every size that up to p->m rows are cut into. *can: the library has them all. */
enum status bf16_prepare(struct device *device, const struct product *p, bool *can) MUST_USE;

/* x w^T of up to THIN_ROWS rows, both row by row as stored: it is bound by reading w, and reads it once. */
enum { THIN_ROWS = 16 };
enum status thin_product(struct device *device, const struct product *p) MUST_USE;
enum status thin_prepare(struct device *device, const struct product *p) MUST_USE;

#endif
