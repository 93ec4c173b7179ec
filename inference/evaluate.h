/* How good a model is on records: loss per trained token, perplexity, exact match of the greedy answer. */
#ifndef GRAFT_INFERENCE_EVALUATE_H
#define GRAFT_INFERENCE_EVALUATE_H

#include "inference/generate.h"

/* A mean with its standard error. */
struct figure {
    double mean, error;
    int64_t count;
};

struct evaluation {
    struct figure loss, exact_match;
    char **answer; /* per sequence: the greedy answer, stripped of surrounding blanks (ids as text where there is no tokenizer) */
    bool *correct;
};

/* The prompt of each sequence is what stands before its first trained id; the answer ends at an end-of-sequence id, or a few ids beyond the reference's length.
 * It is correct if its text equals the reference's (format tokens: if its ids do). Sequences without a prompt count for the loss only. tokenizer may be NULL.
 */
enum status evaluate(struct session *session, struct arena *arena, const struct dataset *dataset, const struct tokenizer *tokenizer, const int32_t *eos,
                     int eos_count, struct evaluation *evaluation, struct error *err) MUST_USE;

/* What evaluate() will take at most. */
enum status evaluate_needs(struct inference_needs *needs, const struct session *session, const struct dataset *dataset, struct error *err) MUST_USE;

#endif
