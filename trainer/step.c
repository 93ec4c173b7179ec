/* One optimizer step. */
#include "trainer/step.h"
#include "trainer/ranges.h"

#include <math.h>

enum { AUTO_MICRO_BATCH = 1024, LOSSES_TOGETHER = 32 };

int64_t step_micro_batch_tokens(const struct dataset *train, const struct training_settings *settings)
{
    int64_t longest = dataset_longest(train->sequence, train->count);
    if (settings->micro_batch_tokens)
        return settings->micro_batch_tokens;
    return longest > AUTO_MICRO_BATCH ? longest : AUTO_MICRO_BATCH;
}

struct capacity step_capacity(const struct dataset *train, const struct training_settings *settings)
{
    int64_t longest = dataset_longest(train->sequence, train->count), rows = step_micro_batch_tokens(train, settings);
    int64_t epoch = dataset_epoch_length(train), batch = settings->batch_size < epoch ? settings->batch_size : epoch;
    if (rows < longest)
        rows = longest;
    if (rows > batch * longest)
        rows = batch * longest;
    int64_t sequences = batch < rows ? batch : rows;
    return (struct capacity){ .rows = rows, .selected = rows, .sequences = sequences, .micro_batches = batch };
}

enum status stepper_create(struct stepper *stepper, struct arena *arena, struct session *session, const struct adapter *adapter, struct comm *comm,
                           struct capacity capacity, int64_t micro_batch_tokens, const struct training_settings *settings, struct error *err)
{
    *stepper = (struct stepper){
        .session = session,
        .parameters = adapter->parameters,
        .comm = comm,
        .hyper = { .beta1 = settings->adam_beta1,
                   .beta2 = settings->adam_beta2,
                   .epsilon = settings->adam_epsilon,
                   .weight_decay = settings->weight_decay,
                   .max_norm = settings->max_grad_norm },
        .batch = batch_new(arena, capacity.rows, capacity.sequences),
        .row_losses = capacity.selected * (capacity.micro_batches < LOSSES_TOGETHER ? capacity.micro_batches : LOSSES_TOGETHER),
        .packing = packing_new(arena, settings->batch_size),
        .share = NEW_ARRAY(arena, comm->ranks + 1, int64_t),
        .loss = NEW_ARRAY(arena, settings->batch_size, double),
        .selected = NEW_ARRAY(arena, settings->batch_size, int64_t),
        .micro_batch_tokens = micro_batch_tokens,
        .seed = (uint64_t)settings->seed,
    };
    stepper->row_loss = NEW_ARRAY(arena, stepper->row_losses, float);
    TRY(optimizer_create(&stepper->optimizer, arena, adapter->parameters, ranges_new(arena, adapter, settings), session->device, err));
    TRY(gradient_sum_create(&stepper->sum, arena, adapter->parameters, session->device, comm, capacity.micro_batches, err));
    return forward_new(&stepper->forward, arena, session, FOR_TRAINING, capacity, NULL, settings->recompute == RECOMPUTE_ALWAYS, err);
}

/* Asks for one, and for its losses. */
static enum status start_micro_batch(struct stepper *stepper, const struct feed *feed, float *row_loss, struct error *err)
{
    struct device *device = stepper->session->device;
    const struct tensor *losses = stepper->forward.loss.row_loss;
    gradient_sum_prepare(&stepper->sum);
    TRY(forward_start(stepper->session, &stepper->forward, feed, err));
    device->row->download_later(device, row_loss, losses->data, tensor_bytes(losses));
    return gradient_sum_take(&stepper->sum, err);
}

/* Waits for micro-batches begin .. end, and adds up the loss of each. */
static enum status take_losses(struct stepper *stepper, int64_t begin, int64_t end, int64_t step, struct error *err)
{
    const struct packing *packing = &stepper->packing;
    const float *row_loss = stepper->row_loss;
    TRY(device_synchronize(stepper->session->device, err));
    for (int64_t m = begin; m < end; m++) {
        stepper->loss[m] = 0;
        for (int64_t i = 0; i < stepper->selected[m]; i++)
            stepper->loss[m] += (double)*row_loss++;
        if (!isfinite(stepper->loss[m]))
            return fail_with(err, UNHEALTHY, "step %lld: the loss is not finite, first in a batch that begins with %s",
                             "lower training.learning_rate, or look at those records with 'graft data show'", (long long)step,
                             packing->sequence[packing->first[m]]->where);
    }
    return OK;
}

/* The micro-batches of this rank. Whatever happens, nothing is on its way to row_loss when this returns. */
static enum status run_share(struct stepper *stepper, int64_t step, const struct step_result *result, struct error *err)
{
    const struct packing *packing = &stepper->packing;
    const int64_t *share = stepper->share + stepper->comm->rank;
    struct feed feed = { .batch = stepper->batch, .weight = (float)(1 / (double)result->trained), .seed = stepper->seed, .step = (int32_t)step };
    int64_t waiting = share[0], m = share[0], rows = 0;
    enum status status = OK;
    gradient_sum_begin(&stepper->sum, share[0], share[1], result->micro_batches);
    for (; m < share[1] && status == OK; m++) {
        int64_t begin = packing->first[m], end = packing->first[m + 1];
        batch_fill(stepper->batch, packing->sequence + begin, end - begin, packing->row + begin);
        stepper->selected[m] = stepper->batch->selected;
        if (stepper->selected[m] > stepper->row_losses - rows) {
            TRY(take_losses(stepper, waiting, m, step, err));
            waiting = m;
            rows = 0;
        }
        status = start_micro_batch(stepper, &feed, stepper->row_loss + rows, err);
        rows += stepper->selected[m];
    }
    const enum status taken = take_losses(stepper, waiting, status == OK ? m : waiting, step, err);
    return status == OK ? taken : status;
}

enum status stepper_run(struct stepper *stepper, const struct sequence *const *sequence, int64_t count, double learning_rate, int64_t step,
                        struct step_result *result, struct error *err)
{
    *result = (struct step_result){ 0 };
    for (int64_t i = 0; i < count; i++) {
        result->tokens += sequence[i]->count - session_in_front(stepper->session, 0).tokens;
        result->trained += sequence[i]->trained;
    }
    CHECK(result->trained > 0);
    struct packing *packing = &stepper->packing;
    result->micro_batches = packing_fill(packing, sequence, count, stepper->micro_batch_tokens);
    micro_batch_shares(packing->sequence, packing->first, result->micro_batches, stepper->comm->ranks, stepper->share);
    comm_phase(stepper->comm, step, "micro-batches");
    TRY(comm_meet(stepper->comm, run_share(stepper, step, result, err), err));
    comm_phase(stepper->comm, step, "sum of gradients");
    TRY(gradient_sum_finish(&stepper->sum, stepper->share, err));
    TRY(comm_gather(stepper->comm, stepper->loss, stepper->share, sizeof *stepper->loss, err));
    for (int64_t m = 0; m < result->micro_batches; m++)
        result->loss += stepper->loss[m];
    result->loss /= (double)result->trained;
    TRY(optimizer_norm(&stepper->optimizer, &result->grad_norm, err));
    if (!isfinite(result->grad_norm))
        return fail_with(err, UNHEALTHY, "step %lld: the gradient is not finite (loss %.9g)", "lower training.learning_rate", (long long)step, result->loss);
    stepper->hyper.learning_rate = learning_rate;
    return optimizer_update(&stepper->optimizer, &stepper->hyper, result->grad_norm, step, err);
}

void stepper_destroy(struct stepper *stepper)
{
    gradient_sum_destroy(&stepper->sum);
    optimizer_destroy(&stepper->optimizer);
}
