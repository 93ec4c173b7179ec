/* head_loss on a GPU: see head_loss.c. A block takes a row of a chunk's logits; sums over the vocabulary are in double. */
#include "autograd/cuda/copy.cuh"

extern "C" {
#include "autograd/cuda/gemm.h"
}

enum { X, W, BIAS, LABELS, LOSS_WEIGHT, U, V };
enum { LOSS, ROW_LOSS, GREEDY, LSE, DX, DU, DV };

/* The chunk that head_loss.c makes room for. */
constexpr int64_t LOGITS_BYTES = 32 << 20, LEAST_ROWS = 16, MOST_ROWS = 512;

struct head_rows {
    float *logits;
    int64_t first, vocab;
    struct view bias;
    const int32_t *label;
    float *row_loss, *lse; /* of all rows; lse: largest logit, and log of the sum of exp(logit - largest) */
    int32_t *greedy;
    const float *weight, *dloss; /* dloss NULL: 1 */
    bool gradients, shrinks;
    struct complaint *complaint;
};

/* Logits as integers in their order (0 and -0 are one), with the place below, earlier ones larger: the largest of all is the first of the largest logits. */
static __device__ unsigned long long key_of(float logit, int64_t place)
{
    const uint32_t bits = bits_of(logit + 0.0f), ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (unsigned long long)ordered << 32 | (uint32_t) ~(uint32_t)place;
}

struct larger_key {
    __device__ unsigned long long operator()(unsigned long long a, unsigned long long b) const
    {
        return a > b ? a : b;
    }
};

/* A span of logits with their bias; returns how many there are. */
static __device__ int read_biased(float values[SPAN], const struct head_rows &h, float *logits, int64_t at)
{
    float biases[SPAN] = {};
    const int count = span_at(at, h.vocab);
    read(values, { logits, F32 }, at, count);
    if (h.bias.data)
        read(biases, h.bias, at, count);
    for (int i = 0; i < SPAN; i++)
        values[i] += biases[i];
    return count;
}

/* The largest of a row, bias added in place, and the first place where it stands. */
static __device__ float largest_logit(const struct head_rows &h, float *logits, int32_t *where)
{
    unsigned long long best = 0;
    for (int64_t at = threadIdx.x * SPAN; at < h.vocab; at += blockDim.x * SPAN) {
        float values[SPAN];
        const int count = read_biased(values, h, logits, at);
        if (h.bias.data)
            write({ logits, F32 }, at, count, values);
        for (int i = 0; i < count; i++)
            best = larger_key()(best, key_of(values[i], at + i));
    }
    best = block_join(best, larger_key());
    const uint32_t ordered = (uint32_t)(best >> 32);
    *where = (int32_t) ~(uint32_t)best;
    __syncthreads(); /* all logits have their bias */
    return float_of(ordered >> 31 ? ordered & 0x7FFFFFFFu : ~ordered);
}

/* logits become weight * (softmax - onehot), in f32 or, where they lie, in bf16: a piece is read before any of it is written, and what is written lies behind
 * nothing that is still to be read. */
