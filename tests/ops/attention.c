/* attention against the formula in double precision: several sequences, shared key heads, windows, prefixes, single queries of long caches; and bad spans. */
#include "tests/harness/op_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { Q, K, V, SPANS, PREFIX_K, PREFIX_V, SLOPES };

/* number[0] chooses the layout: {first q, queries, first k, keys} of each sequence. */
enum layout { ONE, THREE, TOKENS, DECODE, CHUNK, GAPS, LONG, DEEP, PAIR, MANY };

static const int32_t layouts[][12] = {
    [ONE] = { 0, 13, 0, 13 },
    [THREE] = { 0, 5, 0, 5, 5, 1, 5, 1, 6, 9, 6, 9 },
    [TOKENS] = { 0, 1, 0, 1, 1, 1, 1, 1, 2, 4, 2, 4 },
    [DECODE] = { 0, 1, 3, 300, 1, 1, 310, 4, 2, 1, 320, 180 },
    [CHUNK] = { 0, 4, 0, 20, 4, 3, 30, 3, 7, 0, 33, 0 },
    [GAPS] = { 2, 5, 1, 8, 9, 3, 12, 3, 12, 1, 15, 2 },
    [LONG] = { 0, 300, 0, 300 },
    [DEEP] = { 0, 10, 3, 1200 },
    [PAIR] = { 0, 70, 0, 70, 70, 80, 70, 80 },
};

/* Slopes are powers of two, so that coarse products are exact before they are rounded. */
static void fill_spans(const struct op_case *c, const struct node *n, int i, double *values)
{
    for (int64_t j = 0; i == SLOPES && j < n->in[i]->cols; j++)
        values[j] = ldexp(1, (int)(-2 - 3 * j));
    for (int64_t j = 0; i == SPANS && j < n->in[i]->rows * 4; j++)
        values[j] = (int)c->number[0] == MANY ? (double)(j % 2 ? 2 : j / 4 * 2) : (double)layouts[(int)c->number[0]][j];
}

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    attention(g, in[Q], in[K], in[V], in[SPANS], in[PREFIX_K], in[PREFIX_V], in[SLOPES], c->params.heads);
}

/* Row of a key or value by position: prefix rows first. */
static const double *at_position(const struct op_values *v, int which, int64_t first, int64_t position)
{
    int prefix = which == K ? PREFIX_K : PREFIX_V;
    int64_t rows = v->in[prefix] ? v->n->in[prefix]->rows : 0, width = v->n->in[which]->cols;
    return position < rows ? v->in[prefix] + position * width : v->in[which] + (first + position - rows) * width;
}

