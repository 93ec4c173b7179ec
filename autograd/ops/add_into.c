/* add_into: sum += x, value by value: two gradients become one. */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

enum { SUM, X };       /* in: f32 [rows, cols] both; SUM STATE, written */
enum { BLOCK = 4096 }; /* values per task */

void add_into(struct graph *g, struct tensor *sum, struct tensor *x)
{
    expect_shape(g, op_add_into.name, x, sum->rows, sum->cols);
    if (sum->dtype != F32 || x->dtype != F32)
        graph_fail(g, "add_into: %s is %s and %s is %s, float32 is needed", sum->name, dtype_name(sum->dtype), x->name, dtype_name(x->dtype));
    record(g, &op_add_into, sum, x);
}

static WIDE void add_block(float *sum, const float *x, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sum[i] += x[i];
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    float *sum = n->in[SUM]->data;
    const float *x = n->in[X]->data;
    const int64_t count = n->in[SUM]->rows * n->in[SUM]->cols;
#pragma omp parallel for schedule(static) if (count >= WORTH_THREADS)
    for (int64_t i = 0; i < count; i += BLOCK)
        add_block(sum + i, x + i, count - i < BLOCK ? count - i : BLOCK);
    return OK;
}

const struct op op_add_into = {
    .name = "add_into",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(add_into_forward) },
    .in_place = NONE,
    .writes = IN(SUM),
    .no_gradient = true,
};
