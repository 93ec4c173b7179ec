/* Log-probabilities: what a model thinks of given ids. */
#ifndef GRAFT_INFERENCE_SCORE_H
#define GRAFT_INFERENCE_SCORE_H

#include "inference/forward.h"

/* For one sequence: entry t describes ids[t + 1], predicted from what stands before; sequence->labels are not looked at. */
struct score {
    float *logprob;  /* [count - 1] */
    int32_t *greedy; /* [count - 1]: the most probable id there */
};
/* Scores every sequence into the arena, many at a time. Errors: DOES_NOT_FIT, kernel errors. */
enum status score_sequences(struct session *session, struct arena *arena, const struct sequence *sequence, int64_t count, struct score *score,
                            struct error *err) MUST_USE;

/* All logits of one sequence, f32 [count, vocab]. */
enum status score_logits(struct session *session, struct arena *arena, const struct sequence *sequence, float **logits, struct error *err) MUST_USE;

/* Mean loss over trained tokens. */
struct loss_sum {
    double loss, squares; /* sums of token losses and of their squares, f64 */
    int64_t tokens;
};
/* What loss_of_sequences() can hold at once. */
struct capacity loss_capacity(const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens);
/* What loss_of_sequences() will take. used: as for model_touched_bytes(). */
enum status loss_needs(struct inference_needs *needs, const struct session *session, const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens,
                       const bool *used, struct error *err) MUST_USE;
/* The losses of each sequence; several workers share whole batches out, and worker w makes each[begin[w]] .. each[begin[w + 1]]. begin has room for workers
 * + 1.
 */
enum status losses_of_sequences(struct session *session, const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens, int worker, int workers,
                                struct loss_sum *each, int64_t *begin, struct error *err) MUST_USE;
/* Their sum, in order. */
struct loss_sum loss_total(const struct loss_sum *each, int64_t count);
/* All of it. micro_batch_tokens bounds the rows of a batch (a longer sequence still runs alone). */
enum status loss_of_sequences(struct session *session, const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens, struct loss_sum *sum,
                              struct error *err) MUST_USE;

#endif
