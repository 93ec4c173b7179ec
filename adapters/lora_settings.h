/* What the user can say about a LoRA: the section `adapter` of the YAML, or adapter_config.json, read by the same rows. */
#ifndef GRAFT_ADAPTERS_LORA_SETTINGS_H
#define GRAFT_ADAPTERS_LORA_SETTINGS_H

#include "adapters/targets.h"
#include "adapters/tokens.h"
#include "common/settings.h"

enum lora_bias { BIAS_NONE, BIAS_ALL, BIAS_LORA_ONLY };
enum lora_start { START_DEFAULT, START_RANDOM, START_GAUSSIAN, START_ORTHOGONAL }; /* init_lora_weights: true, false, "gaussian", "orthogonal" */

/* A map from regular expressions to numbers, in the order given. */
struct number_map {
    const char *where;
    const char **key;
    double *value;
    int count;
};

struct lora_settings {
    int64_t rank;
    double alpha, dropout;
    struct target_rules rules;
    struct number_map rank_pattern, alpha_pattern;
    struct token_lists tokens;
    int bias;  /* enum lora_bias */
    int start; /* enum lora_start */
    bool rank_stabilised, fan_in_fan_out, use_dora, lora_bias;
};

enum { LORA_SETTINGS = 17 };
extern const struct setting lora_settings[LORA_SETTINGS];
extern const char *const lora_bias_names[];

#endif
