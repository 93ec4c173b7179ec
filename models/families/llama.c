/* Llama 1 to 3.2, TinyLlama, XGen, CodeGen2.5: RMSNorm, rotary positions in halves, grouped heads, gated MLP.
 *
 * Biases are a matter of configuration: attention_bias puts one on q, k, v and o alike, mlp_bias on all of the MLP.
 */
#include "models/families/llama_like.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool attention_bias = false;
    TRY(json_get_bool(json, path, "attention_bias", &attention_bias, err));
    TRY(json_get_bool(json, path, "mlp_bias", &config->shape.mlp_bias, err));
    config->shape.qkv_bias = attention_bias;
    config->shape.attention_out_bias = attention_bias;
    return OK;
}

const struct family family_llama = {
    .model_type = "llama",
    .base_class = "LlamaModel",
    .defaults = { .vocab = 32000,
                  .width = 4096,
                  .mlp_width = 11008,
                  .layers = 32,
                  .heads = 32,
                  .kv_heads = 0,
                  .max_positions = 2048,
                  .bos = 1,
                  .eos = 2,
                  .pad = -1 },
    LLAMA_NAMES,
    .free_heads = true,
    .keys = { "attention_bias", "mlp_bias" },
    .configure = configure,
};
