/* The course of a run: which sequences each step of the optimizer takes.
 *
 * Known from the data and the settings alone, so what the steps need at most is known before the first of them.
 */
#ifndef GRAFT_TRAINER_COURSE_H
#define GRAFT_TRAINER_COURSE_H

#include "inference/forward.h"
#include "trainer/config.h"

struct course {
    const struct dataset *train;
    const struct training_settings *settings;
    struct arena *arena;
    int64_t length; /* sequences of an epoch */
    int64_t steps_per_epoch, steps;
    int64_t epoch;  /* whose order that is; -1: none yet */
    int64_t *order; /* [length] */
    const struct sequence **sequence;
};

struct course course_new(struct arena *arena, const struct dataset *train, const struct training_settings *settings);
/* Fills course->sequence: a slice of the epoch's order; the last step of an epoch may be short. step counts from 1. Returns how many. */
int64_t course_step(struct course *course, int64_t step);
/* What the largest micro-batch of the whole course holds, and how many micro-batches a step has at most. Of a course too long to be walked: what any could
 * hold. */
struct capacity course_capacity(struct arena *arena, const struct dataset *train, const struct training_settings *settings);

#endif
