/* Which keys of config.json are harmless, which change the mathematics, and what is said about the rest.
 *
 * A key is known because graft reads it, because it never reaches the forward pass, or because it would change the forward pass and is therefore refused
 * unless its value says nothing. Anything else is named in one warning: it may be nothing, or a variant of the family that only its author's code computes.
 */
#include "models/hf_config.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

static const char *const usual[CONFIG_KEYS] = {
    [KEY_WIDTH] = "hidden_size",          [KEY_MLP_WIDTH] = "intermediate_size",  [KEY_LAYERS] = "num_hidden_layers",
    [KEY_HEADS] = "num_attention_heads",  [KEY_KV_HEADS] = "num_key_value_heads", [KEY_POSITIONS] = "max_position_embeddings",
    [KEY_EPS] = "rms_norm_eps",           [KEY_ACTIVATION] = "hidden_act",        [KEY_THETA] = "rope_theta",
    [KEY_PART] = "partial_rotary_factor",
};

/* Words between blanks. */
static const char read_elsewhere[] = " model_type architectures vocab_size head_dim tie_word_embeddings rope_scaling rope_parameters"
                                     " original_max_position_embeddings layer_types dtype torch_dtype bos_token_id eos_token_id pad_token_id ";

static const char of_libraries[] =
    " _name_or_path name_or_path _commit_hash transformers_version initializer_range use_cache pretraining_tp tokenizer_class"
    " unk_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id max_sequence_length model_max_length output_attentions"
    " output_hidden_states return_dict use_return_dict torchscript use_bfloat16 tf_legacy_loss finetuning_task problem_type id2label"
    " label2id num_labels task_specific_params is_decoder tie_encoder_decoder cross_attention_hidden_size chunk_size_feed_forward"
    " gradient_checkpointing attn_implementation _attn_implementation _attn_implementation_autoset _flash_attn_2_enabled"
    " use_flash_attention_2 keys_to_ignore_at_inference prefix summary_activation summary_first_dropout summary_proj_to_labels summary_type"
    " summary_use_proj classifier_dropout ";

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
static const char dropped[] = "dropout";
static const char use_plain[] = "use the unquantised model that it was made from";
static const char use_dense[] = "use a dense model";
static const char use_supported[] = "use a model of a supported family without this feature";

static const struct decisive decisive[] = {
    { "quantization_config", NOTHING, quantised, use_plain },
    { "compression_config", NOTHING, quantised, use_plain },
    { "num_experts", NOTHING, experts, use_dense },
    { "num_local_experts", NOTHING, experts, use_dense },
    { "n_routed_experts", NOTHING, experts, use_dense },
    { "num_experts_per_tok", NOTHING, experts, use_dense },
    { "moe_intermediate_size", NOTHING, experts, use_dense },
    { "attention_dropout", NOTHING, dropped, "" },
    { "hidden_dropout", NOTHING, dropped, "" },
    { "resid_pdrop", NOTHING, dropped, "" },
    { "embd_pdrop", NOTHING, dropped, "" },
    { "attn_pdrop", NOTHING, dropped, "" },
    { "emb_pdrop", NOTHING, dropped, "" },
    { "dropout", NOTHING, dropped, "" },
    { "layerdrop", NOTHING, dropped, "" },
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
    { "query_pre_attn_scalar", NOTHING, scaled, use_supported },
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

/* What transformers reads under a family's own name alone; of sizes it takes both names. */
static bool is_exclusive(enum config_key key)
{
    return key == KEY_EPS || key == KEY_ACTIVATION || key == KEY_THETA;
}

enum status config_spelling(const struct family *family, const json_t *json, const char *path, enum config_key key, const char **name, struct error *err)
{
    const char *const *own = family->spelling[key];
    const char *names[SPELLINGS + 1] = { is_exclusive(key) && own[0] ? NULL : usual[key], own[0], own[1] }, *found = NULL;
    for (size_t i = 0; i < COUNT(names); i++) {
        const json_t *value = names[i] ? json_object_get(json, names[i]) : NULL;
        if (!value || json_is_null(value))
            continue;
        if (found && !json_equal((json_t *)(uintptr_t)json_object_get(json, found), (json_t *)(uintptr_t)value))
            return config_refuse(json, path, found, "the same under another name in this file differs", "leave one of the two in config.json", err);
        found = names[i];
    }
    *name = found ? found : own[0] ? own[0] : usual[key];
    return OK;
}

static bool is_word(const char *key, const char *words)
{
    char word[80];
    snprintf(word, sizeof word, " %.70s ", key);
    return strstr(words, word) != NULL;
}

bool config_is_of_library(const char *key)
{
    return is_word(key, of_libraries) || is_word(key, of_generation) || is_word(key, " dtype torch_dtype architectures model_type ");
}

/* Whether this family reads a key by itself, under whatever spelling. */
static bool is_of_family(const char *key, const struct family *family)
{
    for (size_t i = 0; i < COUNT(family->keys) && family->keys[i]; i++)
        if (text_equal(family->keys[i], key))
            return true;
    for (int k = 0; k < CONFIG_KEYS; k++)
        for (int i = 0; i < SPELLINGS && family->spelling[k][i]; i++)
            if (text_equal(family->spelling[k][i], key))
                return true;
    return text_equal(key, usual[KEY_PART]) && family->defaults.rotary_part > 0;
}

static bool is_known(const char *key, const struct family *family)
{
    for (int k = 0; k < CONFIG_KEYS; k++)
        if (text_equal(usual[k], key))
            return true;
    for (size_t i = 0; i < COUNT(decisive); i++)
        if (text_equal(decisive[i].key, key))
            return true;
    return is_of_family(key, family) || is_word(key, read_elsewhere) || config_is_of_library(key);
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

const char *config_dropout(const json_t *json, const struct family *family)
{
    for (size_t i = 0; i < COUNT(family->drops) && family->drops[i]; i++)
        if (!json_object_get(json, family->drops[i]))
            return family->drops[i];
    for (size_t i = 0; i < COUNT(decisive); i++)
        if (decisive[i].what == dropped && !is_neutral(&decisive[i], json_object_get(json, decisive[i].key)))
            return decisive[i].key;
    return NULL;
}

enum status config_check_keys(struct arena *arena, const json_t *json, const char *path, const struct family *family, struct error *err)
{
    for (size_t i = 0; i < COUNT(decisive); i++)
        if (decisive[i].what != dropped && !is_of_family(decisive[i].key, family) && !is_neutral(&decisive[i], json_object_get(json, decisive[i].key)))
            return config_refuse(json, path, decisive[i].key, decisive[i].what, decisive[i].cure, err);
    name_unknown(arena, json, path, family);
    return OK;
}
