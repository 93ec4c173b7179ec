/* Where a run's time goes: per kind of step, seconds, floating-point operations, bytes and rates.
 *
 * Operations are counted from shapes (two per multiply-add of the products; other kinds of step count none), bytes as every tensor a step touches once: a lower
 * bound.
 */
#ifndef GRAFT_TRAINER_PROFILE_H
#define GRAFT_TRAINER_PROFILE_H

#include "autograd/program.h"
#include "common/files.h"

enum { PROFILE_ROWS = 64 };

struct profile {
    double last; /* seconds, monotonic, when the step before ended */
    struct profile_row {
        const struct op *op;
        int what; /* FORWARD or BACKWARD */
        bool recomputed;
        int64_t steps;
        double seconds, operations, bytes;
    } row[PROFILE_ROWS];
    int rows;
};

/* A program_watch. */
void profile_step(void *self, const struct program *p, int step);
/* The table, most expensive kind first. peak: GFLOP/s of the machine's best product, measured by the caller. */
void profile_print(const struct profile *profile, double peak, struct output *out);

#endif
