/* choose_rows: each row from one of two matrices: y[i] = mine[i] where choice[i] is `number`, else others[i].
 *
 * For use only: what is trained is trained for all rows, so nothing passes back.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { OTHERS, MINE, CHOICE }; /* in:  others, mine [rows, width], choice I32 [rows, 1] */
enum { Y };                    /* out: y [rows, width] */

struct tensor *choose_rows(struct graph *g, struct tensor *others, struct tensor *mine, struct tensor *choice, int number)
{
    expect_rows_of(g, op_choose_rows.name, mine, others);
    expect_shape(g, op_choose_rows.name, mine, -1, others->cols);
    expect_rows_of(g, op_choose_rows.name, choice, others);
    if (mine->dtype != others->dtype)
        graph_fail(g, "choose_rows: rows of %s and of %s", dtype_name(others->dtype), dtype_name(mine->dtype));
    struct node *n = record(g, &op_choose_rows, others, mine, choice);
    n->params.number = number;
    return output(n, Y, others->dtype, others, others->cols);
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *y = n->out[Y];
    const int32_t *choice = n->in[CHOICE]->data;
    (void)device;
#pragma omp parallel for schedule(static) if (y->rows * y->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < y->rows; r++) {
        const struct tensor *from = n->in[choice[r] == n->params.number ? MINE : OTHERS];
        if (from->data != y->data)
            span_copy(y, r * y->cols, from, r * y->cols, y->cols, false);
    }
    return OK;
}

const struct op op_choose_rows = {
    .name = "choose_rows",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(choose_rows_forward) },
    .in_place = OTHERS,
    .no_gradient = true,
};
