/* Qwen3: Llama whose queries and keys are normed, each head on its own, before they are rotated; heads of 128 whatever the width. */
#include "models/families/qwen_like.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool attention_bias = false;
    TRY(json_get_bool(json, path, "attention_bias", &attention_bias, err));
    config->shape.qkv_bias = attention_bias;
    config->shape.attention_out_bias = attention_bias;
    return qwen_read_window(config, json, path, err);
}

const struct family family_qwen3 = {
    .model_type = "qwen3",
    .base_class = "Qwen3Model",
    .shape = { .head_norms = true },
    .defaults = { .vocab = 151936,
                  .width = 4096,
                  .mlp_width = 22016,
                  .layers = 32,
                  .heads = 32,
                  .kv_heads = 32,
                  .head_size = 128,
                  .max_positions = 32768,
                  .bos = -1,
                  .eos = -1,
                  .pad = -1 },
    LLAMA_NAMES,
    .head_norm = { "model.layers.%d.self_attn.q_norm", "model.layers.%d.self_attn.k_norm" },
    .free_heads = true,
    .layers_differ = true,
    .keys = { "attention_bias", QWEN_WINDOW_KEYS },
    .configure = configure,
};