static __device__ void logit_gradients(const struct head_rows &h, float *logits, float top, float log_sum, int64_t label)
{
    const float weight = *h.weight * (h.dloss ? *h.dloss : 1);
    for (int64_t from = 0; from < h.vocab; from += blockDim.x * SPAN) {
        const int64_t at = from + threadIdx.x * SPAN;
        const int count = at < h.vocab ? span_at(at, h.vocab) : 0;
        float values[SPAN];
        read(values, { logits, F32 }, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = weight * (exp_f32(values[i] - top - log_sum) - (at + i == label ? 1.0f : 0.0f));
        if (h.shrinks)
            __syncthreads();
        write({ logits, h.shrinks ? BF16 : F32 }, at, count, values);
    }
}

__global__ void finish_rows(struct head_rows h)
{
    float *logits = h.logits + blockIdx.x * h.vocab;
    const int64_t row = h.first + blockIdx.x, label = h.label[row];
    int32_t where;
    if (label < 0 || label >= h.vocab) {
        if (threadIdx.x == 0)
            complain(h.complaint, HEAD_LABEL, row, label, h.vocab);
        return;
    }
    const float top = largest_logit(h, logits, &where), labelled = logits[label];
    double sum = 0;
    for (int64_t at = threadIdx.x * SPAN; at < h.vocab; at += blockDim.x * SPAN) {
        float values[SPAN];
        const int count = span_at(at, h.vocab);
        read(values, { logits, F32 }, at, count);
        for (int i = 0; i < count; i++)
            sum += (double)exp_f32(values[i] - top);
    }
    const double log_sum = log(block_sum(sum));
    if (threadIdx.x == 0) {
        h.greedy[row] = where;
        h.lse[2 * row] = top;
        h.lse[2 * row + 1] = (float)log_sum;
        h.row_loss[row] = (float)((double)top - (double)labelled + log_sum);
    }
    __syncthreads(); /* everybody has read what was labelled */
    if (h.gradients)
        logit_gradients(h, logits, top, (float)log_sum, label);
}

/* Backward knows the sums already. */
__global__ void gradient_rows(struct head_rows h)
{
    float *logits = h.logits + blockIdx.x * h.vocab;
    const int64_t row = h.first + blockIdx.x;
    for (int64_t at = threadIdx.x * SPAN; h.bias.data && at < h.vocab; at += blockDim.x * SPAN) {
        float values[SPAN];
        const int count = read_biased(values, h, logits, at);
        write({ logits, F32 }, at, count, values);
    }
    logit_gradients(h, logits, h.lse[2 * row], h.lse[2 * row + 1], h.label[row]);
}

__global__ void sum_losses(const float *row_loss, int64_t rows, const float *weight, float *loss)
{
    double sum = 0;
    for (int64_t r = threadIdx.x; r < rows; r += THREADS)
        sum += (double)row_loss[r];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        *loss = (float)((double)*weight * sum);
}

static int64_t chunk_rows(const struct node *n)
{
    int64_t rows = LOGITS_BYTES / (int64_t)sizeof(float) / n->in[W]->rows / LEAST_ROWS * LEAST_ROWS;
    return rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
}

static void *rows_from(const struct tensor *t, int64_t row)
{
    return (char *)t->data + (size_t)(row * t->cols) * dtype_bytes(t->dtype);
}

static struct head_rows rows_of(struct device *device, const struct node *n, int64_t first)
{
    struct head_rows h = {};
    h.logits = (float *)n->scratch;
    h.first = first;
    h.vocab = n->in[W]->rows;
    h.bias = view_of(n->in[BIAS]);
    h.label = (const int32_t *)n->in[LABELS]->data;
    h.lse = (float *)n->out[LSE]->data;
    h.weight = (const float *)n->in[LOSS_WEIGHT]->data;
    h.complaint = device->cuda->complaint;
    return h;
}

static enum status add_product(struct device *device, const struct node *n, const struct tensor *x, const struct tensor *w, int64_t first, int64_t rows,
                               bool add)
{
    const struct operand some = { rows_from(x, first), x->dtype, x->cols, false }, vocab = { w->data, w->dtype, w->cols, true };
    return cuda_gemm(device, n, rows, w->rows, x->cols, 1, some, vocab, add ? 1 : 0, n->scratch, F32, w->rows);
}

static enum status make_logits(struct device *device, const struct node *n, int64_t first, int64_t rows)
{
    TRY(add_product(device, n, n->in[X], n->in[W], first, rows, false));
    return n->in[U] ? add_product(device, n, n->in[U], n->in[V], first, rows, true) : OK;
}

static bool shrinks(const struct node *n)
{
    return n->in[X]->dtype == BF16 && n->in[W]->dtype == BF16;
}

static struct operand dlogits_of(const struct node *n, bool transposed)
{
    const int64_t vocab = n->in[W]->rows;
    return (struct operand){ n->scratch, shrinks(n) ? BF16 : F32, shrinks(n) ? 2 * vocab : vocab, transposed };
}

/* dlogits w, where it is to be made: dx of w, du of v. */
static enum status make_rows(struct device *device, const struct node *n, const struct tensor *w, const struct tensor *dx, int64_t first, int64_t rows)
{
    if (!dx)
        return OK;
    const struct operand vocab = { w->data, w->dtype, w->cols, false };
    return cuda_gemm(device, n, rows, dx->cols, w->rows, 1, dlogits_of(n, false), vocab, 0, rows_from(dx, first), dx->dtype, dx->cols);
}

static enum status make_dv(struct device *device, const struct node *n, int64_t first, int64_t rows)
{
    const struct tensor *u = n->in[U], *dv = n->out[DV];
    if (!dv)
        return OK;
    const struct operand some = { rows_from(u, first), u->dtype, u->cols, false };
    return cuda_gemm(device, n, dv->rows, dv->cols, rows, 1, dlogits_of(n, true), some, first > 0 ? 1 : 0, dv->data, F32, dv->cols);
}

static enum status forward_chunk(struct device *device, const struct node *n, int64_t first, int64_t rows)
{
    struct head_rows h = rows_of(device, n, first);
    h.row_loss = (float *)n->out[ROW_LOSS]->data;
    h.greedy = (int32_t *)n->out[GREEDY]->data;
    h.gradients = n->out[DX] || n->out[DU] || n->out[DV];
    h.shrinks = shrinks(n);
    TRY(make_logits(device, n, first, rows));
    if (rows > 0)
        LAUNCH(device, (unsigned)rows, row_threads(h.vocab), 0, finish_rows, h);
    TRY(launched(device, n));
    TRY(make_rows(device, n, n->in[W], n->out[DX], first, rows));
    TRY(make_rows(device, n, n->in[V], n->out[DU], first, rows));
    return make_dv(device, n, first, rows);
}

enum status head_loss_forward_cuda(struct device *device, const struct node *n)
{
    const int64_t all = n->in[X]->rows, chunk = chunk_rows(n);
    int64_t first = 0;
    do { /* once without rows too: dv is set to 0 */
        TRY(forward_chunk(device, n, first, all - first < chunk ? all - first : chunk));
        first += chunk;
    } while (first < all);
    LAUNCH(device, 1u, THREADS, 0, sum_losses, (const float *)n->out[ROW_LOSS]->data, all, (const float *)n->in[LOSS_WEIGHT]->data,
           (float *)n->out[LOSS]->data);
    return launched(device, n);
}

static enum status backward_chunk(struct device *device, const struct node *n, int64_t first, int64_t rows)
{
    const struct tensor *x = n->in[X], *dw = n->in[W]->grad;
    struct head_rows h = rows_of(device, n, first);
    h.dloss = (const float *)n->out[LOSS]->grad->data;
    TRY(make_logits(device, n, first, rows));
    if (rows > 0)
        LAUNCH(device, (unsigned)rows, row_threads(h.vocab), 0, gradient_rows, h);
    if (wants(n, BIAS)) {
        const struct scaled_values f = { { h.logits, F32 }, h.vocab, 1 };
        TRY(column_sums(device, n, rows, h.vocab, view_of(n->in[BIAS]->grad), first > 0 || adds(n, BIAS), f));
    }
    if (!wants(n, W))
        return launched(device, n);
    const struct operand dlogits = { h.logits, F32, h.vocab, true }, some = { rows_from(x, first), x->dtype, x->cols, false };
    return cuda_gemm(device, n, h.vocab, dw->cols, rows, 1, dlogits, some, first > 0 || adds(n, W) ? 1 : 0, dw->data, dw->dtype, dw->cols);
}

enum status head_loss_backward_cuda(struct device *device, const struct node *n)
{
    const int64_t all = n->in[X]->rows, chunk = chunk_rows(n);
    const int early[][2] = { { X, DX }, { U, DU }, { V, DV } };
    for (size_t i = 0; i < COUNT(early); i++) {
        const struct tensor *made = n->out[early[i][1]];
        if (!wants(n, early[i][0]))
            continue;
        const struct copy_values f = { view_of(n->in[early[i][0]]->grad), view_of(made), adds(n, early[i][0]), (const float *)n->out[LOSS]->grad->data };
        TRY(for_elements(device, n, made, f));
    }
    if (!wants(n, W) && !wants(n, BIAS))
        return OK;
    int64_t first = 0;
    do { /* once without rows too: gradients are set to 0 */
        TRY(backward_chunk(device, n, first, all - first < chunk ? all - first : chunk));
        first += chunk;
    } while (first < all);
    return OK;
}
