/* What one optimizer step promises: however it is cut, threaded or recomputed, the gradient is the same, and the update is AdamW. */
#include "common/random.h"
#include "inference/score.h"
#include "tests/harness/tiny_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_SEQUENCES = 8 };

/* An update as large as the weights makes a random network amplify rounding: it is smaller here. */
static const char *const with_dropout[] = { "adapter.lora_dropout=0.2", "adapter.lora_alpha=1.5", NULL };

static void assert_fine(struct tiny_run *t, enum status status)
{
    if (status != OK)
        fail_msg("%s (%s)", t->err.what, t->err.cure);
}

/* One step over all records with these settings, from the parameters as they are. */
static struct step_result run_step(struct tiny_run *t, const struct training_settings *settings)
{
    struct stepper stepper;
    struct step_result result;
    const struct sequence *sequence[MOST_SEQUENCES];
    assert_true(t->run.train.count <= MOST_SEQUENCES);
    for (int64_t i = 0; i < t->run.train.count; i++)
        sequence[i] = &t->run.train.sequence[i];
    assert_fine(t, stepper_create(&stepper, t->arena, &t->run.session, t->run.adapter, comm_alone(t->arena), step_capacity(&t->run.train, settings),
                                  step_micro_batch_tokens(&t->run.train, settings), settings, &t->err));
    assert_fine(t, stepper_run(&stepper, sequence, t->run.train.count, 1e-2, 1, &result, &t->err));
    stepper_destroy(&stepper);
    return result;
}

/* The trained state as bytes on the host: values, gradient, first and second moment, one behind the other. */
static float *trained_state(struct tiny_run *t)
{
    const struct parameters *p = t->run.adapter->parameters;
    const struct tensor *const part[] = { p->value, p->grad, p->first, p->second };
    float *state = NEW_ARRAY(t->arena, 4 * p->count, float);
    for (int i = 0; i < 4; i++)
        tensor_download(&t->device, part[i], state + i * p->count);
    return state;
}

static void restore(struct tiny_run *t, const float *state)
{
    const struct parameters *p = t->run.adapter->parameters;
    struct tensor *const part[] = { p->value, p->grad, p->first, p->second };
    for (int i = 0; i < 4; i++)
        tensor_upload(&t->device, part[i], state + i * p->count);
}

static double largest(const float *values, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = isnan(values[i]) ? NAN : fmax(most, fabs((double)values[i]));
    return most;
}

static void micro_batches_change_rounding_only(void **state)
{
    (void)state;
    static const struct {
        int64_t tokens, micro_batches; /* 0: some number between */
    } cases[] = { { 1 << 16, 1 }, { 1, 8 }, { 20, 0 }, { 30, 0 }, { 50, 0 } };
    struct tiny_run t;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, with_dropout);
    const int64_t count = t.run.adapter->parameters->count;
    float *start = trained_state(&t);
    const float *all = NULL;
    double loss = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct training_settings settings = t.run.config.training;
        settings.micro_batch_tokens = cases[i].tokens;
        for (int64_t j = count; j < 2 * count; j++)
            start[j] = (float)i; /* what an earlier step left there has no say */
        restore(&t, start);
        const struct step_result result = run_step(&t, &settings);
        const float *gradient = trained_state(&t) + count;
        if (cases[i].micro_batches)
            assert_int_equal(result.micro_batches, cases[i].micro_batches);
        else
            assert_in_range(result.micro_batches, 2, 7);
        if (i == 0) {
            all = gradient;
            loss = result.loss;
            assert_true(largest(all, count) > 1e-3);
        }
        for (int64_t j = 0; j < count; j++)
            assert_true(fabs((double)gradient[j] - (double)all[j]) <= 1e-6 * largest(all, count));
        assert_true(fabs(result.loss - loss) <= 1e-6 * loss);
        assert_int_equal(result.tokens, t.run.train.tokens);
        assert_int_equal(result.trained, t.run.train.trained);
    }
    tiny_run_close(&t);
}

