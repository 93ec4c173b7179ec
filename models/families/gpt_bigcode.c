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
    GPT_WITH_TABLE("gelu_pytorch_tanh"),
    /* how numbers are rounded in half precision, and what no forward reads */
    .keys = { "scale_attn_weights", "multi_query", "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "inference_runner", "max_batch_size",
              "pad_key_length", "pre_allocate_kv_cache", "validate_runner_input", "n_ctx" },
    .configure = configure,
};
