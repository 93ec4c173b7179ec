/* Five updates of a real run against AdamW in double precision, as torch.optim.AdamW and torch.nn.utils.clip_grad_norm_ define it. */
#include "tests/harness/tiny_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { STEPS = 5 };

static const struct {
    const char *override[6];
    bool clips; /* the bound is below the norm of every step */
} cases[] = {
    { { "training.weight_decay=0.1", "training.max_grad_norm=0.05", NULL }, true },
    { { "training.weight_decay=0", "training.max_grad_norm=0", NULL }, false },
    { { "training.weight_decay=0.01", "training.max_grad_norm=1e9", "training.adam_beta1=0.5", "training.adam_beta2=0.9", "training.adam_epsilon=1e-3", NULL },
      false },
    { { "training.weight_decay=2", "training.max_grad_norm=0.2", "training.adam_beta1=0", NULL }, true },
};

/* The same walk in double precision, fed with the gradients of the run. */
struct shadow {
    int64_t count;
    double *p, *m, *v;
};

static double norm_of(const float *gradient, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)gradient[i] * (double)gradient[i];
    return sqrt(sum);
}

static void shadow_step(struct shadow *s, const struct training_settings *o, const float *gradient, double rate, int step)
{
    double norm = norm_of(gradient, s->count), clip = o->max_grad_norm > 0 ? fmin(1, o->max_grad_norm / (norm + 1e-6)) : 1;
    for (int64_t i = 0; i < s->count; i++) {
        double g = (double)gradient[i] * clip;
        s->p[i] *= 1 - rate * o->weight_decay;
        s->m[i] = o->adam_beta1 * s->m[i] + (1 - o->adam_beta1) * g;
        s->v[i] = o->adam_beta2 * s->v[i] + (1 - o->adam_beta2) * g * g;
        double m = s->m[i] / (1 - pow(o->adam_beta1, step)), v = s->v[i] / (1 - pow(o->adam_beta2, step));
        s->p[i] -= rate * m / (sqrt(v) + o->adam_epsilon);
    }
}

static void assert_fine(struct tiny_run *t, enum status status)
{
    if (status != OK)
        fail_msg("%s (%s)", t->err.what, t->err.cure);
}

static void check(struct tiny_run *t, bool clips)
{
    const struct training_settings *o = &t->run.config.training;
    const struct parameters *p = t->run.adapter->parameters;
    struct stepper stepper;
    struct shadow s = { p->count, NEW_ARRAY(t->arena, p->count, double), NEW_ARRAY(t->arena, p->count, double), NEW_ARRAY(t->arena, p->count, double) };
    float *value = NEW_ARRAY(t->arena, p->count, float), *gradient = NEW_ARRAY(t->arena, p->count, float), *start = NEW_ARRAY(t->arena, p->count, float);
    tensor_download(&t->device, p->value, start);
    for (int64_t i = 0; i < p->count; i++)
        s.p[i] = (double)start[i];
    assert_fine(t, stepper_create(&stepper, t->arena, &t->run.session, t->run.adapter, comm_alone(t->arena), step_capacity(&t->run.train, o),
                                  step_micro_batch_tokens(&t->run.train, o), o, &t->err));
    for (int step = 1; step <= STEPS; step++) {
        const struct sequence *sequence[] = { &t->run.train.sequence[step], &t->run.train.sequence[step + 2] };
        struct step_result result;
        const double rate = 1e-2 / step;
        assert_fine(t, stepper_run(&stepper, sequence, 2, rate, step, &result, &t->err));
        tensor_download(&t->device, p->value, value);
        tensor_download(&t->device, p->grad, gradient);
        assert_true(fabs(result.grad_norm - norm_of(gradient, p->count)) <= 1e-6 * result.grad_norm);
        assert_int_equal(clips, o->max_grad_norm > 0 && result.grad_norm > o->max_grad_norm);
        shadow_step(&s, o, gradient, rate, step);
        for (int64_t i = 0; i < p->count; i++)
            if (!(fabs((double)value[i] - s.p[i]) <= 1e-6))
                fail_msg("step %d, value %lld: %.9g, expected %.9g (gradient %g)", step, (long long)i, (double)value[i], s.p[i], (double)gradient[i]);
    }
    double moved = 0;
    for (int64_t i = 0; i < p->count; i++)
        moved = fmax(moved, fabs((double)value[i] - (double)start[i]));
    assert_true(moved > 1e-2);
    stepper_destroy(&stepper);
}

static void five_updates_are_adamw_in_double_precision(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tiny_run t;
        tiny_run_open(&t, &(struct tiny_model){ 0 }, cases[i].override);
        check(&t, cases[i].clips);
        tiny_run_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_updates_are_adamw_in_double_precision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
