/* A GPU's budget is of its own memory: what is free there, what a run takes there, and what a run that does not fit is told. */
#include "common/text.h"
#include "tests/harness/tiny_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static size_t available(struct tiny_run *t)
{
    return memory_of(&t->device).available;
}

static enum status choose(struct tiny_run *t, struct budget *budget, size_t bytes)
{
    return budget_choose(budget, &t->run.session, t->run.adapter->parameters, &t->run.train, &t->run.eval, &t->run.config.training,
                         (struct memory){ .available = bytes }, &t->err);
}

static void a_run_takes_what_the_budget_says(void **state)
{
    (void)state;
    enum { OPTIMIZER = 4096 }; /* its inputs */
    struct tiny_run t;
    tiny_run_open(&t, &(struct tiny_model){ .width = 64, .mlp_width = 128 }, (const char *const[]){ "training.micro_batch_tokens=30", NULL });
    struct budget budget;
    assert_int_equal(choose(&t, &budget, available(&t)), OK);
    const struct needs *n = &budget.needs;
    assert_int_equal(budget.limit, available(&t));
    assert_int_equal(n->program + n->mapped + n->host + n->best, 0);
    assert_in_range(n->converted, t.run.model.converted_bytes, t.run.model.converted_bytes + 512);
    assert_int_equal(n->sum, n->converted + n->parameters + n->sums + device_footprint(&t.device, n->training));

    const size_t before = available(&t);
    const struct sequence *sequence[8];
    struct stepper stepper;
    struct step_result result;
    struct training_settings settings = t.run.config.training;
    for (int64_t i = 0; i < 8; i++)
        sequence[i] = &t.run.train.sequence[i];
    settings.recompute = budget.recompute ? RECOMPUTE_ALWAYS : RECOMPUTE_NEVER;
    assert_int_equal(
        stepper_create(&stepper, t.arena, &t.run.session, t.run.adapter, comm_alone(t.arena), budget.capacity, budget.micro_batch_tokens, &settings, &t.err),
        OK);
    assert_int_equal(stepper_run(&stepper, sequence, 8, 1e-3, 1, &result, &t.err), OK);
    assert_true(result.micro_batches > 1);
    assert_in_range(before - available(&t), n->sums + n->training - 1024, n->sums + n->training + OPTIMIZER);
    stepper_destroy(&stepper);
    tiny_run_close(&t);
}

static void what_does_not_fit_is_said_by_parts(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, NULL);
    struct budget budget;
    void *memory;
    char limit[32];
    assert_int_equal(choose(&t, &budget, 1000), DOES_NOT_FIT);
    assert_non_null(strstr(t.err.what, "of memory on CUDA on the host (weights "));
    assert_non_null(strstr(t.err.what, arena_print(t.arena, "and there are %s free", text_bytes(limit, 1000))));
    t.err = (struct error){ 0 };
    assert_int_equal(device_allocate(&t.device, "activations", (size_t)1 << 41, &memory, &t.err), NO_MEMORY);
    assert_non_null(strstr(t.err.what, "activations: no memory for 2199023255552 bytes (2048.0 GiB) on CUDA on the host, which has 2.0 GiB left"));
    assert_non_null(strstr(t.err.cure, "graft plan"));
    tiny_run_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_takes_what_the_budget_says),
        cmocka_unit_test(what_does_not_fit_is_said_by_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
