/* Phi-3 mini and medium, Phi-4: Llama with queries, keys and values in one layer, gate and up in another, perhaps rotary positions in part of each head and a
 * sliding window over all layers.
 *
 * The models of 128000 positions have rope_type longrope (su, in older files), which is refused; yarn means longrope in this family.
 */
#include "models/families/llama_like.h"
#include "models/hf_config.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    int64_t window = 0;
    if (config->rope.type != ROPE_DEFAULT)
        return config_refuse(json, path, config_is_trivial(json_object_get(json, "rope_scaling")) ? "rope_parameters" : "rope_scaling",
                             "this family has plain rotary positions or longrope, and graft does not compute longrope",
                             "use the model of 4096 positions that has none", err);
    TRY(json_get_int(json, path, "sliding_window", 1, INT32_MAX, &window, err));
    config->window = (int)window;
    return OK;
}

const struct family family_phi3 = {
    .model_type = "phi3",
    .base_class = "Phi3Model",
    .shape = { .fused_mlp = true, .qkv_blocks = 1 },
    .defaults = { .vocab = 32064,
                  .width = 3072,
                  .mlp_width = 8192,
                  .layers = 32,
                  .heads = 32,
                  .max_positions = 4096,
                  .bos = 1,
                  .eos = 32000,
                  .pad = 32000,
                  .norm_eps = 1e-5,
                  .rotary_part = 1 },
    LLAMA_FRAME,
    .projection = {
        [QKV]           = "model.layers.%d.self_attn.qkv_proj",
        [ATTENTION_OUT] = "model.layers.%d.self_attn.o_proj",
        [GATE_UP]       = "model.layers.%d.mlp.gate_up_proj",
        [DOWN]          = "model.layers.%d.mlp.down_proj",
    },
    .keys = { "sliding_window" },
    .configure = configure,
};
