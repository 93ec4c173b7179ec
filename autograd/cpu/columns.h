/* Sums over the rows of a matrix, one for each column: gradients of what all rows share. */
#ifndef GRAFT_AUTOGRAD_CPU_COLUMNS_H
#define GRAFT_AUTOGRAD_CPU_COLUMNS_H

#include "autograd/device.h"

/* to[j] = scale * sum over rows r of a[r, j] * b[r, j] (b NULL: of a[r, j]), or added to what is there. to [1, cols]; a, b [rows, cols], any float types. Each
 * column is one sum over blocks of rows in order, so threads share columns and never sums. */
void column_sums(const struct device *device, const struct tensor *to, const struct tensor *a, const struct tensor *b, float scale, bool add);

#endif
