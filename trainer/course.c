/* The course of a run: its order, epoch by epoch, and what its largest micro-batch holds. */
#include "trainer/course.h"
#include "trainer/step.h"

#include <math.h>

enum { MOST_WALKED = 1 << 22 }; /* sequences: some hundredths of a second */

struct course course_new(struct arena *arena, const struct dataset *train, const struct training_settings *settings)
{
    struct course course = { .train = train, .settings = settings, .arena = arena, .epoch = -1 };
    course.length = dataset_epoch_length(train);
    course.steps_per_epoch = (course.length + settings->batch_size - 1) / settings->batch_size;
    course.steps = settings->max_steps > 0 ? settings->max_steps : (int64_t)ceil(settings->num_train_epochs * (double)course.steps_per_epoch);
    course.order = NEW_ARRAY(arena, course.length, int64_t);
    course.sequence = NEW_ARRAY(arena, settings->batch_size, const struct sequence *);
    return course;
}

int64_t course_step(struct course *course, int64_t step)
{
    const struct training_settings *settings = course->settings;
    int64_t epoch = (step - 1) / course->steps_per_epoch, begin = (step - 1) % course->steps_per_epoch * settings->batch_size;
    if (epoch != course->epoch) {
        dataset_epoch(course->train, course->arena, course->order, (uint64_t)settings->seed, epoch, settings->shuffle);
        course->epoch = epoch;
    }
    int64_t count = course->length - begin < settings->batch_size ? course->length - begin : settings->batch_size;
    for (int64_t i = 0; i < count; i++)
        course->sequence[i] = &course->train->sequence[course->order[begin + i]];
    return count;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void hold_micro_batch(struct capacity *capacity, const struct sequence *const *sequence, int64_t count)
{
    int64_t rows = 0, selected = 0;
    for (int64_t i = 0; i < count; i++) {
        rows += sequence[i]->count;
        selected += sequence[i]->trained;
    }
    capacity->rows = larger(capacity->rows, rows);
    capacity->selected = larger(capacity->selected, selected);
    capacity->sequences = larger(capacity->sequences, count);
}

struct capacity course_capacity(struct arena *arena, const struct dataset *train, const struct training_settings *settings)
{
    struct course course = course_new(arena, train, settings);
    struct capacity capacity = { 1, 1, 1, 1 };
    int64_t steps = settings->shuffle || course.steps < course.steps_per_epoch || course.length != train->count
                        ? course.steps
                        : course.steps_per_epoch; /* the same again, unless shuffled or mixed */
    if (train->count == 0 || steps > MOST_WALKED / settings->batch_size)
        return step_capacity(train, settings);
    struct packing packing = packing_new(arena, settings->batch_size);
    for (int64_t step = 1; step <= steps; step++) {
        const int64_t count = course_step(&course, step), batches = packing_fill(&packing, course.sequence, count, step_micro_batch_tokens(train, settings));
        capacity.micro_batches = larger(capacity.micro_batches, batches);
        for (int64_t b = 0; b < batches; b++)
            hold_micro_batch(&capacity, packing.sequence + packing.first[b], packing.first[b + 1] - packing.first[b]);
    }
    return capacity;
}
