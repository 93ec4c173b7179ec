/* Continuing prompts through a KV cache.
 *
 * Prompts take lanes; every round feeds each lane what it has not seen yet (the whole prompt at first, one id afterwards), all lanes in one pass, whatever
 * their lengths. When an answer ends, the next prompt takes its lane. Prefill and decoding are therefore the same program, and no padding exists.
 */
#ifndef GRAFT_INFERENCE_GENERATE_H
#define GRAFT_INFERENCE_GENERATE_H

#include "inference/forward.h"

struct prompt {
    const int32_t *ids;
    int64_t count;
    int64_t max_new; /* new ids at most */
    int choice;      /* the number of its set of adapters, where prompts choose */
};

struct answer {
    int32_t *ids; /* new ids only; the end-of-sequence id included when it was produced */
    int64_t count;
    bool stopped; /* by end of sequence or by watch(); else by length */
};

enum { GENERATE_LANES = 16 }; /* what graft generate takes, and graft plan counts with */

struct generation {
    struct sampling sampling;
    const int32_t *eos; /* ids that end an answer */
    int eos_count;
    int64_t lanes; /* answers made at the same time at most */
    /* Called after each new id; returns false to end this answer there. NULL: never. */
    bool (*watch)(void *self, int64_t prompt, const struct answer *answer);
    void *self;
};

/* Fills answer[0..count). Errors: BAD_DATA (empty prompt; longer than the model's positions), NO_MEMORY. */
enum status generate(struct session *session, struct arena *arena, const struct generation *generation, const struct prompt *prompt, int64_t count,
                     struct answer *answer, struct error *err) MUST_USE;

/* What generate() will take at most for such prompts: their ids are not looked at, their counts are. used: as for
 * model_touched_bytes(). */
enum status generate_needs(struct inference_needs *needs, const struct session *session, int64_t lanes, const struct prompt *prompt, int64_t count,
                           const bool *used, struct error *err) MUST_USE;

#endif
