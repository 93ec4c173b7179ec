/* join_rows: the rows of several matrices, one after the other.
 *
 * For use only, like choose_rows: what is trained stands in front of every sequence alike, and is never joined.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { Y }; /* in: f32 [n, width] each, as many as there are; out: y [sum of n, width] */

static struct tensor *join(struct graph *g, struct tensor *const *x, int count)
{
    int64_t rows = 0;
    for (int i = 0; i < count; i++) {
        expect_shape(g, op_join_rows.name, x[i], -1, x[0]->cols);
        rows += x[i]->capacity;
    }
    return output_fixed(record_node(g, &op_join_rows, count, x), Y, F32, rows, x[0]->cols);
}

struct tensor *join_rows(struct graph *g, struct tensor *const *x, int count)
{
    struct tensor *joined = x[0];
    for (int i = 1; i < count;) { /* a node has so many inputs */
        struct tensor *some[MAX_IN] = { joined };
        int taken = 1;
        while (taken < MAX_IN && i < count)
            some[taken++] = x[i++];
        joined = join(g, some, taken);
    }
    return joined;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    char *to = n->out[Y]->data;
    (void)device;
    for (int i = 0; i < MAX_IN && n->in[i]; i++) {
        const size_t bytes = (size_t)(n->in[i]->rows * n->in[i]->cols) * sizeof(float);
        memcpy(to, n->in[i]->data, bytes);
        to += bytes;
    }
    return OK;
}

const struct op op_join_rows = {
    .name = "join_rows",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(join_rows_forward) },
    .in_place = NONE,
    .no_gradient = true,
};
