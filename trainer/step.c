/* One optimizer step. */
#include "trainer/step.h"
#include "trainer/ranges.h"

#include <math.h>

enum { AUTO_MICRO_BATCH = 1024 };

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
    return (struct capacity){ .rows = rows, .selected = rows, .sequences = sequences };
}

enum status stepper_create(struct stepper *stepper, struct arena *arena, struct session *session, const struct adapter *adapter, struct capacity capacity,
                           int64_t micro_batch_tokens, const struct training_settings *settings, struct error *err)
{
    *stepper = (struct stepper){
        .session = session,
        .parameters = adapter->parameters,
        .hyper = { .beta1 = settings->adam_beta1,
                   .beta2 = settings->adam_beta2,
                   .epsilon = settings->adam_epsilon,
                   .weight_decay = settings->weight_decay,
                   .max_norm = settings->max_grad_norm },
        .batch = batch_new(arena, capacity.rows, capacity.sequences),
        .row_loss = NEW_ARRAY(arena, capacity.selected, float),
        .packing = packing_new(arena, settings->batch_size),
        .micro_batch_tokens = micro_batch_tokens,
        .seed = (uint64_t)settings->seed,
    };
    TRY(optimizer_create(&stepper->optimizer, arena, adapter->parameters, ranges_new(arena, adapter, settings), session->device, err));
    return forward_new(&stepper->forward, arena, session, FOR_TRAINING, capacity, NULL, settings->recompute == RECOMPUTE_ALWAYS, err);
}

static enum status run_micro_batch(struct stepper *stepper, const struct feed *feed, double *loss, struct error *err)
{
    TRY(forward_run(stepper->session, &stepper->forward, feed, err));
    tensor_download(stepper->session->device, stepper->forward.loss.row_loss, stepper->row_loss);
    for (int64_t i = 0; i < feed->batch->selected; i++)
        *loss += (double)stepper->row_loss[i];
    return OK;
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
    parameters_zero_gradient(stepper->parameters);
    struct feed feed = { .batch = stepper->batch, .weight = (float)(1 / (double)result->trained), .seed = stepper->seed, .step = (int32_t)step };
    for (int64_t m = 0; m < result->micro_batches; m++) {
        int64_t begin = packing->first[m], end = packing->first[m + 1];
        batch_fill(stepper->batch, packing->sequence + begin, end - begin, packing->row + begin);
        TRY(run_micro_batch(stepper, &feed, &result->loss, err));
        if (!isfinite(result->loss))
            return fail_with(err, UNHEALTHY, "step %lld: the loss is not finite, first in a batch that begins with %s",
                             "lower training.learning_rate, or look at those records with 'graft data show'", (long long)step, packing->sequence[begin]->where);
    }
    result->loss /= (double)result->trained;
    TRY(optimizer_norm(&stepper->optimizer, &result->grad_norm, err));
    if (!isfinite(result->grad_norm))
        return fail_with(err, UNHEALTHY, "step %lld: the gradient is not finite (loss %.9g)", "lower training.learning_rate", (long long)step, result->loss);
    stepper->hyper.learning_rate = learning_rate;
    return optimizer_update(&stepper->optimizer, &stepper->hyper, result->grad_norm, step, err);
}

void stepper_destroy(struct stepper *stepper)
{
    optimizer_destroy(&stepper->optimizer);
}
