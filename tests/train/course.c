/* The course of a run: which sequences each step takes, and that no micro-batch of it holds more than the capacity that memory is counted for. */
#include "trainer/course.h"
#include "trainer/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SEQUENCES_IN_ALL = 11, BATCH = 4, PER_EPOCH = 3, TOKENS = 64 };

struct fixture {
    struct arena *arena;
    struct sequence sequence[SEQUENCES_IN_ALL];
    struct dataset train;
    struct training_settings settings;
};

static void set_up(struct fixture *f, bool shuffle)
{
    *f = (struct fixture){ .arena = arena_create(NULL),
                           .settings = { .batch_size = BATCH, .num_train_epochs = 2, .seed = 5, .shuffle = shuffle, .micro_batch_tokens = TOKENS } };
    for (int i = 0; i < SEQUENCES_IN_ALL; i++)
        f->sequence[i] = (struct sequence){ .count = 7 + 5 * i, .trained = 1 + (i * 7) % 11 };
    f->train = (struct dataset){ .sequence = f->sequence, .count = SEQUENCES_IN_ALL };
}

static int number_of(const struct fixture *f, const struct sequence *sequence)
{
    return (int)(sequence - f->sequence);
}

static void every_epoch_takes_every_sequence_once(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, true);
    struct course course = course_new(f.arena, &f.train, &f.settings);
    assert_int_equal(course.steps_per_epoch, PER_EPOCH);
    assert_int_equal(course.steps, 2 * PER_EPOCH);
    int first[2][SEQUENCES_IN_ALL], differ = 0;
    for (int epoch = 0; epoch < 2; epoch++) {
        int taken[SEQUENCES_IN_ALL] = { 0 }, at = 0;
        for (int step = 1; step <= PER_EPOCH; step++) {
            const int64_t count = course_step(&course, epoch * PER_EPOCH + step);
            assert_int_equal(count, step < PER_EPOCH ? BATCH : SEQUENCES_IN_ALL - (PER_EPOCH - 1) * BATCH);
            for (int64_t i = 0; i < count; i++) {
                first[epoch][at] = number_of(&f, course.sequence[i]);
                taken[first[epoch][at++]]++;
            }
        }
        for (int i = 0; i < SEQUENCES_IN_ALL; i++)
            assert_int_equal(taken[i], 1);
    }
    for (int i = 0; i < SEQUENCES_IN_ALL; i++)
        differ += first[0][i] != first[1][i];
    assert_true(differ > 0);
    arena_destroy(f.arena);
}

static void a_step_is_the_same_wherever_one_begins(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, true);
    struct course walked = course_new(f.arena, &f.train, &f.settings), asked = course_new(f.arena, &f.train, &f.settings);
    for (int64_t step = 1; step <= 5; step++)
        course_step(&walked, step);
    assert_int_equal(course_step(&asked, 5), BATCH);
    for (int i = 0; i < BATCH; i++)
        assert_ptr_equal(walked.sequence[i], asked.sequence[i]);
    arena_destroy(f.arena);
}

static void without_shuffling_the_order_is_the_file_s(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, false);
    struct course course = course_new(f.arena, &f.train, &f.settings);
    for (int epoch = 0; epoch < 2; epoch++) {
        assert_int_equal(course_step(&course, epoch * PER_EPOCH + 2), BATCH);
        for (int i = 0; i < BATCH; i++)
            assert_int_equal(number_of(&f, course.sequence[i]), BATCH + i);
    }
    arena_destroy(f.arena);
}

static void max_steps_counts_before_epochs_and_parts_of_an_epoch_round_up(void **state)
{
    (void)state;
    static const struct {
        double epochs;
        int64_t max_steps, steps;
    } expected[] = { { 2, 0, 6 }, { 0.5, 0, 2 }, { 1.01, 0, 4 }, { 2, 1, 1 }, { 2, 100, 100 } };
    struct fixture f;
    set_up(&f, true);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        f.settings.num_train_epochs = expected[i].epochs;
        f.settings.max_steps = expected[i].max_steps;
        assert_int_equal(course_new(f.arena, &f.train, &f.settings).steps, expected[i].steps);
    }
    arena_destroy(f.arena);
}

/* What the largest micro-batch holds, found by packing each step. */
static struct capacity largest_by_hand(struct fixture *f, int64_t steps)
{
    struct course course = course_new(f->arena, &f->train, &f->settings);
    struct packing packing = packing_new(f->arena, f->settings.batch_size);
    struct capacity most = { 0 };
    for (int64_t step = 1; step <= steps; step++) {
        const int64_t count = course_step(&course, step), batches = packing_fill(&packing, course.sequence, count, TOKENS);
        for (int64_t b = 0; b < batches; b++) {
            struct capacity now = { .sequences = packing.first[b + 1] - packing.first[b] };
            for (int64_t i = packing.first[b]; i < packing.first[b + 1]; i++) {
                now.rows += packing.sequence[i]->count;
                now.selected += packing.sequence[i]->trained;
            }
            most.rows = now.rows > most.rows ? now.rows : most.rows;
            most.selected = now.selected > most.selected ? now.selected : most.selected;
            most.sequences = now.sequences > most.sequences ? now.sequences : most.sequences;
        }
    }
    return most;
}

static void the_capacity_is_what_the_largest_micro_batch_holds(void **state)
{
    (void)state;
    static const struct {
        bool shuffle;
        int64_t max_steps, walked;
    } cases[] = { { true, 0, 6 }, { true, 1, 1 }, { true, 40, 40 }, { false, 0, 3 }, { false, 1, 1 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        set_up(&f, cases[i].shuffle);
        f.settings.max_steps = cases[i].max_steps;
        const struct capacity most = largest_by_hand(&f, cases[i].walked), capacity = course_capacity(f.arena, &f.train, &f.settings);
        assert_int_equal(capacity.rows, most.rows);
        assert_int_equal(capacity.selected, most.selected);
        assert_int_equal(capacity.sequences, most.sequences);
        arena_destroy(f.arena);
    }
}

static void a_course_too_long_to_walk_counts_what_any_could_hold(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, true);
    f.settings.max_steps = INT32_MAX;
    const struct capacity any = step_capacity(&f.train, &f.settings), capacity = course_capacity(f.arena, &f.train, &f.settings);
    const struct capacity most = largest_by_hand(&f, 200);
    assert_memory_equal(&capacity, &any, sizeof any);
    assert_true(any.rows >= most.rows && any.selected >= most.selected && any.sequences >= most.sequences);
    arena_destroy(f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_takes_every_sequence_once),
        cmocka_unit_test(a_step_is_the_same_wherever_one_begins),
        cmocka_unit_test(without_shuffling_the_order_is_the_file_s),
        cmocka_unit_test(max_steps_counts_before_epochs_and_parts_of_an_epoch_round_up),
        cmocka_unit_test(the_capacity_is_what_the_largest_micro_batch_holds),
        cmocka_unit_test(a_course_too_long_to_walk_counts_what_any_could_hold),
    };
    return cmocka_run_group_tests_name("train/course", tests, NULL, NULL);
}
