/* Mistral 7B and its like: Llama with a sliding window over all layers, and no biases.
 *
 * A configuration that says nothing about the window has one of 4096; only an explicit null means none.
 */
#include "models/families/llama_like.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    int64_t window = json_is_null(json_object_get(json, "sliding_window")) ? 0 : 4096;
    TRY(json_get_int(json, path, "sliding_window", 1, INT32_MAX, &window, err));
    config->window = (int)window;
    return OK;
}

const struct family family_mistral = {
    .model_type = "mistral",
    .base_class = "MistralModel",
    .defaults = { .vocab = 32000,
                  .width = 4096,
                  .mlp_width = 14336,
                  .layers = 32,
                  .heads = 32,
                  .kv_heads = 8,
                  .max_positions = 131072,
                  .bos = 1,
                  .eos = 2,
                  .pad = -1 },
    LLAMA_NAMES,
    .free_heads = true,
    .keys = { "sliding_window" },
    .configure = configure,
};
