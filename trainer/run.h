/* A training run with everything it owns, opened in order from a configuration and closed together. */
#ifndef GRAFT_TRAINER_RUN_H
#define GRAFT_TRAINER_RUN_H

#include "trainer/budget.h"
#include "trainer/config.h"

struct run {
    struct arena *arena;
    struct device *device;
    struct comm *comm; /* with whom; set before opening, or one process */
    struct config config;
    struct model_config model_config;
    struct model model;
    struct tokenizer *tokenizer; /* NULL when all data are ids */
    struct adapter *adapter;
    struct dataset train, eval;
    struct session session;
    struct budget budget;
    int64_t steps_per_epoch, steps;
};

/* Data alone: tokenizer, datasets, split. model_config must have been read. */
enum status run_open_data(struct run *run, struct error *err) MUST_USE;
/* BAD_DATA if the data have what the configuration does not accept. */
enum status run_gate(const struct run *run, struct error *err) MUST_USE;
/* run: zeroed, but for comm. Configuration, data, model, adapter, budget; and, when `weights`, run_load(): nothing before has touched a weight. Close whatever
 * the outcome. Errors: DOES_NOT_FIT before a weight is read, and all that the parts say. */
enum status run_open(struct run *run, struct arena *arena, struct device *device, const char *path, const char *const *overrides, int count, bool weights,
                     struct error *err) MUST_USE;
/* Chooses the budget again, by these settings. Errors: DOES_NOT_FIT. */
enum status run_fit(struct run *run, const struct training_settings *settings, struct error *err) MUST_USE;
/* The model's data and the adapter's start, of a run opened without. */
enum status run_load(struct run *run, struct error *err) MUST_USE;
/* The model and adapter that a configuration describes, located without weights, for generation or evaluation; `records`: also what data.eval names. */
enum status run_open_inference(struct run *run, struct arena *arena, struct device *device, const char *path, const char *const *overrides, int count,
                               bool records, struct error *err) MUST_USE;
void run_close(struct run *run);

#endif
