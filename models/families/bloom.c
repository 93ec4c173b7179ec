/* BLOOM and BLOOMZ: LayerNorm with bias, also behind the embedding, ALiBi, queries, keys and values of one layer head by head, the tanh form of GELU. */
#include "models/hf_config.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool in_parts = false;
    int64_t parts = 1;
    TRY(json_get_bool(json, path, "apply_residual_connection_post_layernorm", &config->shape.normed_residual, err));
    TRY(json_get_bool(json, path, "slow_but_exact", &in_parts, err));
    TRY(json_get_int(json, path, "pretraining_tp", 1, INT32_MAX, &parts, err));
    if (in_parts && parts > 1)
        return config_refuse(json, path, "slow_but_exact", "with pretraining_tp above 1 transformers then leaves out the biases of dense and dense_4h_to_h",
                             "set it to false, as published models do", err);
    config->activation = GELU_TANH;
    config->shape.qkv_blocks = config->heads;
    return OK;
}

const struct family family_bloom = {
    .model_type = "bloom",
    .base_class = "BloomModel",
    .shape = { .norm = LAYERNORM,
               .norm_bias = true,
               .embed_norm = true,
               .positions = ALIBI,
               .plain_mlp = true,
               .qkv_blocks = 1,
               .qkv_bias = true,
               .attention_out_bias = true,
               .mlp_bias = true },
    .defaults = { .vocab = 250880, .width = 64, .layers = 2, .heads = 8, .max_positions = 2048, .bos = 1, .eos = 2, .tied = true, .norm_eps = 1e-5 },
    .spelling = { [KEY_WIDTH] = { "n_embed" },
                  [KEY_MLP_WIDTH] = { "n_inner" },
                  [KEY_LAYERS] = { "n_layer" },
                  [KEY_HEADS] = { "n_head" },
                  [KEY_POSITIONS] = { "seq_length" },
                  [KEY_EPS] = { "layer_norm_epsilon" } },
    .embed = "transformer.word_embeddings",
    .embed_norm = "transformer.word_embeddings_layernorm",
    .final_norm = "transformer.ln_f",
    .head = "lm_head",
    .norm = { "transformer.h.%d.input_layernorm", "transformer.h.%d.post_attention_layernorm" },
    .projection = {
        [QKV]           = "transformer.h.%d.self_attention.query_key_value",
        [ATTENTION_OUT] = "transformer.h.%d.self_attention.dense",
        [UP]            = "transformer.h.%d.mlp.dense_h_to_4h",
        [DOWN]          = "transformer.h.%d.mlp.dense_4h_to_h",
    },
    .lora_targets = { "query_key_value" },
    .keys = { "apply_residual_connection_post_layernorm", "slow_but_exact", "attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion",
              "offset_alibi", "skip_bias_add", "skip_bias_add_qkv" },
    .configure = configure,
};
