/* What Llama and the families after it have in common, as initialisers for struct family: the names of their tensors, of all of them or of those around the
 * layers of a block alone, and where PEFT puts a LoRA by default. */
#ifndef GRAFT_MODELS_FAMILIES_LLAMA_LIKE_H
#define GRAFT_MODELS_FAMILIES_LLAMA_LIKE_H

#include "models/family.h"

#define LLAMA_FRAME                                                                                                                                            \
    .embed = "model.embed_tokens", .final_norm = "model.norm", .head = "lm_head",                                                                              \
    .norm = { "model.layers.%d.input_layernorm", "model.layers.%d.post_attention_layernorm" }, .ignored = { "rotary_emb.inv_freq" }, .padded = true

#define LLAMA_NAMES                                                                                                                                            \
    LLAMA_FRAME,                                                                                                                                               \
        .projection = {                                                                                                                                        \
            [Q]             = "model.layers.%d.self_attn.q_proj",                                                                                              \
            [K]             = "model.layers.%d.self_attn.k_proj",                                                                                              \
            [V]             = "model.layers.%d.self_attn.v_proj",                                                                                              \
            [ATTENTION_OUT] = "model.layers.%d.self_attn.o_proj",                                                                                              \
            [GATE]          = "model.layers.%d.mlp.gate_proj",                                                                                                 \
            [UP]            = "model.layers.%d.mlp.up_proj",                                                                                                   \
            [DOWN]          = "model.layers.%d.mlp.down_proj",                                                                                                 \
        },                                                                                                                                                     \
        .lora_targets = { "q_proj", "v_proj" }

#endif
