/* What the user can say about a LoRA: the section `adapter` of the YAML, or adapter_config.json, read by the same rows. */
#ifndef GRAFT_ADAPTERS_LORA_SETTINGS_H
#define GRAFT_ADAPTERS_LORA_SETTINGS_H

#include "adapters/targets.h"
#include "adapters/tokens.h"
#include "common/settings.h"

enum lora_bias { BIAS_NONE, BIAS_ALL, BIAS_LORA_ONLY };
enum lora_start { START_DEFAULT, START_RANDOM, START_GAUSSIAN, START_ORTHOGONAL, START_PISSA };
enum { HIGHEST_RANK = 65536, HIGHEST_ALPHA = 1000000 };

/* init_lora_weights */
struct start {
    int kind;       /* enum lora_start */
    int iterations; /* pissa_niter_k: k; pissa: 0 */
};

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
    struct start start;
    int bias; /* enum lora_bias */
    bool rank_stabilised, fan_in_fan_out, use_dora, lora_bias;
};

enum { LORA_SETTINGS = 17 };
extern const struct setting lora_settings[LORA_SETTINGS];
extern const char *const lora_bias_names[];

#endif
