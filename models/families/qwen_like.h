/* What Qwen2 and Qwen3 have in common beside Llama's names: where a sliding window counts. */
#ifndef GRAFT_MODELS_FAMILIES_QWEN_LIKE_H
#define GRAFT_MODELS_FAMILIES_QWEN_LIKE_H

#include "models/families/llama_like.h"
#include "models/hf_config.h"

#define QWEN_WINDOW_KEYS "use_sliding_window", "sliding_window", "max_window_layers"

/* config->window. A sliding window counts only where use_sliding_window is true, and then for the layers from max_window_layers on (or those that layer_types
 * lists). */
enum status qwen_read_window(struct model_config *config, const json_t *json, const char *path, struct error *err) MUST_USE;

#endif
