/* Choosing the next id: penalty, temperature, top-k, top-p, one draw. */
#include "inference/sampler.h"
#include "common/random.h"

#include <math.h>
#include <stdlib.h>

static int32_t most_probable(const float *logits, int64_t vocab)
{
    int64_t best = 0;
    for (int64_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* Ties go to the lower id, so that the order is total and results do not depend on the sort. */
static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static void penalize(float *logits, const int32_t *seen, int64_t count, double penalty, struct candidate *mark, int64_t vocab)
{
    for (int64_t i = 0; i < vocab; i++)
        mark[i].id = 0;
    for (int64_t i = 0; i < count; i++) {
        float *logit = &logits[seen[i]];
        if (mark[seen[i]].id++ == 0) /* once per distinct id */
            *logit = (float)(*logit > 0 ? *logit / penalty : *logit * penalty);
    }
}

/* Relative to the most probable one, whose weight is 1 at any temperature. */
static double weight(const struct sampling *sampling, const struct candidate *sorted, int64_t i)
{
    return exp(((double)sorted[i].logit - (double)sorted[0].logit) / sampling->temperature);
}

int32_t sample(const struct sampling *sampling, float *logits, int64_t vocab, const int32_t *seen, int64_t count, uint64_t prompt, uint64_t position,
               struct candidate *scratch)
{
    if (sampling->repetition_penalty != 1)
        penalize(logits, seen, count, sampling->repetition_penalty, scratch, vocab);
    if (sampling->temperature == 0)
        return most_probable(logits, vocab);
    for (int64_t i = 0; i < vocab; i++)
        scratch[i] = (struct candidate){ logits[i], (int32_t)i };
    qsort(scratch, (size_t)vocab, sizeof *scratch, by_logit);
    int64_t n = sampling->top_k && sampling->top_k < vocab ? sampling->top_k : vocab;
    double total = 0, kept = 0;
    for (int64_t i = 0; i < n; i++)
        total += weight(sampling, scratch, i);
    int64_t last = 0; /* the smallest set whose probability reaches top_p; never empty */
    while (last < n) {
        kept += weight(sampling, scratch, last++);
        if (kept >= sampling->top_p * total)
            break;
    }
    double draw = (double)random_uniform(sampling->seed, random_stream("sample") ^ prompt, position) * kept, sum = 0;
    for (int64_t i = 0; i < last; i++) {
        sum += weight(sampling, scratch, i);
        if (draw < sum)
            return scratch[i].id;
    }
    return scratch[last - 1].id;
}
