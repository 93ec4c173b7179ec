/* metrics.jsonl: one JSON object per logged step, appended as it happens; and manifest.json: what this run was. */
#ifndef GRAFT_TRAINER_METRICS_H
#define GRAFT_TRAINER_METRICS_H

#include "inference/score.h"
#include "trainer/run.h"

enum status metrics_step(const struct run *run, int64_t step, const struct step_result *result, double learning_rate, double tokens_per_second,
                         struct error *err) MUST_USE;
enum status metrics_eval(const struct run *run, int64_t step, const struct loss_sum *sum, struct error *err) MUST_USE;
/* outcome: "finished", "stopped early", "interrupted", or the failure. */
enum status manifest_write(struct run *run, int64_t steps_done, double seconds, const char *outcome, struct error *err) MUST_USE;

#endif
