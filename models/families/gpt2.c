/* GPT-2: LayerNorm with bias, a table of positions, queries, keys and values of one layer, and files that hold the layers of a block the other way round
 * (Conv1D). Published files lack the prefix of their names. */
#include "models/families/gpt_like.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool scaled = true;
    TRY(json_get_bool(json, path, "scale_attn_weights", &scaled, err));
    if (!scaled)
        config->attention_scale = 1;
    return OK;
}

const struct family family_gpt2 = {
    .model_type = "gpt2",
    .base_class = "GPT2Model",
    .shape = { .norm = LAYERNORM,
               .norm_bias = true,
               .positions = LEARNED,
               .plain_mlp = true,
               .qkv_blocks = 1,
               .qkv_bias = true,
               .attention_out_bias = true,
               .mlp_bias = true },
    .defaults = { .vocab = 50257,
                  .width = 768,
                  .layers = 12,
                  .heads = 12,
                  .max_positions = 1024,
                  .bos = 50256,
                  .eos = 50256,
                  .tied = true,
                  .norm_eps = 1e-5,
                  .activation = "gelu_new" },
    GPT_SPELLING,
    .embed = "transformer.wte",
    .position_table = "transformer.wpe",
    .final_norm = "transformer.ln_f",
    .head = "lm_head",
    .norm = { "transformer.h.%d.ln_1", "transformer.h.%d.ln_2" },
    .projection = {
        [QKV]           = "transformer.h.%d.attn.c_attn",
        [ATTENTION_OUT] = "transformer.h.%d.attn.c_proj",
        [UP]            = "transformer.h.%d.mlp.c_fc",
        [DOWN]          = "transformer.h.%d.mlp.c_proj",
    },
    .ignored = { ".attn.bias", ".attn.masked_bias" },
    .lora_targets = { "c_attn" },
    .drops = { "resid_pdrop", "embd_pdrop", "attn_pdrop" },
    .keys = { "scale_attn_weights", "reorder_and_upcast_attn", "n_ctx" },
    .transposed = true,
    .configure = configure,
};
