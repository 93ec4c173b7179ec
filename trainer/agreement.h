/* That all ranks train the same: the same run at the start, and the same parameters on the way. */
#ifndef GRAFT_TRAINER_AGREEMENT_H
#define GRAFT_TRAINER_AGREEMENT_H

#include "trainer/checkpoint.h"

/* Compares what the run is made of, its configuration, what the budget chose, and from: the checkpoint that it goes on from, or NULL. Meets, then fails on
 * every rank: BAD_CONFIG, naming the first rank that differs and in what. identity: as identity_make() left it; then rank 0's, everywhere. */
enum status agreement_at_start(struct run *run, struct identity *identity, const struct checkpoint *from, struct error *err) MUST_USE;
/* Compares the parameters behind a step, bit by bit. UNHEALTHY, naming the rank that differs from most. */
enum status agreement_of_parameters(struct run *run, int64_t step, struct error *err) MUST_USE;

#endif
