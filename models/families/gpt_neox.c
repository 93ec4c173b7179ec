/* GPT-NeoX-20B, Pythia, Dolly v2, RedPajama-INCITE, StableLM-alpha: LayerNorm with bias, attention and MLP side by side, rotary positions in part of each head,
 * queries, keys and values of one layer head by head.
 *
 * use_parallel_residual false puts the MLP behind attention, as in Llama (RedPajama). The head is embed_out in files of models and was so in memory until
 * transformers 5 called it lm_head, so adapters know it by either name.
 */
#include "models/family.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool attention_bias = true;
    TRY(json_get_bool(json, path, "use_parallel_residual", &config->shape.parallel, err));
    TRY(json_get_bool(json, path, "attention_bias", &attention_bias, err));
    config->shape.qkv_bias = attention_bias;
    config->shape.attention_out_bias = attention_bias;
    config->shape.qkv_blocks = config->heads;
    return OK;
}

const struct family family_gpt_neox = {
    .model_type = "gpt_neox",
    .base_class = "GPTNeoXModel",
    .shape = { .norm = LAYERNORM, .norm_bias = true, .parallel = true, .plain_mlp = true, .qkv_blocks = 1, .mlp_bias = true },
    .defaults = { .vocab = 50432, .width = 6144, .mlp_width = 24576, .layers = 44, .heads = 64, .max_positions = 2048, .bos = 0, .eos = 2,
                  .norm_eps = 1e-5, .rotary_part = 0.25, .activation = "gelu" },
    .spelling = { [KEY_EPS] = { "layer_norm_eps" }, [KEY_THETA] = { "rotary_emb_base" }, [KEY_PART] = { "rotary_pct" } },
    .embed = "gpt_neox.embed_in",
    .final_norm = "gpt_neox.final_layer_norm",
    .head = "lm_head",
    .head_in_files = "embed_out",
    .norm = { "gpt_neox.layers.%d.input_layernorm", "gpt_neox.layers.%d.post_attention_layernorm" },
    .projection = {
        [QKV]           = "gpt_neox.layers.%d.attention.query_key_value",
        [ATTENTION_OUT] = "gpt_neox.layers.%d.attention.dense",
        [UP]            = "gpt_neox.layers.%d.mlp.dense_h_to_4h",
        [DOWN]          = "gpt_neox.layers.%d.mlp.dense_4h_to_h",
    },
    .ignored = { ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq" },
    .lora_targets = { "query_key_value" },
    .keys = { "use_parallel_residual", "attention_bias" },
    .configure = configure,
};
