/* panel_product() for the instruction sets there are, and the choice between them when it is called.
 *
 * Vectors have exactly the width of the machine: the compiler takes wider ones apart, narrower ones waste it. All of them sum in the same order.
 */
#include "autograd/ops/attention_product.h"

enum { BLOCK = 8 }; /* rows in registers: enough that no sum waits for the one before, few enough for 16 registers */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SEVERAL_INSTRUCTION_SETS

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define LANES   16
#define VECTOR  vector_v4
#define ROWS    rows_v4
#define PRODUCT product_v4
#include "autograd/ops/attention_lanes.h"
#define LANES   8
#define VECTOR  half_vector_v4
#define ROWS    half_rows_v4
#define PRODUCT half_product_v4
#include "autograd/ops/attention_lanes.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LANES   8
#define VECTOR  vector_v3
#define ROWS    rows_v3
#define PRODUCT product_v3
#include "autograd/ops/attention_lanes.h"
#pragma GCC pop_options

#endif

#define LANES   4
#define VECTOR  vector_any
#define ROWS    rows_any
#define PRODUCT product_any
#include "autograd/ops/attention_lanes.h"

void panel_product(int64_t m, int64_t n, int64_t k, struct strided a, const float *b, int64_t b_row, float *c, int64_t c_row, bool add)
{
#ifdef SEVERAL_INSTRUCTION_SETS
    if (__builtin_cpu_supports("x86-64-v4")) {
        (n == PANEL ? product_v4 : half_product_v4)(m, n, k, a, b, b_row, c, c_row, add);
        return;
    }
    if (__builtin_cpu_supports("x86-64-v3")) {
        product_v3(m, n, k, a, b, b_row, c, c_row, add);
        return;
    }
#endif
    product_any(m, n, k, a, b, b_row, c, c_row, add);
}
