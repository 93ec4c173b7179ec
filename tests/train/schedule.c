/* Learning rates against those that transformers 5 gives: get_constant_schedule, get_linear_schedule_with_warmup, get_cosine_schedule_with_warmup,
 * get_constant_schedule_with_warmup and get_inverse_sqrt_schedule over an optimizer with rate 2e-4, twelve steps. Its warm-up starts with a step of rate 0 and
 * graft's without it: inside the warm-up graft's step s has the rate of its step s + 1. */
#include "trainer/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TOTAL = 12, LOOKED_AT = 7 };
static const int64_t step[LOOKED_AT] = { 1, 2, 3, 4, 7, 11, 12 };

static const struct {
    enum schedule schedule;
    int64_t warmup;
    double rate[LOOKED_AT];
} recorded[] = {
    { CONSTANT, 0, { 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002 } },
    { CONSTANT, 1, { 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002 } },
    { CONSTANT, 3, { 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002 } },
    { CONSTANT, 12, { 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002 } },
    { LINEAR, 0, { 0.0002, 0.00018333333333333334, 0.0001666666666666667, 0.00015000000000000001, 0.0001, 3.3333333333333335e-05, 1.6666666666666667e-05 } },
    { LINEAR, 1, { 0.0, 0.0002, 0.00018181818181818183, 0.00016363636363636366, 0.00010909090909090909, 3.6363636363636364e-05, 1.8181818181818182e-05 } },
    { LINEAR, 3, { 0.0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.00013333333333333334, 4.4444444444444447e-05, 2.2222222222222223e-05 } },
    { LINEAR, 12, { 0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 0.0001, 0.0001666666666666667, 0.00018333333333333334 } },
    { COSINE, 0, { 0.0002, 0.00019659258262890683, 0.00018660254037844388, 0.00017071067811865476, 0.0001, 1.339745962155613e-05, 3.40741737109318e-06 } },
    { COSINE, 1, { 0.0, 0.0002, 0.00019594929736144976, 0.00018412535328311814, 0.00011423148382732853, 1.587464671688187e-05, 4.050702638550275e-06 } },
    { COSINE, 3, { 0.0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.00015000000000000001, 2.339555568810221e-05, 6.030737921409169e-06 } },
    { COSINE, 12, { 0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 0.0001, 0.0001666666666666667, 0.00018333333333333334 } },
    { CONSTANT_WITH_WARMUP, 0, { 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002 } },
    { CONSTANT_WITH_WARMUP, 1, { 0.0, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002 } },
    { CONSTANT_WITH_WARMUP, 3, { 0.0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0002, 0.0002, 0.0002 } },
    { CONSTANT_WITH_WARMUP, 12, { 0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 0.0001, 0.0001666666666666667, 0.00018333333333333334 } },
    { INVERSE_SQRT,
      0,
      { 0.0002, 0.00019999000074993753, 0.00019998000299950014, 0.00019997000674831295, 0.0001999400269865071, 0.00019990007493755465,
        0.00019989009066689252 } },
    { INVERSE_SQRT, 1, { 0.0, 0.0002, 0.0001414213562373095, 0.00011547005383792517, 8.164965809277262e-05, 6.324555320336759e-05, 6.030226891555273e-05 } },
    { INVERSE_SQRT, 3, { 0.0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0001414213562373095, 0.00010954451150103321, 0.00010444659357341871 } },
    { INVERSE_SQRT, 12, { 0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 0.0001, 0.0001666666666666667, 0.00018333333333333334 } },
};

static void assert_rate(const struct training_settings *settings, int64_t at, int64_t total, double expected)
{
    double rate = schedule_rate(settings, at, total);
    if (!(fabs(rate - expected) <= 1e-15 * fabs(expected) + 1e-20))
        fail_msg("schedule %d, warmup %lld and %g, step %lld of %lld: %.17g, expected %.17g", settings->lr_scheduler_type, (long long)settings->warmup_steps,
                 settings->warmup_ratio, (long long)at, (long long)total, rate, expected);
}

static void behind_the_warmup_rates_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(recorded); i++)
        for (int s = 0; s < LOOKED_AT; s++) {
            if (recorded[i].schedule != CONSTANT && step[s] <= recorded[i].warmup)
                continue;
            const struct training_settings settings = { .learning_rate = 2e-4,
                                                        .lr_scheduler_type = (int)recorded[i].schedule,
                                                        .warmup_steps = recorded[i].warmup };
            assert_rate(&settings, step[s], TOTAL, recorded[i].rate[s]);
        }
}

static void a_warmup_rises_to_the_rate_without_a_step_of_rate_0(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(recorded); i++)
        for (int s = 0; s < LOOKED_AT; s++) {
            const struct training_settings settings = { .learning_rate = 2e-4,
                                                        .lr_scheduler_type = (int)recorded[i].schedule,
                                                        .warmup_steps = recorded[i].warmup };
            if (recorded[i].schedule == CONSTANT || step[s] > recorded[i].warmup)
                continue;
            assert_rate(&settings, step[s], TOTAL, 2e-4 * (double)step[s] / (double)recorded[i].warmup);
            if (step[s] > 1) /* transformers, one step later */
                assert_rate(&settings, step[s] - 1, TOTAL, recorded[i].rate[s]);
        }
}

/* ceil(ratio * steps), with the product rounded as Python rounds it. */
static void a_warmup_ratio_is_rounded_up_to_steps(void **state)
{
    (void)state;
    static const struct {
        double ratio;
        int64_t total, warmup;
    } cases[] = { { 0.03, 100, 3 }, { 0.03, 101, 4 }, { 0.1, 7, 1 }, { 1, 5, 5 }, { 0.001, 10, 1 }, { 0.5, 3, 2 }, { 0.29, 100, 29 }, { 0, 9, 0 } };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int schedule = CONSTANT; schedule <= INVERSE_SQRT; schedule++)
            for (int64_t at = 1; at <= cases[i].total; at++) {
                const struct training_settings ratio = { .learning_rate = 0.5, .lr_scheduler_type = schedule, .warmup_ratio = cases[i].ratio };
                struct training_settings steps = { .learning_rate = 0.5, .lr_scheduler_type = schedule, .warmup_steps = cases[i].warmup };
                assert_rate(&ratio, at, cases[i].total, schedule_rate(&steps, at, cases[i].total));
                steps.warmup_ratio = 0.9; /* steps win over a ratio */
                if (steps.warmup_steps)
                    assert_rate(&steps, at, cases[i].total, schedule_rate(&ratio, at, cases[i].total));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behind_the_warmup_rates_are_those_of_transformers),
        cmocka_unit_test(a_warmup_rises_to_the_rate_without_a_step_of_rate_0),
        cmocka_unit_test(a_warmup_ratio_is_rounded_up_to_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
