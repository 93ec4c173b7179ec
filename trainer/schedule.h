/* The learning rate over the steps, as transformers' schedulers compute it. */
#ifndef GRAFT_TRAINER_SCHEDULE_H
#define GRAFT_TRAINER_SCHEDULE_H

#include "trainer/config.h"

/* Rate of optimizer step `step` (from 1) of `total`. Warmup is linear from 0 (step 1 has rate 0 when there is a warmup); warmup_ratio means ceil(ratio * total)
 * steps. Source: transformers/optimization.py (get_*_schedule_with_warmup). */
double schedule_rate(const struct training_settings *settings, int64_t step, int64_t total);

#endif
