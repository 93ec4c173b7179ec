/* panel_product() for the instruction sets there are, and the choice between them when it is called; transpose() for all.
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

enum { QUAD = 4 };
typedef float quad __attribute__((vector_size(QUAD * sizeof(float)), aligned(sizeof(float)), may_alias));

static inline __attribute__((always_inline)) void transpose_quads(float *to, int64_t to_row, const float *from, int64_t from_row)
{
    quad a = *(const quad *)from, b = *(const quad *)(from + from_row), c = *(const quad *)(from + 2 * from_row), d = *(const quad *)(from + 3 * from_row);
    quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    *(quad *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(quad *)(to + to_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quad *)(to + 2 * to_row) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(quad *)(to + 3 * to_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

void transpose(float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows, int64_t columns)
{
    int64_t quads = rows / QUAD * QUAD;
    for (int64_t r = 0; r < quads; r += QUAD) {
        int64_t i = 0;
        for (; i + QUAD <= columns; i += QUAD)
            transpose_quads(to + i * to_row + r, to_row, from + r * from_row + i, from_row);
        for (; i < columns; i++)
            for (int64_t lane = r; lane < r + QUAD; lane++)
                to[i * to_row + lane] = from[lane * from_row + i];
    }
    for (int64_t r = quads; r < rows; r++)
        for (int64_t i = 0; i < columns; i++)
            to[i * to_row + r] = from[r * from_row + i];
}
