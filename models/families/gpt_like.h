/* What GPT-2 and the families that grew from its code have in common, as initialisers for struct family: how they spell sizes, and the
 * rows of those that differ in little else. */
#ifndef GRAFT_MODELS_FAMILIES_GPT_LIKE_H
#define GRAFT_MODELS_FAMILIES_GPT_LIKE_H

#include "models/family.h"

#define GPT_SPELLING                                                                                                                                           \
    .spelling = {                                                                                                                                              \
        [KEY_WIDTH] = { "n_embd" },                                                                                                                            \
        [KEY_MLP_WIDTH] = { "n_inner" },                                                                                                                       \
        [KEY_LAYERS] = { "n_layer" },                                                                                                                          \
        [KEY_HEADS] = { "n_head" },                                                                                                                            \
        [KEY_POSITIONS] = { "n_positions" },                                                                                                                   \
        [KEY_EPS] = { "layer_norm_epsilon" },                                                                                                                  \
        [KEY_ACTIVATION] = { "activation_function" },                                                                                                          \
    }

/* GPT-2 and GPT-BigCode: a table of positions, queries, keys and values of one layer. curve: the activation where config.json is silent. */
#define GPT_WITH_TABLE(curve)                                                                                                                                  \
    .shape = { .norm = LAYERNORM, \
               .norm_bias = true, \
               .positions = LEARNED, \
               .plain_mlp = true, \
               .qkv_blocks = 1, \
               .qkv_bias = true, \
               .attention_out_bias = true, \
               .mlp_bias = true }, \
    .defaults = { .vocab = 50257, \
                  .width = 768, \
                  .layers = 12, \
                  .heads = 12, \
                  .max_positions = 1024, \
                  .bos = 50256, \
                  .eos = 50256, \
                  .tied = true, \
                  .norm_eps = 1e-5, \
                  .activation = curve }, \
    GPT_SPELLING, \
    .embed = "transformer.wte", \
    .position_table = "transformer.wpe", \
    .final_norm = "transformer.ln_f", \
    .head = "lm_head", \
    .norm = { "transformer.h.%d.ln_1", "transformer.h.%d.ln_2" }, \
    .projection = { \
        [QKV]           = "transformer.h.%d.attn.c_attn", \
        [ATTENTION_OUT] = "transformer.h.%d.attn.c_proj", \
        [UP]            = "transformer.h.%d.mlp.c_fc", \
        [DOWN]          = "transformer.h.%d.mlp.c_proj", \
    }, \
    .ignored = { ".attn.bias", ".attn.masked_bias" }, \
    .lora_targets = { "c_attn" }, \
    .drops = { "resid_pdrop", "embd_pdrop", "attn_pdrop" }

/* GPT-J and CodeGen: attention and MLP side by side behind one norm. */
#define GPT_BESIDE                                                                                                                                             \
    .defaults = { .vocab = 50400,                                                                                                                              \
                  .width = 4096,                                                                                                                               \
                  .layers = 28,                                                                                                                                \
                  .heads = 16,                                                                                                                                 \
                  .max_positions = 2048,                                                                                                                       \
                  .bos = 50256,                                                                                                                                \
                  .eos = 50256,                                                                                                                                \
                  .norm_eps = 1e-5,                                                                                                                            \
                  .activation = "gelu_new" },                                                                                                                  \
    GPT_SPELLING, .embed = "transformer.wte", .final_norm = "transformer.ln_f", .head = "lm_head", .norm = { "transformer.h.%d.ln_1" }

#endif
