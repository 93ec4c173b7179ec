/* What the inference tests share: the models they run, random ids, and a comparison that knows how large the numbers are. */
#ifndef GRAFT_TESTS_INFERENCE_SMALL_H
#define GRAFT_TESTS_INFERENCE_SMALL_H

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

static const struct {
    const char *name;
    struct tiny_model model;
} small_models[] = {
    { "heads of their own", { .kv_heads = 4 } },
    { "grouped heads", { .kv_heads = 2 } },
    { "one head for all", { .kv_heads = 1, .layers = 3 } },
    { "tied", { .tied = true } },
    { "a sliding window", { .model_type = "mistral", .members = "\"sliding_window\": 4" } },
    { "biases", { .model_type = "qwen2" } },
};

static inline void assert_fine(struct tiny_run *t, enum status status)
{
    if (status != OK)
        fail_msg("%s (%s)", t->err.what, t->err.cure);
}

/* The run's model without its adapter. */
static inline struct session session_of_base(struct tiny_run *t)
{
    return session_new(t->arena, &t->device, &t->run.model, NULL, 0);
}

/* Ids that are no special tokens. */
static inline struct sequence random_sequence(struct tiny_run *t, uint64_t seed, int64_t count)
{
    struct sequence s = { .ids = NEW_ARRAY(t->arena, count, int32_t), .count = count };
    for (int64_t i = 0; i < count; i++)
        s.ids[i] = 3 + (int32_t)random_below(seed, 1, (uint64_t)i, (uint64_t)t->run.model.config.vocab - 3);
    s.labels = s.ids;
    return s;
}

static inline int32_t argmax(const float *logits, int64_t vocab)
{
    int64_t best = 0;
    for (int64_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* The largest difference, in units of the largest number. */
static inline double relative_difference(const float *a, const float *b, int64_t count)
{
    double difference = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        difference = d > difference || isnan(d) ? d : difference;
        largest = fmax(largest, fabs((double)a[i]));
    }
    return largest > 0 ? difference / largest : NAN;
}

#endif
