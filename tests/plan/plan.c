/* What the planner promises, on the program of a tiny model with LoRA: legal placement, and freedom to recompute and share without changing a bit. */
#include "tests/harness/tiny_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const with_dropout[] = { "adapter.lora_dropout=0.2", NULL };

static void assert_same_bits(const struct tiny_run *t, const float *a, const float *b)
{
    int64_t count = t->run.adapter->parameters->count;
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += fabs((double)a[i]);
    assert_true(isfinite(sum) && sum > 0);
    assert_memory_equal(a, b, (size_t)count * sizeof *a);
}

static void recomputation_and_sharing_change_no_bit(void **state)
{
    (void)state;
    struct tiny_run t;
    struct program *program;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, with_dropout);
    const float *plain = tiny_run_gradient(&t, (struct plan_options){ .keep = true, .separate = true }, false, &program);
    size_t separate_bytes = program->arena_bytes;
    for (int choice = 0; choice < 6; choice++) {
        const float *other =
            tiny_run_gradient(&t, (struct plan_options){ .recompute = choice >> 1 == 1, .keep = choice >> 1 == 2, .separate = choice & 1 }, false, &program);
        assert_same_bits(&t, plain, other);
        assert_true(program->arena_bytes <= separate_bytes);
    }
    tiny_run_close(&t);
}

static void no_step_reads_what_no_step_wrote(void **state)
{
    (void)state;
    struct tiny_run t;
    struct program *program;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, with_dropout);
    for (int recompute = 0; recompute < 2; recompute++) {
        const float *plain = tiny_run_gradient(&t, (struct plan_options){ .recompute = recompute }, false, &program);
        const float *poisoned = tiny_run_gradient(&t, (struct plan_options){ .recompute = recompute }, true, &program);
        assert_same_bits(&t, plain, poisoned);
    }
    tiny_run_close(&t);
}

static void no_step_writes_a_weight(void **state)
{
    (void)state;
    struct tiny_run t;
    struct program *program;
    char before[65], after[65];
    tiny_run_open(&t, &(struct tiny_model){ .dtype = "BF16" }, NULL); /* converted weights: not protected by the mapping */
    uint64_t sum[2] = { 0, 0 };
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < t.run.model.tensors; i++)
            for (size_t b = 0; b < tensor_bytes(t.run.model.tensor[i]); b++)
                sum[round] = sum[round] * 31 + ((const uint8_t *)t.run.model.tensor[i]->data)[b];
        if (round == 0)
            tiny_run_gradient(&t, (struct plan_options){ 0 }, true, &program);
    }
    assert_true(sum[0] == sum[1]);
    assert_int_equal(model_hash(&t.run.model, before, &t.err), OK);
    assert_int_equal(model_hash(&t.run.model, after, &t.err), OK);
    assert_string_equal(before, after);
    tiny_run_close(&t);
}

/* Bytes in use at the same time must not overlap, unless they are one storage (same place, same life: shared on purpose). */
static void storages_alive_together_do_not_overlap(void **state)
{
    (void)state;
    struct tiny_run t;
    struct program *p;
    tiny_run_open(&t, &(struct tiny_model){ .layers = 3 }, with_dropout);
    for (int recompute = 0; recompute < 2; recompute++) {
        tiny_run_gradient(&t, (struct plan_options){ .recompute = recompute }, false, &p);
        for (int i = 0; i < p->placements; i++)
            for (int j = 0; j < i; j++) {
                const struct placement *a = &p->placement[i], *b = &p->placement[j];
                bool together = a->first <= b->last && b->first <= a->last, overlap = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
                bool one_storage = a->offset == b->offset && a->bytes == b->bytes && a->first == b->first && a->last == b->last;
                assert_true(!(together && overlap) || one_storage);
                assert_true(a->offset + a->bytes <= p->arena_bytes);
            }
    }
    tiny_run_close(&t);
}

static int count_steps(const struct program *p, int what, bool recomputed)
{
    int count = 0;
    for (int i = 0; i < p->count; i++)
        count += (int)p->step[i].what == what && p->step[i].recomputed == recomputed;
    return count;
}

