/* GPT-2: LayerNorm with bias, a table of positions, queries, keys and values of one layer, and files that hold the layers of a block the other way round
 * (Conv1D). Published files lack the prefix of their names. */
#include "models/families/gpt_like.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool scaled = true;
    TRY(json_get_bool(json, path, "scale_attn_weights", &scaled, err));
    if (!scaled)
        config->attention_scale = 1;
    return json_get_bool(json, path, "scale_attn_by_inverse_layer_idx", &config->shape.depth_scaled, err);
}

const struct family family_gpt2 = {
    .model_type = "gpt2",
    .base_class = "GPT2Model",
    GPT_WITH_TABLE("gelu_new"),
    .keys = { "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "n_ctx" },
    .transposed = true,
    .configure = configure,
};
