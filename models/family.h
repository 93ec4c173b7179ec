/* Families as data: what a model_type means, as switches, names and rows of configuration keys.
 *
 * Most families say "like Llama, except". A switch enters struct family only when a second family needs it. Fused or permuted weights are normalised while
 * loading, so nothing else knows.
 */
#ifndef GRAFT_MODELS_FAMILY_H
#define GRAFT_MODELS_FAMILY_H

#include "models/model.h"

/* Keys of config.json that families spell differently. */
enum config_key { KEY_WIDTH, KEY_MLP_WIDTH, KEY_LAYERS, KEY_HEADS, KEY_KV_HEADS, KEY_POSITIONS, KEY_EPS, KEY_ACTIVATION, KEY_THETA, KEY_PART, CONFIG_KEYS };
enum { SPELLINGS = 2 };

struct family {
    const char *model_type;
    const char *old_types[2]; /* what files before transformers knew the family say, or NULLs */
    struct shape shape;
    const char *base_class; /* Hugging Face's class without a head, which may stand in `architectures` beside any ...ForCausalLM */
    /* What transformers assumes where config.json is silent. kv_heads 0: as many as heads; mlp_width 0: four times the width; bos, eos and pad (of families
     * that are padded) -1: none. rotary_part 0: every dimension of a head is rotated, and no file may say otherwise; head_size 0: the width divided by the
     * heads. */
    struct {
        int64_t vocab, width, mlp_width, layers, heads, kv_heads, head_size, max_positions;
        int32_t bos, eos, pad;
        bool tied;
        double norm_eps, rotary_part;
        const char *activation;
    } defaults;
    const char *spelling[CONFIG_KEYS][SPELLINGS]; /* beside Llama's spelling, or NULLs */
    /* Names in the live model, without ".weight" / ".bias"; %d is the layer. */
    const char *embed, *embed_norm, *position_table, *final_norm, *head;
    const char *head_in_files;          /* the head's name in files of models, and once in memory; NULL: the same */
    const char *norm[2], *head_norm[2]; /* of attention and MLP; of queries and keys */
    const char *projection[HEAD];       /* indexed by enum projection */
    const char *ignored[4];             /* suffixes of tensors in files that carry no weights (buffers) */
    const char *lora_targets[4];        /* PEFT's default target_modules, NULL-terminated */
    bool layers_differ;                 /* layer_types may give some layers a sliding window and others none */
    const char *drops[3];               /* keys of dropout that mean 0.1 where they are absent, or NULLs */
    const char *keys[16];               /* keys of config.json that configure() reads, NULL-terminated */
    bool padded;                        /* transformers' embedding has a padding_idx, pad_token_id: lookups never train its row */
    bool free_heads;                    /* head_dim may make the heads together narrower or wider than the model */
    bool transposed;                    /* files hold the weights of a block's linear layers as [in, out] */
    /* Reads what is special in config.json after the common keys. NULL: nothing. */
    enum status (*configure)(struct model_config *config, const json_t *json, const char *path, struct error *err);
};

/* NULL if there is no such family. */
const struct family *family_find(const char *model_type);
/* Names of all families, NULL-terminated, for messages. */
const char *const *family_names(void);

#endif
