/* How a run begins: from the start, or from a checkpoint that an earlier one left. */
#ifndef GRAFT_TRAINER_RESUME_H
#define GRAFT_TRAINER_RESUME_H

#include "trainer/changes.h"
#include "trainer/checkpoint.h"
#include "trainer/comm.h"

struct resume {
    const char *where;            /* what the run goes on from, for messages; NULL: there was no run before */
    const char *config;           /* that run's */
    struct checkpoint checkpoint; /* path NULL: none, the run begins at its first step */
};

/* Looks at training.output_dir, before anything is loaded. mode: auto goes on where a run did not reach its end, from its newest good checkpoint (others are
 * named in warnings), or from its beginning if it left no checkpoint; never refuses any folder that holds a run; anything else is the path of
 * a checkpoint in output_dir/checkpoints. force: a run that is there will be replaced. Close whatever the outcome. Errors: EXISTS, BAD_CONFIG (the folder
 * cannot be one), BAD_OPTION, BAD_FILE. */
enum status resume_find(struct resume *resume, struct arena *arena, const struct config *config, const char *mode, bool force, struct error *err) MUST_USE;
/* All ranks, behind a meeting: the others than rank 0, which alone has looked, open the checkpoint that it goes on from. Whether that is the same one is for
 * agreement_at_start() to say. Errors: BAD_FILE, and those of comm_broadcast(). */
enum status resume_share(struct resume *resume, struct arena *arena, struct comm *comm, struct error *err) MUST_USE;
/* Makes an opened run the one that goes on, before weights are read: its micro-batches are those of the run before where the settings leave them to graft.
 * Errors: DOES_NOT_FIT. */
enum status resume_prepare(const struct resume *resume, struct run *run, struct error *err) MUST_USE;
/* Whether the run, now loaded, is the one that goes on. Errors: those of changes_check() and checkpoint_fits(), BAD_CONFIG if it is shorter than it was. */
enum status resume_check(const struct resume *resume, struct run *run, const struct identity *identity, const struct allowed *allowed,
                         struct error *err) MUST_USE;
void resume_close(struct resume *resume); /* safe on a zeroed one */

#endif
