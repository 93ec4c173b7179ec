/* The training loop. */
#ifndef GRAFT_TRAINER_TRAIN_H
#define GRAFT_TRAINER_TRAIN_H

#include "trainer/checkpoint.h"

struct train_outcome {
    int64_t steps;
    double seconds, first_loss, last_loss, eval_loss, best_eval_loss; /* eval: NAN where there was none */
    int64_t best_step;
    bool stopped_early;
};

/* Blocks SIGINT, SIGTERM and SIGUSR1 for this thread and those it will make; the loop looks for them between steps. Call before anything starts threads. */
void train_block_signals(void);
/* Trains, evaluates, logs and saves as the configuration says; of several ranks the first alone logs and saves, and what fails on one fails on all. from: a
 * checkpoint that fits and that the run goes on from, the same on all ranks; NULL: from the beginning. Errors: UNHEALTHY (loss or gradient not finite, an
 * adapter that did not change), DISK, INTERRUPTED (by a signal to any rank: after a clean save, or before there was anything to save). */
enum status train(struct run *run, const struct identity *identity, const struct checkpoint *from, bool quiet, struct train_outcome *outcome,
                  struct error *err) MUST_USE;

#endif
