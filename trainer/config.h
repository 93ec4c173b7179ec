/* A run's YAML: four sections, each read by its own rows; nothing unknown passes. */
#ifndef GRAFT_TRAINER_CONFIG_H
#define GRAFT_TRAINER_CONFIG_H

#include "adapters/adapter.h"
#include "datasets/dataset.h"

struct model_settings {
    const char *path, *dtype;
};

enum schedule { CONSTANT, LINEAR, COSINE, CONSTANT_WITH_WARMUP, INVERSE_SQRT };
enum recompute { RECOMPUTE_AUTO, RECOMPUTE_ALWAYS, RECOMPUTE_NEVER };

struct training_settings {
    const char *output_dir;
    int64_t seed, max_steps, batch_size, micro_batch_tokens, warmup_steps, logging_steps, eval_steps, save_steps, save_total_limit, early_stopping_patience,
        check_ranks_steps;
    double num_train_epochs, learning_rate, warmup_ratio, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm, early_stopping_threshold,
        loraplus_lr_ratio, loraplus_lr_embedding, /* 0: not given */
        memory_limit,                             /* GiB; 0: what is free */
        rank_timeout;                             /* seconds */
    int lr_scheduler_type, recompute;
    bool shuffle, load_best_model_at_end;
};

struct config {
    const char *path, *folder; /* of the YAML file */
    struct model_settings model;
    struct data_settings data;
    struct training_settings training;
    const struct yaml *adapter; /* the section; adapters read it themselves */
    char hash[65];              /* of the resolved configuration, set by config_print */
};

/* Reads the file and applies overrides ("dotted.path=value"). Errors carry file:line:column. */
enum status config_read(struct config *config, struct arena *arena, const char *path, const char *const *overrides, int count, struct error *err) MUST_USE;
/* The resolved configuration, defaults included, as YAML; also sets config->hash. */
void config_print(struct config *config, const struct adapter *adapter, struct text *out);
/* All settings, for --help. */
void config_help(struct text *out);

#endif
