/* OPT and Galactica's like: LayerNorm with bias, a table of positions whose first two rows no text reaches, ReLU, biases everywhere or (enable_bias false)
 * none.
 *
 * What only opt-350m has, norms behind the residual and an embedding narrower than the model, is refused.
 */
#include "models/hf_config.h"

enum { FIRST_POSITION = 2 };

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    static const char supported[] = "use a model of this family without it: all but opt-350m";
    bool biases = true, norm_before = true, affine = true, no_last_norm = false;
    int64_t embed_width = config->width;
    TRY(json_get_bool(json, path, "do_layer_norm_before", &norm_before, err));
    TRY(json_get_int(json, path, "word_embed_proj_dim", 1, INT32_MAX, &embed_width, err));
    TRY(json_get_bool(json, path, "layer_norm_elementwise_affine", &affine, err));
    TRY(json_get_bool(json, path, "_remove_final_layer_norm", &no_last_norm, err));
    TRY(json_get_bool(json, path, "enable_bias", &biases, err));
    if (!norm_before)
        return config_refuse(json, path, "do_layer_norm_before", "norms stand before attention and MLP here", supported, err);
    if (embed_width != config->width)
        return config_refuse(json, path, "word_embed_proj_dim", "the embedding is as wide as the model here", supported, err);
    if (!affine)
        return config_refuse(json, path, "layer_norm_elementwise_affine", "norms have weights here", supported, err);
    if (no_last_norm)
        return config_refuse(json, path, "_remove_final_layer_norm", "the last layer has a norm behind it here", supported, err);
    config->norm_eps = 1e-5;
    config->first_position = FIRST_POSITION;
    config->shape.qkv_bias = biases;
    config->shape.attention_out_bias = biases;
    config->shape.mlp_bias = biases;
    return OK;
}

const struct family family_opt = {
    .model_type = "opt",
    .base_class = "OPTModel",
    .shape = { .norm = LAYERNORM, .norm_bias = true, .positions = LEARNED, .plain_mlp = true },
    .defaults = { .vocab = 50272,
                  .width = 768,
                  .mlp_width = 3072,
                  .layers = 12,
                  .heads = 12,
                  .max_positions = 2048,
                  .bos = 2,
                  .eos = 2,
                  .pad = 1,
                  .tied = true,
                  .activation = "relu" },
    .spelling = { [KEY_MLP_WIDTH] = { "ffn_dim" }, [KEY_ACTIVATION] = { "activation_function" } },
    .embed = "model.decoder.embed_tokens",
    .position_table = "model.decoder.embed_positions",
    .final_norm = "model.decoder.final_layer_norm",
    .head = "lm_head",
    .norm = { "model.decoder.layers.%d.self_attn_layer_norm", "model.decoder.layers.%d.final_layer_norm" },
    .projection = {
        [Q]             = "model.decoder.layers.%d.self_attn.q_proj",
        [K]             = "model.decoder.layers.%d.self_attn.k_proj",
        [V]             = "model.decoder.layers.%d.self_attn.v_proj",
        [ATTENTION_OUT] = "model.decoder.layers.%d.self_attn.out_proj",
        [UP]            = "model.decoder.layers.%d.fc1",
        [DOWN]          = "model.decoder.layers.%d.fc2",
    },
    .lora_targets = { "q_proj", "v_proj" },
    .padded = true,
    .drops = { "dropout" },
    .keys = { "do_layer_norm_before", "word_embed_proj_dim", "layer_norm_elementwise_affine", "_remove_final_layer_norm", "enable_bias", "init_std" },
    .configure = configure,
};
