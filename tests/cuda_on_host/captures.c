/* A replay asks for what the walk asks for: whole steps and answers on the emulated device, where all is as late as it may be and where launch arguments are
 * copies, give the same bytes with captures and without, and a step waits twice. */
#include "autograd/captures.h"
#include "inference/generate.h"
#include "tests/harness/tiny_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct device_row row; /* the device's, counting */
static const struct device_row *real;
static int captured, replayed, waits;

static enum status count_captured(struct device *device, void **work)
{
    captured++;
    return real->captured(device, work);
}

static enum status count_replay(struct device *device, void *work)
{
    replayed++;
    return real->replay(device, work);
}

static enum status count_wait(struct device *device)
{
    waits++;
    return real->synchronize(device);
}

static void count_download(struct device *device, void *to, const void *from, size_t bytes)
{
    waits++;
    real->download(device, to, from, bytes);
}

static void open_run(struct tiny_run *t, bool capturing, const char *const override[])
{
    tiny_run_open(t, &(struct tiny_model){ 0 }, override);
    assert_string_equal(t->device.row->name, "cuda");
    real = t->device.row;
    row = *real;
    row.capture = capturing ? real->capture : NULL;
    row.captured = count_captured;
    row.replay = count_replay;
    row.synchronize = count_wait;
    row.download = count_download;
    t->device.row = &row;
    captured = replayed = 0;
}

static void close_run(struct tiny_run *t)
{
    captures_release(&t->device);
    t->device.row = real;
    tiny_run_close(t);
}

static void assert_fine(struct tiny_run *t, enum status status)
{
    if (status != OK)
        fail_msg("%s (%s)", t->err.what, t->err.cure);
}

/* Values, gradient and moments behind these steps; step i takes sequences first[i] and count[i] of them, at a rate of its own. */
enum { STEPS = 9 };
static const struct {
    int64_t first, count;
} course[STEPS] = { { 0, 8 }, { 0, 8 }, { 0, 8 }, { 2, 3 }, { 0, 8 }, { 2, 3 }, { 2, 3 }, { 1, 7 }, { 0, 8 } };

static void *trained(bool capturing, const char *const override[], size_t *bytes, double loss[STEPS])
{
    struct tiny_run t;
    open_run(&t, capturing, override);
    struct stepper stepper;
    const struct training_settings *settings = &t.run.config.training;
    const struct parameters *p = t.run.adapter->parameters;
    const struct tensor *const part[] = { p->value, p->grad, p->first, p->second };
    assert_fine(&t, stepper_create(&stepper, t.arena, &t.run.session, t.run.adapter, comm_alone(t.arena), step_capacity(&t.run.train, settings),
                                   step_micro_batch_tokens(&t.run.train, settings), settings, &t.err));
    waits = 0;
    for (int s = 0; s < STEPS; s++) {
        const struct sequence *sequence[8];
        struct step_result result;
        for (int64_t i = 0; i < course[s].count; i++)
            sequence[i] = &t.run.train.sequence[course[s].first + i];
        assert_fine(&t, stepper_run(&stepper, sequence, course[s].count, 1e-2 / (s + 1), s + 1, &result, &t.err));
        loss[s] = result.loss;
    }
    assert_int_equal(waits, 2 * STEPS); /* for losses, for the norm; however many micro-batches there are */
    *bytes = 4 * tensor_bytes(p->value);
    char *state = test_malloc(*bytes);
    for (int i = 0; i < 4; i++)
        tensor_download(&t.device, part[i], state + (size_t)i * tensor_bytes(p->value));
    stepper_destroy(&stepper);
    close_run(&t);
    return state;
}

