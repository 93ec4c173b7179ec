/* What a run leaves in its folder: the adapter at the end, the best one, the ones along the way, and checkpoints to go on from. */
#ifndef GRAFT_TRAINER_SAVES_H
#define GRAFT_TRAINER_SAVES_H

#include "trainer/checkpoint.h"
#include "trainer/folder.h"

struct saves {
    struct run *run;
    struct arena *arena;
    const struct identity *identity;
    struct text config;
    int lock;                          /* on the folder; -1: none */
    float *best;                       /* parameters at the lowest eval_loss; NULL: none yet */
    struct kept adapters, checkpoints; /* saved and still there */
};

/* Makes the folder and locks it, removes the records, checkpoints and adapters along the way of an earlier run (which may be this one, begun again), writes
 * config.yaml. An earlier run's final adapter stays until there is one to replace it. identity must live as long. End it whatever the outcome. Errors: DISK,
 * EXISTS if another process trains there. */
enum status saves_begin(struct saves *saves, struct run *run, const struct identity *identity, struct arena *arena, struct error *err) MUST_USE;
/* The same for a run that goes on: the folder becomes what it was at the checkpoint, which stays the newest; what the run had written behind it is removed, for
 * it will be written again. The checkpoint must fit, and checkpoint_restore() come behind: parameters may be those of the best until then. */
enum status saves_go_on(struct saves *saves, struct run *run, const struct identity *identity, const struct checkpoint *from, struct arena *arena,
                        struct error *err) MUST_USE;
/* output_dir/adapters/step-000200, and removes the oldest beyond save_total_limit. */
enum status saves_step(struct saves *saves, int64_t step, struct error *err) MUST_USE;
/* The same for the last good adapter of a run that failed, and nothing is removed for it: a run that goes on takes it away again, and would miss the other. */
enum status saves_aside(struct saves *saves, int64_t step, struct error *err) MUST_USE;
/* output_dir/checkpoints/step-000200.h5, and removes the oldest beyond save_total_limit. The length of metrics.jsonl is added to the position. */
enum status saves_checkpoint(struct saves *saves, struct position position, struct error *err) MUST_USE;
/* Remembers the parameters as the best and writes output_dir/best. */
enum status saves_best(struct saves *saves, struct error *err) MUST_USE;
/* output_dir itself: the parameters as they are, or the best ones. */
enum status saves_final(struct saves *saves, bool best, struct error *err) MUST_USE;
void saves_end(struct saves *saves); /* lets go of the folder; safe on a zeroed one */
bool saves_changed(const struct saves *saves);

#endif
