/* Weights that are not used where the files have them, once per host: its first rank converts them, and the others read what it made.
 *
 * Mapped weights need nothing of the kind: all processes read the same pages of the files.
 */
#ifndef GRAFT_TRAINER_SHARED_WEIGHTS_H
#define GRAFT_TRAINER_SHARED_WEIGHTS_H

#include "trainer/run.h"

/* model_fill() for all ranks together: meets. A rank that cannot look into the first one of its host has weights of its own. Errors: NO_MEMORY, LIBRARY. */
enum status shared_weights_fill(struct run *run, struct error *err) MUST_USE;
/* How much of what this process has is also that of others, for those that share a host: of the converted weights all but its part. */
size_t shared_weights_bytes(const struct run *run);

#endif