/* Frozen is the default: with LoRA on the last layer only, nothing below it runs backward, and nothing is recomputed for it. */
static void backward_ends_where_nothing_is_trained(void **state)
{
    (void)state;
    static const char *const last_layer[] = { "adapter.layers_to_transform=[2]", "adapter.target_modules=[q_proj, v_proj]", "adapter.modules_to_save=null",
                                              NULL };
    static const char *const all_layers[] = { "adapter.target_modules=[q_proj, v_proj]", "adapter.modules_to_save=null", NULL };
    struct tiny_run t;
    struct program *last, *all;
    tiny_run_open(&t, &(struct tiny_model){ .layers = 3 }, last_layer);
    tiny_run_gradient(&t, (struct plan_options){ .recompute = true }, false, &last);
    int last_backward = count_steps(last, BACKWARD, false), last_again = count_steps(last, FORWARD, true);
    tiny_run_close(&t);
    tiny_run_open(&t, &(struct tiny_model){ .layers = 3 }, all_layers);
    tiny_run_gradient(&t, (struct plan_options){ .recompute = true }, false, &all);
    assert_true(2 * last_backward < count_steps(all, BACKWARD, false));
    assert_true(2 * last_again < count_steps(all, FORWARD, true));
    assert_true(count_steps(all, FORWARD, true) < count_steps(all, FORWARD, false)); /* only what gradients read runs again */
    tiny_run_close(&t);
}

/* A known model's plan: changes here are changes of memory that somebody should notice. */
static void the_peak_of_a_known_model_is_the_recorded_one(void **state)
{
    (void)state;
    static const size_t recorded[4] = { 1295424, 607744, 1295424, 1731648 };
    struct tiny_run t;
    struct program *p;
    tiny_run_open(&t, &(struct tiny_model){ .layers = 4, .width = 64, .mlp_width = 160, .vocab = 500 }, NULL);
    bool wrong = false;
    static const struct plan_options choice[4] = { { 0 }, { .recompute = true }, { .separate = true }, { .keep = true } };
    for (int i = 0; i < 4; i++) {
        tiny_run_gradient(&t, choice[i], false, &p);
        print_message("%zu bytes\n", p->arena_bytes);
        wrong |= p->arena_bytes != recorded[i];
    }
    assert_false(wrong);
    tiny_run_close(&t);
}

static void a_gradient_through_an_op_without_one_is_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    const int64_t capacity[EXTENTS] = { [ROWS] = 4 };
    struct graph *g = graph_new(arena, capacity, true);
    struct tensor *x = graph_input(g, "x", F32, FIXED, 1, 8);
    struct error err = { 0 };
    struct program *program;
    x->wants_grad = true;
    struct tensor *sum = sum_squares(g, x);
    sum->wants_grad = true;
    assert_int_equal(plan(&program, g, sum, (struct plan_options){ .threads = 1 }, &err), UNHEALTHY);
    assert_non_null(strstr(err.what, "sum_squares"));
    assert_non_null(strstr(err.what, "(x)"));
    arena_destroy(arena);
}

static void the_first_recording_error_is_what_plan_reports(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    const int64_t capacity[EXTENTS] = { [ROWS] = 4 };
    struct graph *g = graph_new(arena, capacity, false);
    struct tensor *x = graph_input(g, "x", F32, ROWS, 0, 8), *w = graph_input(g, "w", F32, FIXED, 1, 7);
    struct error err = { 0 };
    struct program *program;
    rmsnorm(g, rmsnorm(g, x, w, 0, 1e-5f), x, 0, 1e-5f);
    assert_int_equal(plan(&program, g, NULL, (struct plan_options){ .threads = 1 }, &err), BAD_MODEL);
    assert_string_equal(err.what, "rmsnorm: w is [1, 7], expected [1, 8]");
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputation_and_sharing_change_no_bit),
        cmocka_unit_test(no_step_reads_what_no_step_wrote),
        cmocka_unit_test(no_step_writes_a_weight),
        cmocka_unit_test(storages_alive_together_do_not_overlap),
        cmocka_unit_test(backward_ends_where_nothing_is_trained),
        cmocka_unit_test(the_peak_of_a_known_model_is_the_recorded_one),
        cmocka_unit_test(a_gradient_through_an_op_without_one_is_refused),
        cmocka_unit_test(the_first_recording_error_is_what_plan_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
