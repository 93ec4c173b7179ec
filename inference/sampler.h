/* Choosing the next id from logits. Deterministic: what is drawn depends only on (seed, prompt, position). */
#ifndef GRAFT_INFERENCE_SAMPLER_H
#define GRAFT_INFERENCE_SAMPLER_H

#include "common/arena.h"

#include <stdint.h>

struct sampling {
    double temperature; /* 0: greedy */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    double repetition_penalty;
    uint64_t seed;
};

/* The next id. logits [vocab] are changed. seen[0..count): ids so far (prompt and answer), for the repetition penalty as transformers applies it: positive
 * logits are divided by it, negative ones multiplied, once per distinct id. `prompt` and `position` name the draw. scratch has room for vocab items (see
 * sampler_scratch). Order: penalty, temperature, top-k, top-p, draw. */
struct candidate {
    float logit;
    int32_t id;
};
int32_t sample(const struct sampling *sampling, float *logits, int64_t vocab, const int32_t *seen, int64_t count, uint64_t prompt, uint64_t position,
               struct candidate *scratch);

#endif