/* Rounded to 8 significant bits. */
static double nearest_bf16(double value)
{
    int exponent;
    double fraction = frexp(value, &exponent);
    return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static void one_query(struct op_values *v, int64_t row, int64_t head, int64_t first_key, int64_t position)
{
    struct heads h = v->c->params.heads;
    int64_t size = h.head_size, column = head / (h.heads / h.kv_heads) * size, from = h.window && position - h.window + 1 > 0 ? position - h.window + 1 : 0;
    const double *q = v->in[Q] + row * v->n->in[Q]->cols + head * size;
    double *y = v->out[0] + row * v->n->in[Q]->cols + head * size, sum = 0, largest = -INFINITY;
    double *score = malloc((size_t)(position + 1) * sizeof *score);
    for (int64_t j = from; j <= position; j++) {
        const double *key = at_position(v, K, first_key, j) + column;
        score[j] = 0;
        for (int64_t i = 0; i < size; i++)
            score[j] += (double)h.scale * q[i] * key[i];
        if (v->in[SLOPES])
            score[j] += (h.scaled_slopes ? (double)h.scale : 1) *
                        (h.coarse ? nearest_bf16(v->in[SLOPES][head] * (double)j) : v->in[SLOPES][head] * (double)(j - position));
        largest = fmax(largest, score[j]);
    }
    for (int64_t j = from; j <= position; j++)
        sum += score[j] = exp(score[j] - largest);
    for (int64_t j = from; j <= position; j++) {
        const double *value = at_position(v, V, first_key, j) + column;
        for (int64_t i = 0; i < size; i++)
            y[i] += score[j] / sum * value[i];
    }
    v->out[1][row * h.heads + head] = largest + log(sum);
    free(score);
}

static void reference(struct op_values *v)
{
    int64_t prefix = v->in[PREFIX_K] ? v->n->in[PREFIX_K]->rows : 0, heads = v->c->params.heads.heads;
    for (int64_t i = 0; i < v->n->in[Q]->rows * v->n->in[Q]->cols; i++)
        v->out[0][i] = 0;
    for (int64_t i = 0; i < v->n->in[Q]->rows * heads; i++)
        v->out[1][i] = 0;
    for (int64_t s = 0; s < v->n->in[SPANS]->rows; s++) {
        const double *span = v->in[SPANS] + 4 * s;
        for (int64_t i = 0; i < (int64_t)span[1]; i++)
            for (int64_t head = 0; head < heads; head++)
                one_query(v, (int64_t)span[0] + i, head, (int64_t)span[2], prefix + (int64_t)(span[3] - span[1]) + i);
    }
}

#define HEADS(count, kv, size, see) .params.heads = { .heads = count, .kv_heads = kv, .head_size = size, .scale = 0.4f, .window = see }
#define MILD(count, kv, size, see)  .params.heads = { .heads = count, .kv_heads = kv, .head_size = size, .scale = 0.1f, .window = see } /* wide heads */
/* Tensor cores take the shares of keys in bf16. */
#define ON_HALVES                   .dtype = BF16, .tolerance = 0x1p-7, .gradient_tolerance = 0x1p-6
#define COARSE(count, kv, size)     .params.heads = { .heads = count, .kv_heads = kv, .head_size = size, .scale = 0.4f, .scaled_slopes = true, .coarse = true }
#define SCALED(count, kv, size)     .params.heads = { .heads = count, .kv_heads = kv, .head_size = size, .scale = 0.4f, .scaled_slopes = true }
#define SLOPED(count)               [SLOPES] = { 1, count }

static const struct op_case cases[] = {
    { "one sequence", .in = { { 13, 16 }, { 13, 16 }, { 13, 16 }, { 1, 4 } }, HEADS(2, 2, 8, 0), .number = { ONE } },
    { "three sequences, shared key heads", .in = { { 15, 60 }, { 15, 20 }, { 15, 20 }, { 3, 4 } }, HEADS(6, 2, 10, 0), .number = { THREE } },
    { "one head", .in = { { 15, 3 }, { 15, 3 }, { 15, 3 }, { 3, 4 } }, HEADS(1, 1, 3, 0), .number = { THREE } },
    { "sequences of one token", .in = { { 6, 16 }, { 6, 8 }, { 6, 8 }, { 3, 4 } }, HEADS(2, 1, 8, 0), .number = { TOKENS } },
    { "decode", .in = { { 3, 48 }, { 520, 16 }, { 520, 16 }, { 3, 4 } }, HEADS(3, 1, 16, 0), .number = { DECODE } },
    { "decode in a window", .in = { { 3, 48 }, { 520, 16 }, { 520, 16 }, { 3, 4 } }, HEADS(3, 1, 16, 100), .number = { DECODE } },
    { "queries behind cached keys", .in = { { 7, 16 }, { 33, 16 }, { 33, 16 }, { 3, 4 } }, HEADS(2, 2, 8, 0), .number = { CHUNK } },
    { "rows of no sequence", .in = { { 16, 16 }, { 19, 16 }, { 19, 16 }, { 3, 4 } }, HEADS(2, 2, 8, 0), .number = { GAPS } },
    { "window", .in = { { 13, 16 }, { 13, 16 }, { 13, 16 }, { 1, 4 } }, HEADS(2, 2, 8, 4), .number = { ONE } },
    { "window of two keys", .in = { { 15, 16 }, { 15, 16 }, { 15, 16 }, { 3, 4 } }, HEADS(2, 2, 8, 2), .number = { THREE } },
    { "prefix", .in = { { 15, 32 }, { 15, 16 }, { 15, 16 }, { 3, 4 }, { 7, 16 }, { 7, 16 } }, HEADS(4, 2, 8, 0), .number = { THREE } },
    { "prefix in a window", .in = { { 15, 16 }, { 15, 16 }, { 15, 16 }, { 3, 4 }, { 3, 16 }, { 3, 16 } }, HEADS(2, 2, 8, 6), .number = { THREE } },
    { "prefix and cached keys", .in = { { 7, 16 }, { 33, 16 }, { 33, 16 }, { 3, 4 }, { 4, 16 }, { 4, 16 } }, HEADS(2, 2, 8, 0), .number = { CHUNK } },
    { "prefix of many sequences", .in = { { 80, 8 }, { 80, 8 }, { 80, 8 }, { 40, 4 }, { 5, 8 }, { 5, 8 } }, HEADS(2, 2, 4, 0), .number = { MANY } },
    { "several tiles", .in = { { 300, 24 }, { 300, 8 }, { 300, 8 }, { 1, 4 } }, HEADS(3, 1, 8, 0), .number = { LONG } },
    { "several tiles in a window", .in = { { 300, 8 }, { 300, 8 }, { 300, 8 }, { 1, 4 }, { 9, 8 }, { 9, 8 } }, HEADS(1, 1, 8, 40), .number = { LONG } },
    { "several tiles of keys", .in = { { 10, 24 }, { 1210, 8 }, { 1210, 8 }, { 1, 4 } }, HEADS(3, 1, 8, 0), .number = { DEEP } },
    { "several tiles of keys in a window", .in = { { 10, 8 }, { 1210, 8 }, { 1210, 8 }, { 1, 4 }, { 9, 8 }, { 9, 8 } }, HEADS(1, 1, 8, 1190),
      .number = { DEEP } },
    { "slopes", .in = { { 15, 60 }, { 15, 20 }, { 15, 20 }, { 3, 4 }, SLOPED(6) }, HEADS(6, 2, 10, 0), .number = { THREE } },
    { "slopes, a prefix, cached keys", .in = { { 7, 16 }, { 33, 16 }, { 33, 16 }, { 3, 4 }, { 4, 16 }, { 4, 16 }, { 1, 2 } }, HEADS(2, 2, 8, 0),
      .number = { CHUNK } },
    { "slopes, several tiles in a window", .in = { { 300, 24 }, { 300, 8 }, { 300, 8 }, { 1, 4 }, SLOPED(3) }, HEADS(3, 1, 8, 40), .number = { LONG } },
    { "slopes, decode", .in = { { 3, 48 }, { 520, 16 }, { 520, 16 }, { 3, 4 }, SLOPED(3) }, HEADS(3, 1, 16, 0), .number = { DECODE } },
    { "coarse slopes", .in = { { 300, 24 }, { 300, 24 }, { 300, 24 }, { 1, 4 }, SLOPED(3) }, COARSE(3, 3, 8), .number = { LONG } },
    { "coarse slopes, decode", .in = { { 3, 48 }, { 520, 16 }, { 520, 16 }, { 3, 4 }, SLOPED(3) }, COARSE(3, 1, 16), .number = { DECODE } },
    { "scaled slopes, a prefix, cached keys", .in = { { 7, 16 }, { 33, 16 }, { 33, 16 }, { 3, 4 }, { 4, 16 }, { 4, 16 }, { 1, 2 } }, SCALED(2, 2, 8),
      .number = { CHUNK } },
    { "bf16, slopes", .in = { { 15, 32 }, { 15, 16 }, { 15, 16 }, { 3, 4 }, SLOPED(4) }, HEADS(4, 2, 8, 0), .number = { THREE }, .dtype = BF16,
      .gradient_tolerance = 0x1p-6 },
    { "no rows", .in = { { 0, 16 }, { 0, 16 }, { 0, 16 }, { 0, 4 }, { 2, 16 }, { 2, 16 } }, HEADS(2, 2, 8, 0), .number = { ONE } },
    { "bf16", .in = { { 15, 32 }, { 15, 16 }, { 15, 16 }, { 3, 4 } }, HEADS(4, 2, 8, 0), .number = { THREE }, .dtype = BF16, .gradient_tolerance = 0x1p-6 },
    { "bf16, several tiles", .in = { { 150, 32 }, { 150, 32 }, { 150, 32 }, { 2, 4 } }, HEADS(1, 1, 32, 0), .number = { PAIR }, ON_HALVES },
    { "bf16, heads of 40, a window", .in = { { 15, 120 }, { 15, 40 }, { 15, 40 }, { 3, 4 } }, HEADS(3, 1, 40, 6), .number = { THREE }, ON_HALVES },
    { "bf16, heads of 64, cached keys", .in = { { 7, 64 }, { 33, 64 }, { 33, 64 }, { 3, 4 } }, MILD(1, 1, 64, 0), .number = { CHUNK }, ON_HALVES },
    { "bf16, heads of 80, shared keys", .in = { { 15, 160 }, { 15, 80 }, { 15, 80 }, { 3, 4 } }, MILD(2, 1, 80, 0), .number = { THREE }, ON_HALVES },
    { "bf16, heads of 96, a prefix", .in = { { 16, 96 }, { 19, 96 }, { 19, 96 }, { 3, 4 }, { 33, 96 }, { 33, 96 } }, MILD(1, 1, 96, 0), .number = { GAPS },
      ON_HALVES, .weight_dtype = BF16 },
    { "bf16, heads of 128, slopes", .in = { { 13, 128 }, { 13, 128 }, { 13, 128 }, { 1, 4 }, SLOPED(1) }, MILD(1, 1, 128, 0), .number = { ONE }, ON_HALVES },
    { "bf16, heads of 256", .in = { { 13, 256 }, { 13, 256 }, { 13, 256 }, { 1, 4 } }, MILD(1, 1, 256, 0), .number = { ONE }, ON_HALVES },
    { "bf16, decode", .in = { { 3, 48 }, { 520, 16 }, { 520, 16 }, { 3, 4 } }, HEADS(3, 1, 16, 0), .number = { DECODE }, ON_HALVES },
    { "bf16, coarse slopes, decode", .in = { { 3, 48 }, { 520, 16 }, { 520, 16 }, { 3, 4 }, SLOPED(3) }, COARSE(3, 1, 16), .number = { DECODE }, ON_HALVES },
    { "bf16, odd heads, scaled slopes", .in = { { 15, 20 }, { 15, 10 }, { 15, 10 }, { 3, 4 }, SLOPED(4) }, SCALED(4, 2, 5), .number = { THREE }, ON_HALVES },
    { "bf16 and an f32 prefix", .in = { { 15, 32 }, { 15, 16 }, { 15, 16 }, { 3, 4 }, { 7, 16 }, { 7, 16 } }, HEADS(4, 2, 8, 0), .number = { THREE },
      .dtype = BF16 },
};

/* The gradient of bf16 meets a y that was rounded on its way, inside a difference: hence the tolerance of that case. Keys have an extent of their own: the rows
 * of a cache. */
static const struct op_test test = {
    .op = &op_attention,
    .in = { { CASE_DTYPE, ROWS, GRADIENT },
            { CASE_DTYPE, FIXED, GRADIENT },
            { CASE_DTYPE, FIXED, GRADIENT },
            { INT32, SEQUENCES, NO_GRADIENT },
            { WEIGHT_DTYPE, FIXED, GRADIENT },
            { WEIGHT_DTYPE, FIXED, GRADIENT },
            { FLOAT32, FIXED, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_spans,
    .gradient_tolerance = 1e-5,
};

static const int32_t bad_spans[][4] = {
    { -1, 2, 0, 2 }, { 0, -2, 0, 2 }, { 0, 5, 0, 5 },
    { 3, 2, 0, 2 },  { 0, 2, 3, 2 },  { 0, 2, -1, 2 },
    { 0, 3, 0, 2 },  { 0, 2, 0, 5 },  { 0, INT32_MAX, 0, INT32_MAX },
};
static void fill_bad(const struct op_case *c, const struct node *n, int i, double *values)
{
    for (int64_t j = 0; i == SPANS && j < n->in[i]->rows * 4; j++)
        values[j] = (double)bad_spans[(int)c->number[0]][j];
}

static void spans_that_leave_the_batch_are_refused(void **state)
{
    (void)state;
    struct op_test bad = test;
    bad.fill = fill_bad;
    for (size_t i = 0; i < COUNT(bad_spans); i++) {
        struct op_case c = { "bad", .in = { { 4, 8 }, { 4, 8 }, { 4, 8 }, { 1, 4 } }, HEADS(1, 1, 8, 0), .number = { (float)i } };
        struct error err = { 0 };
        assert_int_equal(op_forward_status(&bad, &c, &err), BAD_DATA);
        assert_non_null(strstr(err.what, "sequence 0"));
    }
}

int main(void)
{
    const struct CMUnitTest more[] = { cmocka_unit_test(spans_that_leave_the_batch_are_refused) };
    return op_test_run(&test, cases, COUNT(cases), more, COUNT(more));
}
