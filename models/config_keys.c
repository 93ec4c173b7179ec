/* Which keys of config.json are harmless, which change the mathematics, and what is said about the rest.
 *
 * A key is known because graft reads it, because it never reaches the forward pass, or because it would change the forward pass and is therefore refused
 * unless its value says nothing. Anything else is named in one warning: it may be nothing, or a variant of the family that only its author's code computes.
 */
#include "models/hf_config.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

/* Words between blanks. */
static const char read_elsewhere[] =
    " model_type architectures vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads"
    " head_dim hidden_act max_position_embeddings rms_norm_eps tie_word_embeddings rope_theta rope_scaling rope_parameters"
    " original_max_position_embeddings layer_types dtype torch_dtype bos_token_id eos_token_id pad_token_id ";

static const char of_libraries[] =
    " _name_or_path name_or_path _commit_hash transformers_version initializer_range use_cache pretraining_tp tokenizer_class"
    " unk_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id max_sequence_length model_max_length output_attentions"
    " output_hidden_states return_dict use_return_dict torchscript use_bfloat16 tf_legacy_loss finetuning_task problem_type id2label"
    " label2id num_labels task_specific_params is_decoder tie_encoder_decoder cross_attention_hidden_size chunk_size_feed_forward"
    " gradient_checkpointing attn_implementation _attn_implementation _attn_implementation_autoset _flash_attn_2_enabled"
    " use_flash_attention_2 keys_to_ignore_at_inference prefix ";

static const char of_generation[] =
    " max_length max_new_tokens min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p"
    " typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences"
    " output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values"
    " exponential_decay_length_penalty suppress_tokens begin_suppress_tokens ";

/* Keys that change what is computed, and the value that leaves it as it is (besides null or absence). */
struct decisive {
    const char *key;
    enum { NOTHING, ONE, TRUE } neutral;
    const char *what, *cure;
};

static const char quantised[] = "graft computes with float32, bfloat16 and float16 weights only";
static const char experts[] = "mixtures of experts are not computed";
static const char scaled[] = "graft does not compute this scaling";
static const char capped[] = "graft does not compute this";
static const char dropped[] = "dropout inside the base model is not computed, and transformers would apply it in training";
static const char use_plain[] = "use the unquantised model that it was made from";
static const char use_dense[] = "use a dense model";
static const char set_zero[] = "set it to 0 in config.json: it plays no part in evaluation";
static const char use_supported[] = "use a model of a supported family without this feature";

static const struct decisive decisive[] = {
    { "quantization_config", NOTHING, quantised, use_plain },
    { "compression_config", NOTHING, quantised, use_plain },
    { "num_experts", NOTHING, experts, use_dense },
    { "num_local_experts", NOTHING, experts, use_dense },
    { "n_routed_experts", NOTHING, experts, use_dense },
    { "num_experts_per_tok", NOTHING, experts, use_dense },
    { "moe_intermediate_size", NOTHING, experts, use_dense },
    { "attention_dropout", NOTHING, dropped, set_zero },
    { "hidden_dropout", NOTHING, dropped, set_zero },
    { "resid_pdrop", NOTHING, dropped, set_zero },
    { "embd_pdrop", NOTHING, dropped, set_zero },
    { "attn_pdrop", NOTHING, dropped, set_zero },
    { "partial_rotary_factor", ONE, "every dimension of a head is rotated", use_supported },
    { "rotary_pct", ONE, "every dimension of a head is rotated", use_supported },
    { "embedding_multiplier", ONE, scaled, use_supported },
    { "residual_multiplier", ONE, scaled, use_supported },
    { "attention_multiplier", ONE, scaled, use_supported },
    { "logits_scaling", ONE, scaled, use_supported },
    { "logit_scale", ONE, scaled, use_supported },
    { "scale_emb", ONE, scaled, use_supported },
    { "final_logit_softcapping", NOTHING, capped, use_supported },
    { "attn_logit_softcapping", NOTHING, capped, use_supported },
    { "clip_qkv", NOTHING, capped, use_supported },
    { "qk_norm", NOTHING, capped, use_supported },
    { "use_qk_norm", NOTHING, capped, use_supported },
    { "use_parallel_residual", NOTHING, capped, use_supported },
    { "alibi", NOTHING, capped, use_supported },
    { "no_rope_layers", NOTHING, capped, use_supported },
    { "per_layer_config", NOTHING, "all layers are alike here", use_supported },
    { "pruned_heads", NOTHING, "heads cannot be left out", use_supported },
    { "kv_lora_rank", NOTHING, "graft does not compute latent attention", use_supported },
    { "text_config", NOTHING, "graft reads models of text alone", use_supported },
    { "vision_config", NOTHING, "graft reads models of text alone", use_supported },
    { "audio_config", NOTHING, "graft reads models of text alone", use_supported },
    { "is_encoder_decoder", NOTHING, "this family has no encoder", use_supported },
    { "add_cross_attention", NOTHING, "this family has no encoder", use_supported },
    { "is_causal", TRUE, "every token sees only what stands before it", use_supported },
    { "use_bidirectional_attention", NOTHING, "every token sees only what stands before it", use_supported },
    { "scale_attn_by_inverse_layer_idx", NOTHING, scaled, use_supported },
};

