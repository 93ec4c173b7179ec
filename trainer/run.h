/* A training run with everything it owns, opened in order from a configuration and closed together. */
#ifndef GRAFT_TRAINER_RUN_H
#define GRAFT_TRAINER_RUN_H

#include "trainer/config.h"
#include "trainer/step.h"

struct run {
    struct arena *arena;
    struct device *device;
    struct config config;
    struct model_config model_config;
    struct model model;
    struct tokenizer *tokenizer; /* NULL when all data are ids */
    struct adapter *adapter;
    struct dataset train, eval;
    struct session session;
    int64_t steps_per_epoch, steps;
};

/* Data alone: tokenizer, datasets, split. model_config must have been read. */
enum status run_open_data(struct run *run, struct error *err) MUST_USE;
/* BAD_DATA if the data have what the configuration does not accept. */
enum status run_gate(const struct run *run, struct error *err) MUST_USE;
/* Configuration, model (with weights, or only described when !weights), data, adapter (sealed and started when weights). Close whatever the outcome. */
enum status run_open(struct run *run, struct arena *arena, struct device *device, const char *path, const char *const *overrides, int count, bool weights,
                     struct error *err) MUST_USE;
void run_close(struct run *run);

#endif