/* Long enough sequences in a wide enough model for every kernel to share its work out. */
static void widen_records(struct tiny_run *t)
{
    struct dataset *data = &t->run.train;
    data->tokens = data->trained = 0;
    for (int64_t s = 0; s < data->count; s++) {
        struct sequence *q = &data->sequence[s];
        q->count = 64 - 3 * s;
        q->ids = NEW_ARRAY(t->arena, q->count, int32_t);
        q->labels = NEW_ARRAY(t->arena, q->count, int32_t);
        q->trained = 0;
        for (int64_t i = 0; i < q->count; i++) {
            q->ids[i] = (int32_t)random_below(9, (uint64_t)s, (uint64_t)i, (uint64_t)t->run.model.config.vocab);
            q->labels[i] = i > q->count / 3 ? q->ids[i] : NOT_TRAINED;
            q->trained += q->labels[i] != NOT_TRAINED;
        }
        data->tokens += q->count;
        data->trained += q->trained;
    }
}

static void assert_same_state(struct tiny_run *t, const float *a, const float *b)
{
    const int64_t count = 4 * t->run.adapter->parameters->count;
    assert_true(largest(a, count) > 0);
    assert_memory_equal(a, b, (size_t)count * sizeof *a);
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &(struct tiny_model){ .width = 64, .mlp_width = 160, .vocab = 500 }, with_dropout);
    widen_records(&t);
    const float *start = trained_state(&t), *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        struct training_settings settings = t.run.config.training;
        settings.micro_batch_tokens = 300;
        device_close(&t.device);
        assert_fine(&t, device_open(&t.device, "cpu", threads, &t.err));
        restore(&t, start);
        run_step(&t, &settings);
        const float *now = trained_state(&t);
        if (first)
            assert_same_state(&t, first, now);
        else
            first = now;
    }
    tiny_run_close(&t);
}

static void recomputation_changes_no_bit_of_a_step(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &(struct tiny_model){ .layers = 3 }, with_dropout);
    const float *start = trained_state(&t), *after[2];
    for (int i = 0; i < 2; i++) {
        struct training_settings settings = t.run.config.training;
        settings.micro_batch_tokens = 20;
        settings.recompute = i ? RECOMPUTE_ALWAYS : RECOMPUTE_NEVER;
        restore(&t, start);
        run_step(&t, &settings);
        after[i] = trained_state(&t);
    }
    assert_same_state(&t, after[0], after[1]);
    tiny_run_close(&t);
}

static void dropout_follows_seed_and_step(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, with_dropout);
    const float *start = trained_state(&t);
    double loss[3];
    for (int i = 0; i < 3; i++) {
        struct training_settings settings = t.run.config.training;
        settings.seed += i == 1;
        restore(&t, start);
        loss[i] = run_step(&t, &settings).loss;
    }
    assert_true(loss[0] != loss[1] && loss[0] == loss[2]);
    tiny_run_close(&t);
}

static void the_loss_reported_is_the_mean_over_trained_tokens(void **state)
{
    (void)state;
    struct tiny_run t;
    double sum = 0;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, NULL);
    const struct dataset *data = &t.run.train;
    struct score score[MOST_SEQUENCES];
    assert_fine(&t, score_sequences(&t.run.session, t.arena, data->sequence, data->count, score, &t.err));
    for (int64_t i = 0; i < data->count; i++)
        for (int64_t r = 1; r < data->sequence[i].count; r++)
            if (data->sequence[i].labels[r] != NOT_TRAINED)
                sum -= (double)score[i].logprob[r - 1];
    const struct step_result result = run_step(&t, &t.run.config.training);
    double mean = sum / (double)data->trained;
    assert_true(fabs(result.loss - mean) <= 1e-6 * mean);
    tiny_run_close(&t);
}