static void steps_replayed_give_the_bytes_of_steps_walked(void **state)
{
    (void)state;
    static const char *const settings[][4] = {
        { "adapter.lora_dropout=0.2", NULL },
        { "adapter.lora_dropout=0.2", "training.micro_batch_tokens=30", "training.max_grad_norm=0.5", NULL },
        { "adapter.lora_dropout=0.2", "training.recompute=always", "model.dtype=bfloat16", NULL },
    };
    for (size_t i = 0; i < COUNT(settings); i++) {
        double walked_loss[STEPS], replayed_loss[STEPS];
        size_t bytes;
        void *walked = trained(false, settings[i], &bytes, walked_loss);
        assert_int_equal(captured + replayed, 0);
        void *again = trained(true, settings[i], &bytes, replayed_loss);
        assert_in_range(captured, 2, 100);
        assert_in_range(replayed, captured + 3, 1000);
        assert_memory_equal(walked, again, bytes);
        assert_memory_equal(walked_loss, replayed_loss, sizeof walked_loss);
        test_free(walked);
        test_free(again);
    }
}

enum { PROMPTS = 6, NEW = 12 };

static void answers_of(bool capturing, int32_t ids[PROMPTS][NEW])
{
    static const int32_t text[] = { 5, 9, 4, 11, 7, 3, 12, 8 };
    struct tiny_run t;
    open_run(&t, capturing, NULL);
    struct prompt prompt[PROMPTS];
    struct answer answer[PROMPTS];
    const struct generation generation = { .sampling = { .temperature = 1.2, .top_k = 20, .top_p = 0.9, .repetition_penalty = 1.1, .seed = 3 }, .lanes = 3 };
    for (int i = 0; i < PROMPTS; i++)
        prompt[i] = (struct prompt){ .ids = text + i % 3, .count = 3 + i % 4, .max_new = NEW };
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, answer, &t.err));
    for (int i = 0; i < PROMPTS; i++) {
        assert_int_equal(answer[i].count, NEW);
        memcpy(ids[i], answer[i].ids, sizeof ids[i]);
    }
    close_run(&t);
}

static void answers_replayed_are_those_walked(void **state)
{
    (void)state;
    int32_t walked[PROMPTS][NEW], again[PROMPTS][NEW];
    answers_of(false, walked);
    answers_of(true, again);
    assert_memory_equal(walked, again, sizeof walked);
    assert_in_range(replayed, NEW, 2 * NEW);
}

/* More shapes than are kept, three times, with gradients that go to two places in turn. */
static void a_capture_is_found_by_all_that_can_differ(void **state)
{
    (void)state;
    enum { SHAPES = 40 };
    struct tiny_run t;
    open_run(&t, true, (const char *const[]){ "adapter.lora_dropout=0.3", NULL });
    struct parameters *p = t.run.adapter->parameters;
    struct batch *batch = tiny_run_batch(&t, 8);
    struct forward forward;
    const size_t bytes = tensor_bytes(p->grad);
    void *other, *vector[2], *is = test_malloc(bytes), *was[SHAPES] = { 0 };
    assert_fine(&t, forward_new(&forward, t.arena, &t.run.session, FOR_TRAINING, (struct capacity){ batch->rows, batch->rows, 8, 1 }, NULL, false, &t.err));
    assert_fine(&t, device_allocate(&t.device, "another gradient", bytes, &other, &t.err));
    vector[0] = p->grad->data;
    vector[1] = other;
    const int64_t all = batch->selected;
    for (int round = 0; round < 6; round++)
        for (int shape = 0; shape < (round < 3 ? SHAPES : 5); shape++) {
            void *gradient = vector[round % 2];
            batch->selected = all - shape;
            t.device.row->fill(&t.device, gradient, 0, bytes);
            parameters_aim_gradient(p, gradient);
            assert_fine(&t, forward_run(&t.run.session, &forward, &(struct feed){ .batch = batch, .weight = 0.25f, .seed = 5, .step = 1 }, &t.err));
            t.device.row->download(&t.device, is, gradient, bytes);
            if (round == 0)
                memcpy(was[shape] = test_malloc(bytes), is, bytes);
            assert_memory_equal(is, was[shape], bytes);
        }
    assert_in_range(replayed, 1, 30);
    parameters_aim_gradient(p, p->grad->data);
    device_release(&t.device, other, bytes);
    for (int shape = 0; shape < SHAPES; shape++)
        test_free(was[shape]);
    test_free(is);
    close_run(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_replayed_give_the_bytes_of_steps_walked),
        cmocka_unit_test(answers_replayed_are_those_walked),
        cmocka_unit_test(a_capture_is_found_by_all_that_can_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
