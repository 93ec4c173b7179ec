/* What programs asked of a device, kept so that all of it is asked again with one call.
 *
 * Asking a GPU for one kernel takes the host some microseconds, and a program has thousands of steps that may be shorter. What is kept holds addresses and
 * sizes as they were: a program may be replayed only where it would ask for the very same, so its key is all that can differ between two runs of it. Values are
 * none of that: kernels read them from memory, also those that change from step to step (seeds, weights, learning rates).
 *
 * The rule: the first run of a key walks, which also loads what kernels need; the second is captured, and those behind it are one call. A few keys are kept and
 * the one unused for longest goes, so shapes that never come back, as in much training, cost a comparison. Programs of a few steps are walked: there is nothing
 * to gain.
 */
#ifndef GRAFT_AUTOGRAD_CAPTURES_H
#define GRAFT_AUTOGRAD_CAPTURES_H

#include "autograd/program.h"

/* Asks for all steps of p, by `walk` or by a replay, on a device that can capture. What cannot be captured is walked, always. Errors are those of walk. */
enum status captures_run(struct program *p, struct device *device, enum status (*walk)(const struct program *p, struct device *device)) MUST_USE;
/* With the device. */
void captures_release(struct device *device);

#endif
