/* A run that left its records, walked again into nothing, and held against them. */
#ifndef GRAFT_TRAINER_REPLAY_H
#define GRAFT_TRAINER_REPLAY_H

#include "trainer/run.h"

struct replay {
    const char *folder;   /* of the run */
    const char *override; /* a setting that the run chose and its configuration leaves open, for run_open(); NULL: none */
    struct recorded *recorded;
};

/* Reads what the run recorded: manifest.json and metrics.jsonl. Close whatever the outcome. Errors: BAD_FILE. */
enum status replay_open(struct replay *replay, struct arena *arena, const char *folder, struct error *err) MUST_USE;
/* Takes the first `steps` steps (0: all that are recorded) of an opened and loaded run, and compares losses, gradient norms and hashes of the parameters where
 * they were recorded, and, behind the last, the hash of all. *taken: how many. Writes nothing. Errors: UNHEALTHY with the first difference; what a step says.
 */
enum status replay_run(struct replay *replay, struct run *run, int64_t steps, int64_t *taken, struct error *err) MUST_USE;
void replay_close(struct replay *replay); /* safe on a zeroed one */

#endif
