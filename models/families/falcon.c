/* Falcon and OpenAssistant's fine-tunes of it, three shapes of one family:
 *
 *     7B        attention and MLP side by side behind one norm, one key head for all queries
 *     40B, 180B side by side behind a norm each (or one, num_ln_in_parallel_attn 1), some key heads, each behind its queries (new_decoder_architecture)
 *     rw        one behind the other, a key head for every query, perhaps ALiBi and biases
 *
 * Files of the time before transformers knew the family say RefinedWeb (then with n_head_kv for the new architecture) or RefinedWebModel.
 */
#include "common/text.h"
#include "models/hf_config.h"

static const char cure[] = "correct config.json";

static enum status read_norms(struct model_config *config, const json_t *json, const char *path, bool new, bool parallel, struct error *err)
{
    static const char key[] = "num_ln_in_parallel_attn";
    struct shape *shape = &config->shape;
    int64_t norms = new ? 2 : 1;
    TRY(json_get_int(json, path, key, 1, 2, &norms, err));
    if (new && !parallel)
        return config_refuse(json, path, "parallel_attn", "with new_decoder_architecture attention and MLP are side by side", cure, err);
    if (!new &&norms == 2)
        return config_refuse(json, path, key, "two norms are of new_decoder_architecture alone", cure, err);
    shape->parallel = parallel;
    shape->one_norm = parallel && norms == 1;
    if (norms == 2) {
        config->norm[0] = "transformer.h.%d.ln_attn";
        config->norm[1] = "transformer.h.%d.ln_mlp";
    }
    return OK;
}

static enum status configure(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    static const char residual[] = "apply_residual_connection_post_layernorm";
    struct shape *shape = &config->shape;
    bool old_40b = text_equal(json_string_value(json_object_get(json, "model_type")), "RefinedWeb") && json_object_get(json, "n_head_kv");
    bool new = old_40b, multi_query = true, parallel = true, bias = false, alibi = false;
    TRY(json_get_bool(json, path, "new_decoder_architecture", &new, err));
    TRY(json_get_bool(json, path, "multi_query", &multi_query, err));
    TRY(json_get_bool(json, path, "parallel_attn", &parallel, err));
    TRY(json_get_bool(json, path, "bias", &bias, err));
    TRY(json_get_bool(json, path, "alibi", &alibi, err));
    if (!config_is_trivial(json_object_get(json, residual)))
        return config_refuse(json, path, residual, "residuals start before the norm here", "use a model of a supported family without this feature", err);
    TRY(read_norms(config, json, path, new, parallel, err));
    if (!new &&multi_query)
        config->kv_heads = 1; /* whatever the file says beside it */
    else if (!new && config->kv_heads != config->heads)
        return config_refuse(json, path, "num_kv_heads", "without multi_query and new_decoder_architecture every query has a key", cure, err);
    shape->qkv_blocks = config->kv_heads;
    shape->keys_spread = new && config->kv_heads < config->heads;
    shape->qkv_bias = shape->attention_out_bias = shape->mlp_bias = bias;
    if (alibi) {
        shape->positions = ALIBI;
        shape->coarse = true;
        config->rotary_size = 0;
    }
    return OK;
}

const struct family family_falcon = {
    .model_type = "falcon",
    .old_types = { "RefinedWeb", "RefinedWebModel" },
    .base_class = "FalconModel",
    .shape = { .norm = LAYERNORM, .norm_bias = true, .plain_mlp = true, .qkv_blocks = 1 },
    .defaults = { .vocab = 65024,
                  .width = 4544,
                  .layers = 32,
                  .heads = 71,
                  .max_positions = 2048,
                  .bos = 11,
                  .eos = 11,
                  .tied = true,
                  .norm_eps = 1e-5,
                  .activation = "gelu" },
    .spelling = { [KEY_WIDTH] = { "n_embed" },
                  [KEY_MLP_WIDTH] = { "ffn_hidden_size" },
                  [KEY_LAYERS] = { "n_layer" },
                  [KEY_HEADS] = { "n_head" },
                  [KEY_KV_HEADS] = { "num_kv_heads", "n_head_kv" },
                  [KEY_EPS] = { "layer_norm_epsilon" },
                  [KEY_ACTIVATION] = { "activation" } },
    .embed = "transformer.word_embeddings",
    .final_norm = "transformer.ln_f",
    .head = "lm_head",
    .norm = { "transformer.h.%d.input_layernorm", "transformer.h.%d.post_attention_layernorm" },
    .projection = {
        [QKV]           = "transformer.h.%d.self_attention.query_key_value",
        [ATTENTION_OUT] = "transformer.h.%d.self_attention.dense",
        [UP]            = "transformer.h.%d.mlp.dense_h_to_4h",
        [DOWN]          = "transformer.h.%d.mlp.dense_4h_to_h",
    },
    .ignored = { ".rotary_emb.inv_freq", ".rotary.inv_freq" },
    .lora_targets = { "query_key_value" },
    .keys = { "new_decoder_architecture", "multi_query", "parallel_attn", "bias", "alibi", "num_ln_in_parallel_attn",
              "apply_residual_connection_post_layernorm" },
    .configure = configure,
};
