/* Families as data: what a model_type means, as switches, names and rows of configuration keys.
 *
 * Most families say "like Llama, except". A switch enters struct family only when a second family needs it. Fused or permuted weights are normalised while
 * loading, so nothing else knows.
 */
#ifndef GRAFT_MODELS_FAMILY_H
#define GRAFT_MODELS_FAMILY_H

#include "models/model.h"

struct family {
    const char *model_type;
    const char *base_class; /* Hugging Face's class without a head, which may stand in `architectures` beside any ...ForCausalLM */
    /* What transformers assumes where config.json is silent. kv_heads 0: as many as heads; bos and eos -1: none. */
    struct {
        int64_t vocab, width, mlp_width, layers, heads, kv_heads, max_positions;
        int32_t bos, eos;
    } defaults;
    /* Names in the live model, without ".weight" / ".bias"; %d is the layer. */
    const char *embed, *final_norm, *head;
    const char *norm[2];
    const char *projection[HEAD]; /* indexed by enum projection */
    const char *ignored[4];       /* suffixes of tensors in files that carry no weights (buffers) */
    const char *lora_targets[4];  /* PEFT's default target_modules, NULL-terminated */
    const char *keys[8];          /* keys of config.json that configure() reads, NULL-terminated */
    bool bias_on_qkv;             /* q, k, v have a bias whatever the configuration says */
    /* Reads what is special in config.json after the common keys. NULL: nothing. */
    enum status (*configure)(struct model_config *config, const json_t *json, const char *path, struct error *err);
};

/* NULL if there is no such family. */
const struct family *family_find(const char *model_type);
/* Names of all families, NULL-terminated, for messages. */
const char *const *family_names(void);

#endif