bool config_is_trivial(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_INTEGER:
        return json_integer_value(value) == 0;
    case JSON_REAL:
        return json_real_value(value) == 0;
    case JSON_TRUE:
        return false;
    default:
        return true;
    }
}

static bool is_neutral(const struct decisive *row, const json_t *value)
{
    if (!value || json_is_null(value))
        return true;
    if (row->neutral == ONE)
        return json_is_number(value) && json_number_value(value) == 1;
    if (row->neutral == TRUE)
        return json_is_true(value);
    return config_is_trivial(value);
}

enum status config_refuse(const json_t *object, const char *path, const char *key, const char *what, const char *cure, struct error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return fail_with(err, BAD_MODEL, "%s: key '%s' is absent: %s", cure, path, key, what);
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    fail_with(err, BAD_MODEL, "%s: key '%s' = %.100s%s: %s", cure, path, key, dump ? dump : "?", dump && strlen(dump) > 100 ? "..." : "", what);
    free(dump);
    return BAD_MODEL;
}

static bool is_word(const char *key, const char *words)
{
    char word[80];
    snprintf(word, sizeof word, " %.70s ", key);
    return strstr(words, word) != NULL;
}

static bool is_known(const char *key, const struct family *family)
{
    for (size_t i = 0; i < COUNT(decisive); i++)
        if (text_equal(decisive[i].key, key))
            return true;
    for (size_t i = 0; i < COUNT(family->keys) && family->keys[i]; i++)
        if (text_equal(family->keys[i], key))
            return true;
    return is_word(key, read_elsewhere) || is_word(key, of_libraries) || is_word(key, of_generation);
}

static void name_unknown(struct arena *arena, const json_t *json, const char *path, const struct family *family)
{
    const char *key;
    json_t *value;
    struct text list = text_new(arena);
    enum { LISTED = 12 };
    int count = 0;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        if (config_is_trivial(value) || is_known(key, family))
            continue;
        if (count++ < LISTED)
            text_print(&list, "%s%.60s", count > 1 ? ", " : "", key);
    }
    if (count > LISTED)
        text_print(&list, " and %d more", count - LISTED);
    if (count > 0)
        warn("%s: unknown keys are ignored, as transformers' %s does: %s", path, family->model_type, list.bytes);
}

enum status config_check_keys(struct arena *arena, const json_t *json, const char *path, const struct family *family, struct error *err)
{
    for (size_t i = 0; i < COUNT(decisive); i++)
        if (!is_neutral(&decisive[i], json_object_get(json, decisive[i].key)))
            return config_refuse(json, path, decisive[i].key, decisive[i].what, decisive[i].cure, err);
    name_unknown(arena, json, path, family);
    return OK;
}
