/* The one product that attention is made of: broadcast rows times up to PANEL columns. Private to autograd/ops/attention*.c.
 *
 * Scores, outputs and every gradient have this form: what lies along the vectors is a panel of queries (forward), a panel of keys (backward), or a part of a
 * row.
 */
#ifndef GRAFT_AUTOGRAD_OPS_ATTENTION_PRODUCT_H
#define GRAFT_AUTOGRAD_OPS_ATTENTION_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

enum { PANEL = 16, HALF_PANEL = 8 }; /* columns, on every CPU: layouts do not depend on the machine */

/* A matrix read element by element: (i, j) stands at data[i * row + j * column]. */
struct strided {
    const float *data;
    int64_t row, column;
};

/* c [m, n] = or += a [m, k] b [k, n], f32, n being PANEL or HALF_PANEL; rows of b and c are b_row and c_row apart. Every element is one sum in ascending order,
 * to which what c held is added last. */
void panel_product(int64_t m, int64_t n, int64_t k, struct strided a, const float *b, int64_t b_row, float *c, int64_t c_row, bool add);

#endif
