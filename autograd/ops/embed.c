/* embed: y[i] = onto[i] + scale * table[ids[i]]; ids beyond the table are rows of the virtual table, which are not scaled.
 *
 * The gradient of a table adds the rows of equal ids in row order: threads share columns, never rows, so there are no races and the order is fixed. The row of
 * the id `padding` gets none (padding_idx of torch.nn.Embedding).
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { IDS, TABLE, VIRTUAL, ONTO }; /* in:  ids I32 [rows, 1], table [vocab, width], virtual rows f32 [P, width] or NULL, onto [rows, width] or NULL */
enum { Y };                         /* out: y [rows, width] */
enum { COLUMNS = 64 };              /* per task of backward */

/* A table in narrow storage would lose small contributions of frequent ids: only f32 sums are kept. */
static void expect_f32_gradient(struct graph *g, const struct tensor *table)
{
    if (table->wants_grad && table->grad_dtype != F32)
        graph_fail(g, "embed: the gradient of %s would be %s, float32 is needed", table->name, dtype_name(table->grad_dtype));
}

struct tensor *embed(struct graph *g, struct tensor *ids, struct tensor *table, struct tensor *virtual_rows, struct tensor *onto, float scale, int padding,
                     enum dtype dtype)
{
    expect_shape(g, op_embed.name, ids, -1, 1);
    expect_f32_gradient(g, table);
    if (virtual_rows) {
        expect_shape(g, op_embed.name, virtual_rows, -1, table->cols);
        expect_f32_gradient(g, virtual_rows);
    }
    if (onto) {
        expect_shape(g, op_embed.name, onto, -1, table->cols);
        expect_rows_of(g, op_embed.name, onto, ids);
        if (onto->dtype != dtype)
            graph_fail(g, "embed: %s is %s, its sum would be %s", onto->name, dtype_name(onto->dtype), dtype_name(dtype));
    }
    struct node *n = record(g, &op_embed, ids, table, virtual_rows, onto);
    n->params.lookup.scale = scale;
    n->params.lookup.padding = padding;
    return output(n, Y, dtype, ids, table->cols);
}

static enum status check_ids(struct device *device, const struct node *n)
{
    const int32_t *ids = n->in[IDS]->data;
    int64_t rows = n->in[TABLE]->rows + (n->in[VIRTUAL] ? n->in[VIRTUAL]->rows : 0);
    for (int64_t i = 0; i < n->in[IDS]->rows; i++)
        if (ids[i] < 0 || ids[i] >= rows)
            return fail_with(device->err, BAD_DATA, "embed: id %d at row %lld is outside the table of %lld rows",
                             "use the tokenizer that belongs to this model, and texts no longer than it has positions", ids[i], (long long)i, (long long)rows);
    return OK;
}

static WIDE void scale_span(float *to, const float *from, float scale, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = scale * from[i];
}

static WIDE void add_scaled_to(float *to, const float *onto, const float *from, float scale, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = onto[i] + scale * from[i];
}

static void embed_row(const struct node *n, int64_t row, const struct tensor *table, int64_t id, float scale)
{
    const struct tensor *y = n->out[Y], *onto = n->in[ONTO];
    float in[SPAN], there[SPAN], out[SPAN];
    for (int64_t at = 0; at < y->cols; at += SPAN) {
        int64_t length = span_length(at, y->cols);
        float *to = span_open(y, row * y->cols + at, out);
        const float *from = span_read(table, id * y->cols + at, length, in);
        if (onto)
            add_scaled_to(to, span_read(onto, row * y->cols + at, length, there), from, scale, length);
        else
            scale_span(to, from, scale, length);
        span_close(y, row * y->cols + at, length, to);
    }
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    TRY(check_ids(device, n));
    const struct tensor *table = n->in[TABLE], *y = n->out[Y];
    const int32_t *ids = n->in[IDS]->data;
#pragma omp parallel for schedule(static) if (y->rows * y->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < y->rows; r++) {
        if (ids[r] < table->rows)
            embed_row(n, r, table, ids[r], n->params.lookup.scale);
        else
            embed_row(n, r, n->in[VIRTUAL], ids[r] - table->rows, 1);
    }
    return OK;
}

static WIDE void add_scaled(float *to, const float *from, float scale, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] += scale * from[i];
}

/* Columns [from, from + count) of the gradient of a table whose first row has id `first`. */
static void add_columns(const struct node *n, int input, int64_t first, float scale, int64_t from, int64_t count)
{
    const struct tensor *grad = n->in[input]->grad, *dy = n->out[Y]->grad;
    const int32_t *ids = n->in[IDS]->data;
    float *sums = grad->data, buffer[COLUMNS];
    if (!adds(n, input))
        for (int64_t r = 0; r < grad->rows; r++)
            memset(sums + r * grad->cols + from, 0, (size_t)count * sizeof *sums);
    for (int64_t r = 0; r < dy->rows; r++)
        if (ids[r] >= first && ids[r] - first < grad->rows && ids[r] != n->params.lookup.padding)
            add_scaled(sums + (ids[r] - first) * grad->cols + from, span_read(dy, r * dy->cols + from, count, buffer), scale, count);
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    int64_t width = n->out[Y]->cols;
#pragma omp parallel for schedule(static)
    for (int64_t from = 0; from < width; from += COLUMNS) {
        int64_t count = width - from < COLUMNS ? width - from : COLUMNS;
        if (wants(n, TABLE))
            add_columns(n, TABLE, 0, n->params.lookup.scale, from, count);
        if (wants(n, VIRTUAL))
            add_columns(n, VIRTUAL, n->in[TABLE]->rows, 1, from, count);
    }
    if (wants(n, ONTO) && n->in[ONTO]->grad->data != n->out[Y]->grad->data)
        span_copy(n->in[ONTO]->grad, 0, n->out[Y]->grad, 0, n->out[Y]->rows * width, adds(n, ONTO));
    return OK;
}

const struct op op_embed = {
    .name = "embed",
    .reads = { [TABLE] = IN(IDS), [VIRTUAL] = IN(IDS) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(embed_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(embed_backward) },
    .in_place = ONTO,
    .passes = IN(ONTO),
};
