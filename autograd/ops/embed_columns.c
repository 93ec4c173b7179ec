/* embed_columns: y[i, k] = table[k, ids[i]]: the columns of a table that PEFT keeps lying on its side (lora_embedding_A).
 *
 * Ids behind the table are virtual tokens, which have no column: their rows are 0 (embed() has refused those that are not).
 *
 * The gradient adds rows of equal ids in row order: threads share rows of the table, never columns. The column of the id `padding` gets none.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <string.h>

enum { IDS, TABLE }; /* in:  ids I32 [rows, 1], table f32 [width, vocab] */
enum { Y };          /* out: y [rows, width] */

struct tensor *embed_columns(struct graph *g, struct tensor *ids, struct tensor *table, int padding, enum dtype dtype)
{
    expect_shape(g, op_embed_columns.name, ids, -1, 1);
    struct node *n = record(g, &op_embed_columns, ids, table);
    n->params.lookup.padding = padding;
    return output(n, Y, dtype, ids, table->capacity);
}

static enum status check_ids(struct device *device, const struct node *n)
{
    const int32_t *ids = n->in[IDS]->data;
    for (int64_t i = 0; i < n->in[IDS]->rows; i++)
        if (ids[i] < 0)
            return fail_with(device->err, BAD_DATA, "embed_columns: id %d at row %lld is negative", "use the tokenizer that belongs to this model", ids[i],
                             (long long)i);
    return OK;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    TRY(check_ids(device, n));
    const struct tensor *table = n->in[TABLE], *y = n->out[Y];
    const int32_t *ids = n->in[IDS]->data;
#pragma omp parallel for schedule(static) if (y->rows * y->cols >= WORTH_THREADS)
    for (int64_t r = 0; r < y->rows; r++)
        for (int64_t at = 0; at < y->cols; at += SPAN) {
            float out[SPAN];
            const int64_t length = span_length(at, y->cols);
            float *to = span_open(y, r * y->cols + at, out);
            for (int64_t k = 0; k < length; k++)
                to[k] = ids[r] < table->cols ? ((const float *)table->data)[(at + k) * table->cols + ids[r]] : 0;
            span_close(y, r * y->cols + at, length, to);
        }
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *grad = n->in[TABLE]->grad, *dy = n->out[Y]->grad;
    const int32_t *ids = n->in[IDS]->data;
    (void)device;
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < grad->rows; k++) {
        float *row = (float *)grad->data + k * grad->cols, buffer[1];
        if (!adds(n, TABLE))
            memset(row, 0, (size_t)grad->cols * sizeof *row);
        for (int64_t r = 0; r < dy->rows; r++)
            if (ids[r] < grad->cols && ids[r] != n->params.lookup.padding)
                row[ids[r]] += *span_read(dy, r * dy->cols + k, 1, buffer);
    }
    return OK;
}

const struct op op_embed_columns = {
    .name = "embed_columns",
    .reads = { [TABLE] = IN(IDS) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(embed_columns_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(embed_columns_backward) },
    .in_place = NONE,
};
