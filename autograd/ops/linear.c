/* linear: y = onto + scale * (x w^T + bias).
 *
 *     dx = scale * dy w        dw = scale * dy^T x        dbias = scale * sum over rows of dy        donto = dy
 *
 * One product adds into what is there already: the running sum (a LoRA update costs no elementwise kernel) or the bias. The gradient of x reads only w and that
 * of w only x, so a frozen projection keeps nothing. Where scale * (x w^T) is zero, y is onto to the bit.
 */
#include "autograd/cpu/columns.h"
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { X, W, BIAS, ONTO }; /* in: x [rows, in], w [out, in], bias [1, out] or NULL, onto [rows, out] or NULL */
enum { Y };                /* out: [rows, out] like x */
enum { CHUNK = 1024 };

struct tensor *linear(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *bias, struct tensor *onto, float scale)
{
    expect_shape(g, "linear", w, -1, x->cols);
    if (bias)
        expect_shape(g, "linear", bias, 1, w->capacity);
    if (onto) {
        expect_shape(g, "linear", onto, -1, w->capacity);
        expect_rows_of(g, "linear", onto, x);
        if (onto->dtype != x->dtype)
            graph_fail(g, "linear: %s is %s, %s is %s", onto->name, dtype_name(onto->dtype), x->name, dtype_name(x->dtype));
    }
    struct node *n = record(g, &op_linear, x, w, bias, onto);
    n->params.scale = scale;
    return output(n, Y, x->dtype, x, w->capacity);
}

static struct operand whole(const struct tensor *t, bool transposed)
{
    return (struct operand){ t->data, t->dtype, t->cols, transposed };
}

static enum status make_y(struct device *device, const struct node *n, gemm_call *call)
{
    const struct tensor *x = n->in[X], *w = n->in[W], *y = n->out[Y];
    const float beta = n->in[ONTO] || n->in[BIAS] ? 1 : 0;
    return call(device, y->rows, y->cols, x->cols, n->params.scale, whole(x, false), whole(w, true), beta, y->data, y->dtype, y->cols);
}

static enum status make_dx(struct device *device, const struct node *n, gemm_call *call)
{
    const struct tensor *dx = n->in[X]->grad, *w = n->in[W], *dy = n->out[Y]->grad;
    const float beta = adds(n, X) ? 1 : 0;
    return call(device, dx->rows, dx->cols, dy->cols, n->params.scale, whole(dy, false), whole(w, false), beta, dx->data, dx->dtype, dx->cols);
}

static enum status make_dw(struct device *device, const struct node *n, gemm_call *call)
{
    const struct tensor *dw = n->in[W]->grad, *x = n->in[X], *dy = n->out[Y]->grad;
    const float beta = adds(n, W) ? 1 : 0;
    return call(device, dw->rows, dw->cols, dy->rows, n->params.scale, whole(dy, true), whole(x, false), beta, dw->data, dw->dtype, dw->cols);
}

static enum status prepare_cpu(struct device *device, const struct node *n)
{
    TRY(make_y(device, n, gemm_prepare));
    if (wants(n, X))
        TRY(make_dx(device, n, gemm_prepare));
    return wants(n, W) ? make_dw(device, n, gemm_prepare) : OK;
}

/* y = (onto or 0) + scale * bias. */
static void start_from_bias(struct device *device, const struct tensor *y, const struct tensor *bias, float scale, bool onto)
{
#pragma omp parallel for num_threads(device->threads)
    for (int64_t tile = 0; tile < row_tiles(y->rows); tile++) {
        float values[CHUNK], add[CHUNK];
        for (int64_t r = tile * ROW_TILE; r < y->rows && r < (tile + 1) * ROW_TILE; r++)
            for (int64_t j = 0; j < y->cols; j += CHUNK) {
                int64_t count = y->cols - j < CHUNK ? y->cols - j : CHUNK;
                char *to = (char *)y->data + (size_t)(r * y->cols + j) * dtype_bytes(y->dtype);
                widen(values, (char *)bias->data + (size_t)j * dtype_bytes(bias->dtype), bias->dtype, count);
                if (onto)
                    widen(add, to, y->dtype, count);
                for (int64_t i = 0; i < count; i++)
                    values[i] = scale * values[i] + (onto ? add[i] : 0);
                narrow(to, values, y->dtype, count);
            }
    }
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *onto = n->in[ONTO], *y = n->out[Y];
    if (onto && onto->data != y->data && tensor_bytes(y))
        memcpy(y->data, onto->data, tensor_bytes(y));
    if (n->in[BIAS])
        start_from_bias(device, y, n->in[BIAS], n->params.scale, onto);
    return make_y(device, n, gemm);
}

/* Where the planner could not share: donto = dy, set or added. */
static void pass_gradient(struct device *device, const struct tensor *to, const struct tensor *from, bool add)
{
    if (to->data == from->data)
        return;
    int64_t size = from->rows * from->cols;
#pragma omp parallel for num_threads(device->threads)
    for (int64_t at = 0; at < size; at += CHUNK) {
        float values[CHUNK], there[CHUNK];
        int64_t count = size - at < CHUNK ? size - at : CHUNK;
        char *out = (char *)to->data + (size_t)at * dtype_bytes(to->dtype);
        widen(values, (char *)from->data + (size_t)at * dtype_bytes(from->dtype), from->dtype, count);
        if (add) {
            widen(there, out, to->dtype, count);
            for (int64_t i = 0; i < count; i++)
                values[i] += there[i];
        }
        narrow(out, values, to->dtype, count);
    }
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *dy = n->out[Y]->grad;
    if (wants(n, X))
        TRY(make_dx(device, n, gemm));
    if (wants(n, W))
        TRY(make_dw(device, n, gemm));
    if (wants(n, BIAS))
        column_sums(device, n->in[BIAS]->grad, dy, NULL, n->params.scale, adds(n, BIAS));
    if (wants(n, ONTO))
        pass_gradient(device, n->in[ONTO]->grad, dy, adds(n, ONTO));
    return OK;
}

const struct op op_linear = {
    .name = "linear",
    .reads = { [X] = IN(W), [W] = IN(X) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(linear_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(linear_backward) },
    .prepare = { [CPU] = prepare_cpu },
    .in_place = ONTO,
    .passes = IN(ONTO),
};
