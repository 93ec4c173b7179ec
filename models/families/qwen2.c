/* Qwen2 and Qwen2.5: Llama with a bias on q, k and v, and perhaps a sliding window (qwen_like.h). */
#include "models/families/qwen_like.h"

enum status qwen_read_window(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool use = false;
    int64_t window = json_is_null(json_object_get(json, "sliding_window")) ? 0 : 4096, full_layers = 28;
    enum layer_types types;
    TRY(json_get_bool(json, path, "use_sliding_window", &use, err));
    TRY(json_get_int(json, path, "sliding_window", 1, INT32_MAX, &window, err));
    TRY(json_get_int(json, path, "max_window_layers", 0, INT32_MAX, &full_layers, err));
    TRY(config_read_layer_types(config, json, path, &types, err));
    if (!use || window == 0 || types == LAYER_TYPES_FULL)
        return OK;
    if (types == LAYER_TYPES_ABSENT && full_layers >= config->layers)
        return OK;
    if (types == LAYER_TYPES_ABSENT && full_layers > 0)
        return config_refuse(json, path, "max_window_layers",
                             "only the layers from there on would have a sliding window, and graft computes one for all layers",
                             "use a model without a sliding window", err);
    config->window = (int)window;
    return OK;
}

const struct family family_qwen2 = {
    .model_type = "qwen2",
    .base_class = "Qwen2Model",
    .shape = { .qkv_bias = true },
    .defaults = { .vocab = 151936, .width = 4096, .mlp_width = 22016, .layers = 32, .heads = 32, .kv_heads = 32, .max_positions = 32768, .bos = -1, .eos = -1 },
    LLAMA_NAMES,
    .free_heads = true,
    .keys = { QWEN_WINDOW_KEYS },
    .configure = qwen_read_window,
};
