/* panel_product() for the instruction sets there are, and the choice between them when it is called.
 *
 * Vectors have the width of the machine, or of half a panel: the compiler takes wider ones apart, narrower ones waste it. All of them sum in the same order.
 */
#include "autograd/ops/attention_product.h"
#include "autograd/cpu/math.h"

enum { BLOCK = 8 }; /* rows in registers: enough that no sum waits for the one before, few enough for 16 registers */

#define KERNEL "autograd/ops/attention_lanes.h"
#include "autograd/cpu/each_set.h"

void panel_product(int64_t m, int64_t n, int64_t k, struct strided a, const float *b, int64_t b_row, float *c, int64_t c_row, bool add)
{
    (n == PANEL ? FASTEST(product) : FASTEST_NARROW(product))(m, n, k, a, b, b_row, c, c_row, add);
}
