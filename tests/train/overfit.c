/* The whole loop learns: a tiny model with LoRA comes to know four random sequences by heart, and the adapter it leaves says so too. */
#include "common/files.h"
#include "inference/score.h"
#include "tests/harness/tiny_run.h"
#include "trainer/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_fine(struct tiny_run *t, enum status status)
{
    if (status != OK)
        fail_msg("%s (%s)", t->err.what, t->err.cure);
}

static double mean_loss(struct tiny_run *t, struct session *session)
{
    struct loss_sum sum;
    assert_fine(t, loss_of_sequences(session, t->run.train.sequence, t->run.train.count, 2048, &sum, &t->err));
    return sum.loss / (double)sum.tokens;
}

static void four_sequences_are_learned_by_heart(void **state)
{
    (void)state;
    static const char *const settings[] = { "training.max_steps=150",
                                            "training.learning_rate=2.0e-2",
                                            "training.lr_scheduler_type=cosine",
                                            "training.batch_size=2",
                                            "training.shuffle=true",
                                            "adapter.r=8",
                                            NULL };
    struct tiny_run t;
    struct train_outcome outcome;
    struct identity identity;
    struct adapter *adapter;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, settings);
    t.run.train.count = 4; /* of those that were made */
    t.run.steps_per_epoch = 2;
    t.run.budget.capacity = step_capacity(&t.run.train, &t.run.config.training);
    assert_fine(&t, identity_make(&identity, &t.run, &t.err));
    double before = mean_loss(&t, &t.run.session);
    assert_fine(&t, train(&t.run, &identity, NULL, true, &outcome, &t.err));
    double after = mean_loss(&t, &t.run.session);
    print_message("loss %g, then %g\n", before, after);
    assert_int_equal(outcome.steps, 150);
    assert_true(after < 0.1 * before);
    assert_true(outcome.last_loss < 0.1 * outcome.first_loss);
    assert_fine(&t, adapter_load(&adapter, t.arena, t.run.config.training.output_dir, &t.run.model, &t.device, &t.err));
    struct session session = session_new(t.arena, &t.device, &t.run.model, &adapter, 1);
    assert_true(mean_loss(&t, &session) == after);
    session_release(&session);
    adapter_release(adapter);
    tiny_run_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_sequences_are_learned_by_heart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
