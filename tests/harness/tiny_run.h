/* A whole training run on a tiny random model, opened in memory: for claims about the engine that need a real program. */
#ifndef GRAFT_TESTS_TINY_RUN_H
#define GRAFT_TESTS_TINY_RUN_H

#include "tests/harness/tiny_model.h"
#include "trainer/run.h"

struct tiny_run {
    struct arena *arena;
    struct device device;
    struct run run;
    const char *folder;
    struct error err;
};

/* Makes model, records (random ids, a part of them trained) and configuration (LoRA on every linear layer, B not zero, modules_to_save the last norm) in a
 * folder of their own and opens the run. override: NULL-terminated "key=value" settings. Any failure is a failed test. */
void tiny_run_open(struct tiny_run *t, const struct tiny_model *model, const char *const override[]);
void tiny_run_close(struct tiny_run *t);
/* The first `count` sequences as one batch. */
struct batch *tiny_run_batch(struct tiny_run *t, int64_t count);
/* Bytes of the gradient vector after running the program once, poisoned with NaN beforehand when `poison`. */
const float *tiny_run_gradient(struct tiny_run *t, struct plan_options options, bool poison, struct program **program);

#endif
