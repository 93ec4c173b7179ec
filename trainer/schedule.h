/* The learning rate over the steps: behind the warm-up as transformers' schedulers compute it. */
#ifndef GRAFT_TRAINER_SCHEDULE_H
#define GRAFT_TRAINER_SCHEDULE_H

#include "trainer/config.h"

/* Rate of optimizer step `step` (from 1) of `total`. Warm-up over W steps is linear: step s has s / W of the rate, so that every step trains (transformers'
 * first step has rate 0: its rates of the warm-up come one step later). warmup_ratio means W = ceil(ratio * total). Source of the rest:
 * transformers/optimization.py (get_*_schedule_with_warmup). */
double schedule_rate(const struct training_settings *settings, int64_t step, int64_t total);

#endif