static void a_step_without_a_finite_loss_changes_nothing(void **state)
{
    (void)state;
    static const float poison[] = { NAN, INFINITY };
    struct tiny_run t;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, NULL);
    const struct parameters *p = t.run.adapter->parameters;
    for (size_t i = 0; i < COUNT(poison); i++) {
        struct stepper stepper;
        struct step_result result;
        struct error err = { 0 };
        const struct sequence *sequence = &t.run.train.sequence[0];
        ((float *)p->tensor[0]->data)[0] = poison[i];
        const float *before = trained_state(&t);
        assert_fine(&t,
                    stepper_create(&stepper, t.arena, &t.run.session, t.run.adapter, comm_alone(t.arena), step_capacity(&t.run.train, &t.run.config.training),
                                   step_micro_batch_tokens(&t.run.train, &t.run.config.training), &t.run.config.training, &t.err));
        assert_int_equal(stepper_run(&stepper, &sequence, 1, 1e-2, 5, &result, &err), UNHEALTHY);
        assert_non_null(strstr(err.what, "step 5: the loss is not finite"));
        assert_non_null(strstr(err.what, sequence->where));
        const float *after = trained_state(&t);
        assert_memory_equal(before, after, (size_t)p->count * sizeof *before);
        assert_memory_equal(before + 2 * p->count, after + 2 * p->count, (size_t)(2 * p->count) * sizeof *before);
        stepper_destroy(&stepper);
    }
    tiny_run_close(&t);
}

/* What a program can hold is enough for every micro-batch of every step, and no more than a step can need. */
static void capacity_holds_every_micro_batch(void **state)
{
    (void)state;
    static const int64_t batch_sizes[] = { 1, 2, 3, 7, 100 }, micro_batch_tokens[] = { 0, 1, 2, 10, 33, 100, 5000 };
    struct sequence sequence[40];
    const struct sequence *pointer[COUNT(sequence)];
    struct arena *arena = arena_create(NULL);
    struct packing packing = packing_new(arena, COUNT(sequence));
    for (uint64_t draw = 0; draw < 30; draw++) {
        const struct dataset train = { .sequence = sequence, .count = 1 + (int64_t)random_below(draw, 1, 0, COUNT(sequence)) };
        int64_t longest = 0;
        for (int64_t i = 0; i < train.count; i++) {
            sequence[i] = (struct sequence){ .count = 1 + (int64_t)random_below(draw, 2, (uint64_t)i, draw % 3 ? 40 : 3000) };
            longest = sequence[i].count > longest ? sequence[i].count : longest;
            pointer[i] = &sequence[i];
        }
        for (size_t b = 0; b < COUNT(batch_sizes); b++)
            for (size_t m = 0; m < COUNT(micro_batch_tokens); m++) {
                const struct training_settings settings = { .batch_size = batch_sizes[b], .micro_batch_tokens = micro_batch_tokens[m] };
                const struct capacity capacity = step_capacity(&train, &settings);
                const int64_t batch = batch_sizes[b] < train.count ? batch_sizes[b] : train.count, automatic = longest > 2048 ? longest : 2048;
                const int64_t tokens = micro_batch_tokens[m] ? micro_batch_tokens[m] : automatic;
                assert_true(capacity.rows >= longest && capacity.rows <= batch * longest && capacity.rows <= (tokens > longest ? tokens : longest));
                assert_true(capacity.sequences >= 1 && capacity.sequences <= batch && capacity.selected <= capacity.rows);
                for (int64_t begin = 0; begin < train.count; begin++) {
                    const int64_t count = train.count - begin < batch ? train.count - begin : batch;
                    const int64_t batches = packing_fill(&packing, pointer + begin, count, tokens);
                    for (int64_t i = 0; i < batches; i++) {
                        int64_t rows = 0;
                        for (int64_t s = packing.first[i]; s < packing.first[i + 1]; s++)
                            rows += packing.sequence[s]->count;
                        assert_true(rows <= capacity.rows && rows <= capacity.selected);
                        assert_true(packing.first[i + 1] - packing.first[i] <= capacity.sequences);
                    }
                }
            }
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(micro_batches_change_rounding_only),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(recomputation_changes_no_bit_of_a_step),
        cmocka_unit_test(dropout_follows_seed_and_step),
        cmocka_unit_test(the_loss_reported_is_the_mean_over_trained_tokens),
        cmocka_unit_test(a_step_without_a_finite_loss_changes_nothing),
        cmocka_unit_test(capacity_holds_every_micro_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
