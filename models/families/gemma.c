/* Gemma 1: Llama with norms that multiply by 1 + w, an embedding that is multiplied by the root of the width, a gate of the tanh form of GELU, a tied head, and
 * heads of 256 whatever the width.
 *
 * Published files say hidden_act "gelu" and mean the tanh form; for a while the activation stood in hidden_activation.
 */
#include "common/text.h"
#include "models/families/llama_like.h"
#include "models/hf_config.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    static const char meant[] = "hidden_activation";
    const char *activation = NULL, *word = "gelu_pytorch_tanh";
    bool attention_bias = false;
    TRY(json_get_text(json, path, "hidden_act", &activation, err));
    TRY(json_get_text(json, path, meant, &word, err));
    if (text_equal(activation, "gelu"))
        config->activation = GELU_TANH;
    if (!text_equal(word, "gelu_pytorch_tanh") || (json_string_value(json_object_get(json, meant)) && config->activation != GELU_TANH))
        return config_refuse(json, path, meant, "releases of transformers differ in what they make of it beside hidden_act",
                             "say what is meant in hidden_act and leave this key out", err);
    TRY(json_get_bool(json, path, "attention_bias", &attention_bias, err));
    config->shape.qkv_bias = attention_bias;
    config->shape.attention_out_bias = attention_bias;
    return OK;
}

const struct family family_gemma = {
    .model_type = "gemma",
    .base_class = "GemmaModel",
    .shape = { .one_plus = true, .embed_scaled = true },
    .defaults = { .vocab = 256000,
                  .width = 3072,
                  .mlp_width = 24576,
                  .layers = 28,
                  .heads = 16,
                  .kv_heads = 16,
                  .head_size = 256,
                  .max_positions = 8192,
                  .bos = 2,
                  .eos = 1,
                  .tied = true,
                  .activation = "gelu_pytorch_tanh" },
    LLAMA_NAMES,
    .free_heads = true,
    .keys = { "attention_bias", "hidden_activation" },
    .configure = configure,
};
