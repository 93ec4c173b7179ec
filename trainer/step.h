/* One optimizer step: its sequences in micro-batches, gradients summed, one update.
 *
 * The loss is a sum scaled by 1 / (trained tokens of the whole step), so how a step is cut into micro-batches changes rounding only. Who runs a micro-batch
 * changes nothing: ranks share them out, put the sums together along one tree (trainer/gradient_sum.h), and each makes the same update.
 *
 * A step waits for the device twice: for the losses of its micro-batches, all asked for one behind the other, and for the norm.
 */
#ifndef GRAFT_TRAINER_STEP_H
#define GRAFT_TRAINER_STEP_H

#include "inference/forward.h"
#include "trainer/config.h"
#include "trainer/gradient_sum.h"
#include "trainer/optimizer.h"

struct stepper {
    struct session *session;
    struct parameters *parameters;
    struct comm *comm;
    struct gradient_sum sum;
    struct forward forward;
    struct optimizer optimizer;
    struct hyper hyper; /* the learning rate is given per step */
    struct batch *batch;
    float *row_loss; /* [row_losses], of micro-batches whose losses are on their way from the device, end to end */
    int64_t row_losses;
    struct packing packing; /* micro-batches */
    int64_t *share;         /* [ranks + 1]: rank r runs micro-batches share[r] .. share[r + 1] */
    double *loss;           /* of each micro-batch: a sum over trained tokens */
    int64_t *selected;      /* and how many those are */
    int64_t micro_batch_tokens;
    uint64_t seed;
};

struct step_result {
    double loss, grad_norm; /* mean per trained token; before clipping */
    int64_t tokens, trained, micro_batches;
};

/* training.micro_batch_tokens, or what auto means where memory sets no bound. */
int64_t step_micro_batch_tokens(const struct dataset *train, const struct training_settings *settings);
/* What a step can need at most, whichever sequences it takes. */
struct capacity step_capacity(const struct dataset *train, const struct training_settings *settings);

/* capacity: of the largest micro-batch that will come. Recomputes only if settings->recompute says always: what auto means is the budget's choice. */
enum status stepper_create(struct stepper *stepper, struct arena *arena, struct session *session, const struct adapter *adapter, struct comm *comm,
                           struct capacity capacity, int64_t micro_batch_tokens, const struct training_settings *settings, struct error *err) MUST_USE;
/* sequence: as session_sequences() gives them. step counts from 1. A loss or gradient that is not finite is UNHEALTHY, says where, and leaves the parameters as
 * they were. The update may still be on its way: who reads parameters on the host synchronizes the device first. */
enum status stepper_run(struct stepper *stepper, const struct sequence *const *sequence, int64_t count, double learning_rate, int64_t step,
                        struct step_result *result, struct error *err) MUST_USE;
void stepper_destroy(struct stepper *stepper);

#endif
