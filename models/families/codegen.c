/* CodeGen 1: attention and MLP side by side behind one norm, rotary positions of neighbouring dimensions in part of each head, a head with bias.
 *
 * Queries, keys and values are one layer whose outputs lie in four blocks, as the model was cut when it was trained, each of queries, then VALUES, then keys.
 */
#include "models/families/gpt_like.h"
#include "models/hf_config.h"

enum { CUT = 4 };

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    if (config->heads % CUT != 0)
        return config_refuse(json, path, "n_head", "the heads of this family lie in four equal blocks", "correct config.json", err);
    return config_read_rotary_dim(config, json, path, err);
}

const struct family family_codegen = {
    .model_type = "codegen",
    .base_class = "CodeGenModel",
    .shape = { .norm = LAYERNORM,
               .norm_bias = true,
               .pairs = NEIGHBOURS,
               .parallel = true,
               .one_norm = true,
               .plain_mlp = true,
               .qkv_blocks = CUT,
               .values_first = true,
               .mlp_bias = true,
               .head_bias = true },
    GPT_BESIDE,
    .projection = {
        [QKV]           = "transformer.h.%d.attn.qkv_proj",
        [ATTENTION_OUT] = "transformer.h.%d.attn.out_proj",
        [UP]            = "transformer.h.%d.mlp.fc_in",
        [DOWN]          = "transformer.h.%d.mlp.fc_out",
    },
    .ignored = { ".attn.causal_mask", ".attn.bias", ".attn.masked_bias" },
    .lora_targets = { "qkv_proj" },
    .keys = { "rotary_dim", "n_ctx", "scale_attn_weights" },
    .configure = configure,
};
