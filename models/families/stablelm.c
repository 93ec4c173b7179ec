/* StableLM 3B 4E1T, StableLM 2, StableLM Zephyr: Llama with LayerNorm, rotary positions in part of each head, perhaps biases on q, k and v, and perhaps the MLP
 * beside attention behind the same norm.
 */
#include "models/families/llama_like.h"
#include "models/hf_config.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    static const char head_norms[] = "qk_layernorm";
    bool parallel = false;
    if (!config_is_trivial(json_object_get(json, head_norms)))
        return config_refuse(json, path, head_norms, "every head would have a norm of its own, with weights of its own, which graft does not compute",
                             "use a model of this family without it, such as StableLM 2 1.6B", err);
    TRY(json_get_bool(json, path, "use_qkv_bias", &config->shape.qkv_bias, err));
    TRY(json_get_bool(json, path, "use_parallel_residual", &parallel, err));
    config->shape.parallel = parallel;
    config->shape.one_norm = parallel;
    return OK;
}

const struct family family_stablelm = {
    .model_type = "stablelm",
    .base_class = "StableLmModel",
    .shape = { .norm = LAYERNORM, .norm_bias = true },
    .defaults = { .vocab = 50304,
                  .width = 2560,
                  .mlp_width = 6912,
                  .layers = 32,
                  .heads = 32,
                  .kv_heads = 32,
                  .max_positions = 4096,
                  .bos = 0,
                  .eos = 0,
                  .pad = -1,
                  .norm_eps = 1e-5,
                  .rotary_part = 0.25 },
    .spelling = { [KEY_EPS] = { "layer_norm_eps" } },
    LLAMA_NAMES,
    .keys = { "use_qkv_bias", "qk_layernorm", "use_parallel_residual" },
    .configure = configure,
};
