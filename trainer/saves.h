/* What a run leaves in its folder: the adapter at the end, the best one, the ones along the way. */
#ifndef GRAFT_TRAINER_SAVES_H
#define GRAFT_TRAINER_SAVES_H

#include "trainer/run.h"

struct saves {
    struct run *run;
    struct arena *arena;
    char start[65]; /* hash of the parameters before the first step */
    float *best;    /* parameters at the lowest eval_loss; NULL: none yet */
    int64_t *step;  /* steps saved and still there, oldest first */
    int64_t steps;
};

/* Makes the folder, removes the records of an earlier run, writes config.yaml. An earlier run's adapter stays until there is one to replace it. */
enum status saves_begin(struct saves *saves, struct run *run, struct arena *arena, struct error *err) MUST_USE;
/* output_dir/adapters/step-000200, and removes the oldest beyond save_total_limit. */
enum status saves_step(struct saves *saves, int64_t step, struct error *err) MUST_USE;
/* Remembers the parameters as the best and writes output_dir/best. */
enum status saves_best(struct saves *saves, struct error *err) MUST_USE;
/* output_dir itself: the parameters as they are, or the best ones. */
enum status saves_final(struct saves *saves, bool best, struct error *err) MUST_USE;
bool saves_changed(const struct saves *saves);

#endif
