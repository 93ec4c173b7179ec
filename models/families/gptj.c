/* GPT-J: attention and MLP side by side behind one norm, rotary positions of neighbouring dimensions in part of each head, a head with bias. */
#include "models/families/gpt_like.h"
#include "models/hf_config.h"

const struct family family_gptj = {
    .model_type = "gptj",
    .base_class = "GPTJModel",
    .shape = { .norm = LAYERNORM,
               .norm_bias = true,
               .pairs = NEIGHBOURS,
               .parallel = true,
               .one_norm = true,
               .plain_mlp = true,
               .mlp_bias = true,
               .head_bias = true },
    GPT_BESIDE,
    .projection = {
        [Q]             = "transformer.h.%d.attn.q_proj",
        [K]             = "transformer.h.%d.attn.k_proj",
        [V]             = "transformer.h.%d.attn.v_proj",
        [ATTENTION_OUT] = "transformer.h.%d.attn.out_proj",
        [UP]            = "transformer.h.%d.mlp.fc_in",
        [DOWN]          = "transformer.h.%d.mlp.fc_out",
    },
    .ignored = { ".attn.bias", ".attn.masked_bias" },
    .lora_targets = { "q_proj", "v_proj" },
    .keys = { "rotary_dim", "n_ctx", "scale_attn_weights", "rotary" },
    .configure = config_read_rotary_dim,
};
