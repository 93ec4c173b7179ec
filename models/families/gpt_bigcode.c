/* SantaCoder, StarCoder, StarChat: GPT-2 with ordinary layers and one key head for all queries (multi_query), or as many as queries, head by head. */
#include "models/families/gpt_like.h"

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    bool scaled = true, multi_query = true;
    TRY(json_get_bool(json, path, "scale_attn_weights", &scaled, err));
    TRY(json_get_bool(json, path, "multi_query", &multi_query, err));
    if (!scaled)
        config->attention_scale = 1;
    config->kv_heads = multi_query ? 1 : config->heads;
    config->shape.qkv_blocks = config->kv_heads;
    return OK;
}

const struct family family_gpt_bigcode = {
    .model_type = "gpt_bigcode",
    .base_class = "GPTBigCodeModel",
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
                  .activation = "gelu_pytorch_tanh" },
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
    /* how numbers are rounded in half precision, and what no forward reads */
    .keys = { "scale_attn_weights", "multi_query", "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "inference_runner", "max_batch_size",
              "pad_key_length", "pre_allocate_kv_cache", "validate_runner_input", "n_ctx" },
    .configure = configure,
};
