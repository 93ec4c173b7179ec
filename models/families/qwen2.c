/* Qwen2 and Qwen2.5: Llama with a bias on q, k and v, and perhaps a sliding window (qwen_like.h). */
#include "models/families/qwen_like.h"

enum status qwen_read_window(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool use = false;
    int64_t window = json_is_null(json_object_get(json, "sliding_window")) ? 0 : 4096, windowed = 0;
    config->full_layers = 28;
    TRY(json_get_bool(json, path, "use_sliding_window", &use, err));
    TRY(json_get_int(json, path, "sliding_window", 1, INT32_MAX, &window, err));
    TRY(json_get_int(json, path, "max_window_layers", 0, INT32_MAX, &config->full_layers, err));
    config->window = use ? (int)window : 0;
    for (int64_t layer = 0; layer < config->layers; layer++)
        windowed += model_window(config, layer) > 0;
    config->window = windowed > 0 ? config->window : 0;
    return OK;
}

const struct family family_qwen2 = {
    .model_type = "qwen2",
    .base_class = "Qwen2Model",
    .shape = { .qkv_bias = true },
    .defaults = { .vocab = 151936,
                  .width = 4096,
                  .mlp_width = 22016,
                  .layers = 32,
                  .heads = 32,
                  .kv_heads = 32,
                  .max_positions = 32768,
                  .bos = -1,
                  .eos = -1,
                  .pad = -1 },
    LLAMA_NAMES,
    .free_heads = true,
    .layers_differ = true,
    .keys = { QWEN_WINDOW_KEYS },
    .configure = qwen_read_window,
};
