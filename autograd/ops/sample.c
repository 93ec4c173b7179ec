/* sample: the next id of each row of logits: penalty, temperature, top-k, top-p, one draw, or the most probable.
 *
 * Nothing is sorted: the key that is looked for (autograd/ops/sample.h) is found digit by digit, from sums over all items with the digits found so far. A draw
 * u in [0, 1) takes the item behind whose predecessors, in order, the share u of the kept weight lies.
 *
 * Source of top-p: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
 */
#include "autograd/ops/sample.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"
#include "common/random.h"

#include <string.h>

enum { LOGITS, DRAWS, SEEN }; /* in:  logits f32 [rows, vocab], draws I32 [rows, 2], seen I32 [rows, most] or NULL */
enum { ID };                  /* out: I32 [rows, 1] */
enum { DIGIT_BITS = 8, BINS = 1 << DIGIT_BITS };

struct tensor *sample(struct graph *g, struct tensor *logits, struct tensor *draws, struct tensor *seen, const struct sampling *sampling)
{
    expect_rows_of(g, op_sample.name, draws, logits);
    expect_shape(g, op_sample.name, draws, -1, 2);
    if (seen)
        expect_rows_of(g, op_sample.name, seen, logits);
    if (logits->dtype != F32 || logits->cols > (int64_t)1 << PLACE_BITS)
        graph_fail(g, "sample: %s logits of %lld ids", dtype_name(logits->dtype), (long long)logits->cols);
    struct node *n = record(g, &op_sample, logits, draws, seen);
    n->params.sample.rules = *sampling;
    n->params.sample.stream = random_stream("sample");
    return output(n, ID, I32, logits, 1);
}

struct row {
    const float *logits;
    int64_t vocab;
    double temperature;
    float largest;
    uint64_t least; /* keys below are cut off */
};

/* Of the row's keys that begin with the digits of `prefix`: the items, or the weight, by next digit. */
static WIDE void add_up(const struct row *r, bool weights, int shift, uint64_t prefix, uint64_t bin[BINS])
{
    memset(bin, 0, BINS * sizeof *bin);
    for (int64_t j = 0; j < r->vocab; j++) {
        const uint64_t key = key_of(r->logits[j], j);
        if (key >= r->least && key >> shift >> DIGIT_BITS == prefix)
            bin[key >> shift & (BINS - 1)] += weights ? weight_of(r->logits[j], r->largest, r->temperature) : 1;
    }
}

struct found {
    uint64_t key, sum; /* the largest key such that those from it on have the goal, and what they have */
};

/* first: bins of the first digit, where somebody has them already. */
static struct found find(const struct row *r, bool weights, uint64_t goal, const uint64_t *first)
{
    uint64_t bin[BINS], above = 0, key = 0;
    for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS, first = NULL) {
        const uint64_t *sum = first ? first : bin;
        uint64_t digit = BINS - 1;
        if (!first)
            add_up(r, weights, shift, key, bin);
        for (; above + sum[digit] < goal; digit--)
            above += sum[digit];
        key = key << DIGIT_BITS | digit;
        if (shift == 0)
            above += sum[digit];
    }
    return (struct found){ key, above };
}

/* The largest, the lowest id on ties; -1 - j: logit j is not a number. */
static WIDE int32_t most_probable(const float *logits, int64_t vocab)
{
    float largest = logits[0];
    bool numbers = true;
    for (int64_t j = 0; j < vocab; j++) {
        largest = logits[j] > largest ? logits[j] : largest;
        numbers &= logits[j] == logits[j];
    }
    for (int64_t j = 0; j < vocab; j++)
        if (numbers ? logits[j] == largest : logits[j] != logits[j])
            return (int32_t)(numbers ? j : -1 - j);
    return 0;
}

static int32_t sample_row(const struct node *n, const float *logits, const int32_t draw[2])
{
    const struct sampling *rules = &n->params.sample.rules;
    const int32_t best = most_probable(logits, n->in[LOGITS]->cols);
    if (best < 0 || rules->temperature == 0)
        return best;
    struct row r = { logits, n->in[LOGITS]->cols, rules->temperature, logits[best], 0 };
    if (rules->top_k && rules->top_k < r.vocab)
        r.least = find(&r, false, (uint64_t)rules->top_k, NULL).key;
    uint64_t first[BINS], kept = 0;
    add_up(&r, true, KEY_BITS - DIGIT_BITS, 0, first);
    for (int i = 0; i < BINS; i++)
        kept += first[i];
    if (rules->top_p < 1)
        kept = find(&r, true, weight_of_share(kept, rules->top_p), first).sum;
    const uint32_t bits = random_bits(rules->seed, n->params.sample.stream ^ (uint64_t)draw[0], (uint64_t)draw[1]) >> 8;
    return place_of_key(find(&r, true, weight_drawn(kept, bits), first).key);
}

/* Every penalty is of the logit as it came, so an id seen twice is penalized once. */
static const float *penalize(float *to, const float *logits, int64_t vocab, const int32_t *seen, int64_t most, double penalty)
{
    memcpy(to, logits, (size_t)vocab * sizeof *to);
    for (int64_t i = 0; i < most && seen[i] >= 0; i++)
        if (seen[i] < vocab)
            to[seen[i]] = penalized(logits[seen[i]], penalty);
    return to;
}

static enum status forward_cpu(struct device *device, const struct node *n)
{
    const struct tensor *logits = n->in[LOGITS], *seen = n->in[SEEN];
    const int64_t vocab = logits->cols;
#pragma omp parallel for schedule(dynamic) num_threads(device->threads) if (logits->rows * vocab >= WORTH_THREADS)
    for (int64_t r = 0; r < logits->rows; r++) {
        const float *row = (const float *)logits->data + r * vocab;
        if (seen)
            row = penalize((float *)n->scratch + r * vocab, row, vocab, (const int32_t *)seen->data + r * seen->cols, seen->cols,
                           n->params.sample.rules.repetition_penalty);
        ((int32_t *)n->out[ID]->data)[r] = sample_row(n, row, (const int32_t *)n->in[DRAWS]->data + 2 * r);
    }
    return OK;
}

static size_t scratch(const struct node *n, int threads)
{
    (void)threads;
    return n->in[SEEN] ? tensor_capacity_bytes(n->in[LOGITS]) : 0;
}

const struct op op_sample = {
    .name = "sample",
    .forward = { [CPU] = forward_cpu, [CUDA] = ON_CUDA(sample_forward) },
    .scratch = scratch,
    .in_place = NONE,
    .no_gradient = true,
};
