/* One line that says how far a run is: redrawn in place on a terminal, there with the curve of the loss; plain lines otherwise. */
#ifndef GRAFT_TRAINER_PROGRESS_H
#define GRAFT_TRAINER_PROGRESS_H

#include "trainer/sparkline.h"
#include "trainer/step.h"

struct progress {
    bool quiet, terminal, unicode;
    double began, drawn;  /* seconds, monotonic */
    int64_t first, total; /* steps: taken when this began, and in all */
    struct sparkline losses;
};

double monotonic_seconds(void);
struct progress progress_begin(bool quiet, int64_t first, int64_t total);
/* tokens_per_second, logged: on other outputs than a terminal only logged steps are printed. */
void progress_step(struct progress *progress, int64_t step, const struct step_result *result, double learning_rate, double tokens_per_second, bool logged);
/* A line of its own, below what was drawn. */
void progress_say(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_end(struct progress *progress);

#endif
