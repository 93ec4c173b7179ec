/* dropout, inverted: y = x / (1 - p) where kept, else 0.
 *
 * What is kept depends on (seed, this node's stream, optimizer step, row key, column) and nothing else: not on where a row lies in its batch, nor on how a step
 * is cut into micro-batches. So nothing is stored: backward makes the same mask again. Source: Srivastava et al. 2014; counter-based bits as in
 * common/random.h, one word for a column.
 */
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"
#include "common/random.h"

enum { X, ROW_KEY, DRAW }; /* in:  x [rows, width], row_key I32 [rows, 1], draw I32 [1, 3] = seed low, seed high, optimizer step */
enum { Y };                /* out: y [rows, width] */
enum { WORDS = 4 };        /* of random bits from one counter */
enum { SEED_LOW, SEED_HIGH, STEP };

struct tensor *dropout(struct graph *g, struct tensor *x, struct tensor *row_key, struct tensor *draw, float probability)
{
    if (probability == 0)
        return x;
    if (!(probability > 0 && probability < 1))
        graph_fail(g, "dropout: probability %g is not in [0, 1)", (double)probability);
    expect_shape(g, op_dropout.name, row_key, -1, 1);
    expect_rows_of(g, op_dropout.name, row_key, x);
    expect_shape(g, op_dropout.name, draw, 1, 3);
    struct node *n = record(g, &op_dropout, x, row_key, draw);
    n->params.probability = probability;
    return output(n, Y, x->dtype, x, x->cols);
}

/* What the bits of all rows have in common. */
struct mask {
    uint32_t key[2], step, stream;
    uint32_t threshold; /* bits below drop: P(drop) = threshold / 2^32 */
    float scale;
};

static struct mask make_mask(const struct node *n)
{
    const int32_t *draw = n->in[DRAW]->data;
    uint64_t apart = random_stream("dropout"); /* from other uses of the seed */
    return (struct mask){
        .key = { (uint32_t)draw[SEED_LOW] ^ (uint32_t)apart, (uint32_t)draw[SEED_HIGH] ^ (uint32_t)(apart >> 32) },
        .step = (uint32_t)draw[STEP],
        .stream = n->stream,
        .threshold = (uint32_t)((double)n->params.probability * 0x1p32),
        .scale = 1 / (1 - n->params.probability),
    };
}

/* Only after Philox's rounds are unrolled can the loop around them become wide instructions; gcc does that at its third level. */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLLED __attribute__((optimize("O3")))
#else
#define UNROLLED
#endif

/* Random words of `count` columns (rounded up to whole counters) from column `first` on, a multiple of WORDS. */
static WIDE UNROLLED void draw_words(uint32_t *words, const struct mask *mask, uint32_t row_key, int64_t first, int64_t count)
{
    const int64_t counters = (count + WORDS - 1) / WORDS;
    const uint32_t group = (uint32_t)(first / WORDS), key[2] = { mask->key[0], mask->key[1] }, step = mask->step, stream = mask->stream;
    for (int64_t i = 0; i < counters; i++) {
        const uint32_t counter[4] = { step, row_key, group + (uint32_t)i, stream };
        uint32_t out[4];
        philox(counter, key, out);
        words[WORDS * i] = out[0];
        words[WORDS * i + 1] = out[1];
        words[WORDS * i + 2] = out[2];
        words[WORDS * i + 3] = out[3];
    }
}

static WIDE void apply(float *to, const float *from, const uint32_t *words, const struct mask *mask, int64_t count)
{
    const uint32_t threshold = mask->threshold;
    const float scale = mask->scale;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float kept = from[i] * scale;
        to[i] = words[i] < threshold ? 0 : kept;
    }
}

static void mask_rows(const struct node *n, const struct tensor *to, const struct tensor *from, bool add)
{
    const struct mask mask = make_mask(n);
    const int32_t *row_key = n->in[ROW_KEY]->data;
    const int64_t width = to->cols;
#pragma omp parallel for schedule(static) if (to->rows * width >= WORTH_THREADS)
    for (int64_t r = 0; r < to->rows; r++)
        for (int64_t at = 0; at < width; at += SPAN) {
            float in[SPAN], out[SPAN];
            uint32_t words[SPAN];
            int64_t length = span_length(at, width);
            float *values = span_open_gradient(to, r * width + at, out, add);
            draw_words(words, &mask, (uint32_t)row_key[r], at, length);
            apply(values, span_read(from, r * width + at, length, in), words, &mask, length);
            span_close_gradient(to, r * width + at, length, values, add);
        }
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    mask_rows(n, n->out[Y], n->in[X], false);
    return OK;
}

static enum status backward_cpu(struct device *device, const struct node *n)
{
    (void)device;
    mask_rows(n, n->in[X]->grad, n->out[Y]->grad, adds(n, X));
    return OK;
}

const struct op op_dropout = {
    .name = "dropout",
    .reads = { [X] = IN(ROW_KEY) | IN(DRAW) },
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(dropout_forward) },
    .backward = { [CPU] = backward_cpu, [CUDA] = ON_CUDA(dropout_backward) },
    .in_place = X,
    .cheap = true,
};
