/* The budget picks the largest micro-batch that fits, recomputes only where none fits without, and refuses with a cure that works. */
#include "tests/harness/tiny_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RECORDS = 32, LENGTH = 256 };

/* Records long and many enough, in a model wide enough, for micro-batches of several sizes: memory comes in huge pages. */
static void open_run(struct tiny_run *t)
{
    tiny_run_open(t, &(struct tiny_model){ .layers = 6, .width = 256, .mlp_width = 1024, .vocab = 500 },
                  (const char *const[]){ "training.batch_size=32", NULL });
    struct sequence *sequence = NEW_ARRAY(t->arena, RECORDS, struct sequence);
    for (int i = 0; i < RECORDS; i++)
        sequence[i] = (struct sequence){ .count = i ? LENGTH / 2 : LENGTH, .trained = 1 };
    t->run.train.sequence = sequence;
    t->run.train.count = RECORDS;
}

static enum status choose(struct tiny_run *t, struct budget *budget, double bytes, int64_t tokens, int recompute)
{
    struct training_settings settings = t->run.config.training;
    settings.memory_limit = bytes / 0x1p30;
    settings.micro_batch_tokens = tokens;
    settings.recompute = recompute;
    const struct memory memory = { .resident = 10 << 20, .available = (size_t)1 << 40 }; /* the same whatever this process has */
    t->err = (struct error){ 0 };
    return budget_choose(budget, &t->run.session, t->run.adapter->parameters, &t->run.train, &t->run.eval, &settings, memory, &t->err);
}

static size_t need(struct tiny_run *t, int64_t tokens, int recompute)
{
    struct budget budget;
    assert_int_equal(choose(t, &budget, 1e12, tokens, recompute), OK);
    return budget.needs.sum;
}

static void without_a_bound_auto_is_the_fastest_choice(void **state)
{
    (void)state;
    struct tiny_run t;
    open_run(&t);
    struct budget budget;
    assert_int_equal(choose(&t, &budget, 0, 0, RECOMPUTE_AUTO), OK);
    assert_int_equal(budget.micro_batch_tokens, 1024);
    assert_false(budget.recompute);
    const struct needs *n = &budget.needs;
    assert_int_equal(n->sum, n->program + n->mapped + n->converted + n->parameters + n->sums + n->host + device_footprint(&t.device, n->training));
    assert_true(n->mapped > 0 && n->mapped <= t.run.model.mapped_bytes);
    tiny_run_close(&t);
}

static void a_bound_makes_micro_batches_smaller_before_it_recomputes(void **state)
{
    (void)state;
    struct tiny_run t;
    open_run(&t);
    struct budget budget;
    size_t all = need(&t, 1024, RECOMPUTE_NEVER), half = need(&t, 512, RECOMPUTE_NEVER), least = need(&t, LENGTH, RECOMPUTE_NEVER);
    size_t recomputed = need(&t, LENGTH, RECOMPUTE_ALWAYS);
    assert_true(all > half && half > least && least > recomputed);
    assert_int_equal(choose(&t, &budget, (double)(all + half) / 2, 0, RECOMPUTE_AUTO), OK);
    assert_int_equal(budget.micro_batch_tokens, 512);
    assert_false(budget.recompute);
    assert_true(budget.needs.sum <= budget.limit);
    assert_int_equal(choose(&t, &budget, (double)(least + recomputed) / 2, 0, RECOMPUTE_AUTO), OK);
    assert_true(budget.recompute);
    assert_true(budget.needs.sum <= budget.limit);
    tiny_run_close(&t);
}

static void what_the_settings_say_is_not_changed(void **state)
{
    (void)state;
    struct tiny_run t;
    open_run(&t);
    struct budget budget;
    const double short_of_all = (double)need(&t, 1024, RECOMPUTE_NEVER) - 4096;
    assert_int_equal(choose(&t, &budget, short_of_all, 0, RECOMPUTE_NEVER), OK);
    assert_false(budget.recompute);
    assert_int_equal(choose(&t, &budget, short_of_all, 1024, RECOMPUTE_NEVER), DOES_NOT_FIT);
    assert_int_equal(choose(&t, &budget, short_of_all, 1024, RECOMPUTE_AUTO), OK);
    assert_true(budget.recompute);
    assert_int_equal(budget.micro_batch_tokens, 1024);
    tiny_run_close(&t);
}

static void a_refusal_names_settings_that_fit(void **state)
{
    (void)state;
    struct tiny_run t;
    open_run(&t);
    struct budget budget;
    size_t least = need(&t, LENGTH, RECOMPUTE_NEVER), recomputed = need(&t, LENGTH, RECOMPUTE_ALWAYS);
    double between = (double)(least + recomputed) / 2;
    assert_int_equal(choose(&t, &budget, between, 1024, RECOMPUTE_NEVER), DOES_NOT_FIT);
    assert_non_null(strstr(t.err.what, "training.memory_limit allows"));
    assert_non_null(strstr(t.err.cure, "training.recompute: always with training.micro_batch_tokens: 256"));
    assert_int_equal(choose(&t, &budget, between, LENGTH, RECOMPUTE_ALWAYS), OK);
    assert_int_equal(choose(&t, &budget, 1 << 20, 0, RECOMPUTE_AUTO), DOES_NOT_FIT);
    assert_non_null(strstr(t.err.cure, "even the smallest micro-batch (256 tokens"));
    tiny_run_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_bound_auto_is_the_fastest_choice),
        cmocka_unit_test(a_bound_makes_micro_batches_smaller_before_it_recomputes),
        cmocka_unit_test(what_the_settings_say_is_not_changed),
        cmocka_unit_test(a_refusal_names_settings_that_fit),
    };
    return cmocka_run_group_tests_name("train/budget", tests, NULL, NULL);
}
