/* metrics.jsonl: one JSON object per logged step, appended as it happens; and manifest.json: what this run was.
 *
 * A line of a step that is saved carries parameter_hash, of the parameters behind that step: losses and gradient norms of the other lines say nearly as much,
 * for no hashing. */
#ifndef GRAFT_TRAINER_METRICS_H
#define GRAFT_TRAINER_METRICS_H

#include "inference/score.h"
#include "trainer/identity.h"

enum { PARAMETER_HASH = 16 }; /* hex digits of it */

/* hash: whether the line carries parameter_hash. */
enum status metrics_step(const struct run *run, int64_t step, const struct step_result *result, double learning_rate, double tokens_per_second, bool hash,
                         struct error *err) MUST_USE;
enum status metrics_eval(const struct run *run, int64_t step, const struct loss_sum *sum, struct error *err) MUST_USE;
/* outcome: "finished", "stopped early", "interrupted", or the failure. */
enum status manifest_write(struct run *run, const struct identity *identity, int64_t steps_done, double seconds, const char *outcome,
                           struct error *err) MUST_USE;

#endif
