/* A tensor is a matrix [rows, cols], row-major and contiguous; nothing else: no strides, no views, no broadcasting.
 *
 * Rows of a batch are tokens laid end to end, so the number of rows changes from batch to batch while everything else stays. A tensor's rows therefore follow
 * an extent: storage is planned for `capacity` rows, and program_resize() says how many are live. Kernels look at `rows` only.
 */
#ifndef GRAFT_AUTOGRAD_TENSOR_H
#define GRAFT_AUTOGRAD_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { F32, BF16, F16, I32, DTYPES };

/* Who owns the bytes, and for how long. */
enum role {
    INPUT,      /* uploaded before each run; placed by plan() */
    WEIGHT,     /* frozen, of the model; lives as long as the run */
    PARAMETER,  /* trained; always f32; value and gradient lie in struct parameters */
    STATE,      /* written by ops and kept between runs: moments, KV cache */
    ACTIVATION, /* placed by plan() */
};

/* What a tensor's number of rows follows. */
enum extent {
    FIXED,
    ROWS,      /* the tokens of this batch */
    SELECTED,  /* the rows that go through the head: those with a label, or the last of each sequence */
    SEQUENCES, /* the sequences of this batch */
    EXTENTS,
};

struct tensor {
    const char *name;
    enum dtype dtype, grad_dtype; /* a gradient usually has its tensor's dtype; a cast of a parameter has f32 gradients */
    enum role role;
    enum extent extent;
    int64_t rows, cols;
    int64_t capacity; /* rows that the storage is planned for */
    void *data;
    struct tensor *grad; /* only where a gradient flows */
    bool wants_grad;     /* a parameter, or computed from one */
    int id;              /* its number in the graph; -1 for what outlives graphs */
};

size_t dtype_bytes(enum dtype dtype);
const char *dtype_name(enum dtype dtype);             /* "float32", "bfloat16", "float16", "int32" */
size_t tensor_bytes(const struct tensor *t);          /* live rows */
size_t tensor_capacity_bytes(const struct tensor *t); /* planned rows */

#endif
