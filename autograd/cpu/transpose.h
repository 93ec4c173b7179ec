/* The transpose of f32 matrices, for kernels that want columns along vectors. */
#ifndef GRAFT_AUTOGRAD_CPU_TRANSPOSE_H
#define GRAFT_AUTOGRAD_CPU_TRANSPOSE_H

#include <stdint.h>

enum { QUAD = 4 };
typedef float quad __attribute__((vector_size(QUAD * sizeof(float)), aligned(sizeof(float)), may_alias));

/* to [columns, rows] = the transpose of from [rows, columns]; rows of from and of to are from_row and to_row apart. */
void transpose(float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows, int64_t columns);

#endif
