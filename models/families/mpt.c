/* MPT: LayerNorm and linear layers without biases, ALiBi, queries, keys and values of one layer, all queries first.
 *
 * What the model was trained with stands in attn_config: bounds of q, k and v (clip_qkv), the scale of scores, how steep ALiBi is. transformers ignores
 * alibi_bias_max; graft computes it, as the model's own code does.
 */
#include "common/log.h"
#include "common/text.h"
#include "models/hf_config.h"

#include <stdio.h>

static const char cure[] = "use a model of a supported family without this feature";

/* Keys of attn_config that are read, or say nothing whatever they hold. */
static const char *const known[] = { "attn_type",     "attn_impl", "attn_pdrop", "alibi",      "alibi_bias_max",       "clip_qkv",
                                     "softmax_scale", "qk_ln",     "prefix_lm",  "kv_n_heads", "attn_uses_sequence_id" };

static enum status refuse_unknown(const json_t *section, const char *where, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        bool fine = config_is_trivial(value) || config_is_of_library(key);
        for (size_t i = 0; i < COUNT(known) && !fine; i++)
            fine = text_equal(known[i], key);
        if (!fine)
            return config_refuse(section, where, key, "graft does not know what it does to attention", cure, err);
    }
    return OK;
}

/* Keys whose value must say nothing. */
static enum status refuse_any(const json_t *object, const char *where, const char *const *keys, const char *what, struct error *err)
{
    for (; *keys; keys++)
        if (!config_is_trivial(json_object_get(object, *keys)))
            return config_refuse(object, where, *keys, what, cure, err);
    return OK;
}

static enum status read_attention(struct model_config *config, const json_t *section, const char *where, struct error *err)
{
    static const char *const closed[] = { "qk_ln", "prefix_lm", "attn_uses_sequence_id", "attn_pdrop", NULL };
    bool alibi = true;
    const char *type = "multihead_attention";
    int64_t kv_heads = config->heads, steepest = 8;
    TRY(refuse_unknown(section, where, err));
    TRY(refuse_any(section, where, closed, "graft does not compute this", err));
    TRY(json_get_bool(section, where, "alibi", &alibi, err));
    TRY(json_get_text(section, where, "attn_type", &type, err));
    TRY(json_get_int(section, where, "kv_n_heads", 1, INT32_MAX, &kv_heads, err));
    TRY(json_get_int(section, where, "alibi_bias_max", 1, 1 << 10, &steepest, err));
    TRY(json_get_real(section, where, "clip_qkv", &config->clip_qkv, err));
    TRY(json_get_real(section, where, "softmax_scale", &config->attention_scale, err));
    if (!alibi)
        return config_refuse(section, where, "alibi", "graft computes MPT with ALiBi only, and so does transformers", cure, err);
    if (!text_equal(type, "multihead_attention") || kv_heads != config->heads)
        return config_refuse(section, where, kv_heads != config->heads ? "kv_n_heads" : "attn_type", "every query has its own key here", cure, err);
    if (!(config->clip_qkv >= 0 && config->clip_qkv <= 1e6))
        return config_refuse(section, where, "clip_qkv", "not between 0 and 1e6", "correct config.json", err);
    if (!(config->attention_scale >= 1e-6 && config->attention_scale <= 1e6))
        return config_refuse(section, where, "softmax_scale", "not between 1e-6 and 1e6", "correct config.json", err);
    if (steepest != 8)
        warn("%s: alibi_bias_max %lld is computed as the model's own code does; transformers computes 8 whatever it says", where, (long long)steepest);
    config->alibi_max = (double)steepest;
    return OK;
}

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    const json_t *section = json_object_get(json, "attn_config");
    const char *norm = "low_precision_layernorm";
    char where[1200];
    bool no_bias = true;
    int64_t ratio = 4;
    double fraction = 1;
    TRY(json_get_bool(json, path, "no_bias", &no_bias, err));
    TRY(json_get_int(json, path, "expansion_ratio", 1, 1 << 10, &ratio, err));
    TRY(json_get_real(json, path, "embedding_fraction", &fraction, err));
    TRY(json_get_text(json, path, "norm_type", &norm, err));
    if (!no_bias)
        return config_refuse(json, path, "no_bias", "graft computes MPT without biases only, and so does transformers", cure, err);
    if (ratio != 4 || fraction != 1)
        return config_refuse(json, path, ratio != 4 ? "expansion_ratio" : "embedding_fraction", "transformers computes 4 and 1 whatever it says", cure, err);
    if (!text_equal(norm, "low_precision_layernorm") && !text_equal(norm, "layernorm"))
        return config_refuse(json, path, "norm_type", "graft computes layernorm and low_precision_layernorm", cure, err);
    if (!config_is_trivial(section) && !json_is_object(section))
        return config_refuse(json, path, "attn_config", "not an object", "correct config.json", err);
    config->activation = GELU;
    snprintf(where, sizeof where, "%.1000s: attn_config", path);
    return read_attention(config, json_is_object(section) ? section : NULL, where, err);
}

const struct family family_mpt = {
    .model_type = "mpt",
    .base_class = "MptModel",
    .shape = { .norm = LAYERNORM, .positions = ALIBI, .every_second = true, .plain_mlp = true, .qkv_blocks = 1 },
    .defaults = { .vocab = 50368,
                  .width = 2048,
                  .layers = 24,
                  .heads = 16,
                  .max_positions = 2048,
                  .bos = -1,
                  .eos = -1,
                  .tied = true,
                  .norm_eps = 1e-5 },
    .spelling = { [KEY_WIDTH] = { "d_model" },
                  [KEY_LAYERS] = { "n_layers" },
                  [KEY_HEADS] = { "n_heads" },
                  [KEY_POSITIONS] = { "max_seq_len" },
                  [KEY_EPS] = { "layer_norm_epsilon" } },
    .embed = "transformer.wte",
    .final_norm = "transformer.norm_f",
    .head = "lm_head",
    .norm = { "transformer.blocks.%d.norm_1", "transformer.blocks.%d.norm_2" },
    .projection = {
        [QKV]           = "transformer.blocks.%d.attn.Wqkv",
        [ATTENTION_OUT] = "transformer.blocks.%d.attn.out_proj",
        [UP]            = "transformer.blocks.%d.ffn.up_proj",
        [DOWN]          = "transformer.blocks.%d.ffn.down_proj",
    },
    .lora_targets = { "Wqkv" },
    .keys = { "attn_config", "no_bias", "expansion_ratio", "embedding_fraction", "norm_type", "learned_pos_emb", "init_device", "init_config",
              "verbose", "tokenizer_name" },
    .configure = configure,
};
