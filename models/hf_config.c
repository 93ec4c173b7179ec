/* config.json and generation_config.json become a struct model_config, or an error that names the key.
 *
 * Where a file is silent, what transformers assumes for that model_type holds (struct family carries those numbers). Sizes are bounded so that no product of
 * them can overflow: the widest tensor stays below 2^53 values and a whole model below 2^61.
 */
#include "models/hf_config.h"

#include <math.h>
#include <string.h>

enum { MAX_LAYERS = 1024, MAX_VOCAB = 1 << 28, MAX_WIDTH = 1 << 24, MAX_HEADS = 1 << 16 };

static enum status find_family(struct model_config *config, struct arena *arena, const json_t *json, const char *path, struct error *err)
{
    const char *model_type = NULL, *const *names = family_names();
    size_t count = 0;
    while (names[count])
        count++;
    TRY(json_get_text(json, path, "model_type", &model_type, err));
    config->family = model_type ? family_find(model_type) : NULL;
    if (!config->family) {
        enum status status = config_refuse(json, path, "model_type", "graft does not know this family", "", err);
        struct text list = text_new(arena);
        const char *nearest = model_type ? text_nearest(model_type, names, count) : NULL;
        for (size_t i = 0; i < count; i++)
            text_print(&list, "%s%s", i > 0 ? ", " : "", names[i]);
        cure_with(err, "the families are %s%s%s%s", list.bytes, nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        return status;
    }
    config->model_type = config->family->model_type;
    config->shape = config->family->shape;
    config->norm[0] = config->family->norm[0];
    config->norm[1] = config->family->norm[1];
    config->alibi_max = 8;
    return OK;
}

/* A sequence classifier has other outputs than the next token. */
static enum status check_architectures(const struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    const json_t *list = json_object_get(json, "architectures");
    if (config_is_trivial(list))
        return OK;
    bool fine = json_is_array(list);
    for (size_t i = 0; fine && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        fine = name && (text_ends(name, "ForCausalLM") || text_ends(name, "LMHeadModel") || text_equal(name, config->family->base_class));
    }
    if (!fine)
        return config_refuse(json, path, "architectures", "graft computes causal language models (...ForCausalLM)",
                             "use the language model that it was made from", err);
    return OK;
}

/* A size under whatever name the family gives it. */
static enum status read_size(const struct family *family, const json_t *json, const char *path, enum config_key key, int64_t most, int64_t *value,
                             struct error *err)
{
    const char *name;
    TRY(config_spelling(family, json, path, key, &name, err));
    return json_get_int(json, path, name, 1, most, value, err);
}

static enum status read_heads(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    const struct family *family = config->family;
    const char *kv_name, *width_name;
    TRY(config_spelling(family, json, path, KEY_KV_HEADS, &kv_name, err));
    TRY(config_spelling(family, json, path, KEY_WIDTH, &width_name, err));
    TRY(read_size(family, json, path, KEY_HEADS, MAX_HEADS, &config->heads, err));
    /* an explicit null means as many as heads, whatever the family assumes when the key is absent */
    bool own = json_object_get(json, kv_name) == NULL && family->defaults.kv_heads > 0;
    config->kv_heads = own ? family->defaults.kv_heads : config->heads;
    TRY(json_get_int(json, path, kv_name, 1, MAX_HEADS, &config->kv_heads, err));
    if (config->heads % config->kv_heads != 0)
        return config_refuse(json, path, kv_name, "num_attention_heads is no multiple of it", "correct config.json", err);
    const json_t *head_size = json_object_get(json, "head_dim");
    if (config_is_trivial(head_size) && !family->defaults.head_size && config->width % config->heads != 0)
        return config_refuse(json, path, width_name, "no multiple of num_attention_heads, and there is no head_dim", "correct config.json", err);
    if (family->defaults.head_size && json_is_null(head_size))
        return config_refuse(json, path, "head_dim", "this family has a size of its own where the key is absent, and null is none", "correct config.json", err);
    config->head_size = family->defaults.head_size ? family->defaults.head_size : config->width / config->heads;
    TRY(json_get_int(json, path, "head_dim", 1, MAX_HEADS, &config->head_size, err));
    if (config->heads * config->head_size > MAX_WIDTH)
        return config_refuse(json, path, "num_attention_heads", "heads times head_dim is more than 2^24", "correct config.json", err);
    if (!family->free_heads && config->heads * config->head_size != config->width)
        return config_refuse(json, path, "head_dim", "heads times head_dim is not the width, as it is in this family", "correct config.json", err);
    config->attention_scale = 1 / sqrt((double)config->head_size);
    return OK;
}

static enum status read_sizes(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    const struct family *family = config->family;
    config->vocab = family->defaults.vocab;
    config->width = family->defaults.width;
    config->mlp_width = family->defaults.mlp_width;
    config->layers = family->defaults.layers;
    config->heads = family->defaults.heads;
    config->max_positions = family->defaults.max_positions;
    TRY(json_get_int(json, path, "vocab_size", 1, MAX_VOCAB, &config->vocab, err));
    TRY(read_size(family, json, path, KEY_WIDTH, MAX_WIDTH, &config->width, err));
    TRY(read_size(family, json, path, KEY_LAYERS, MAX_LAYERS, &config->layers, err));
    TRY(read_size(family, json, path, KEY_POSITIONS, INT32_MAX, &config->max_positions, err));
    config->mlp_width = config->mlp_width ? config->mlp_width : 4 * config->width;
    TRY(read_size(family, json, path, KEY_MLP_WIDTH, MAX_WIDTH, &config->mlp_width, err));
    if (config->mlp_width > MAX_WIDTH || (config->shape.positions == LEARNED && config->max_positions > MAX_WIDTH))
        return config_refuse(json, path, "max_position_embeddings", "it or four times the width is more than 2^24", "correct config.json", err);
    return read_heads(config, json, path, err);
}

static enum status read_activation(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    static const struct {
        const char *name;
        enum activation activation;
    } rows[] = {
        { "silu", SILU },
        { "swish", SILU },
        { "gelu", GELU },
        { "gelu_python", GELU },
        { "gelu_new", GELU_TANH },
        { "gelu_fast", GELU_TANH },
        { "gelu_accurate", GELU_TANH },
        { "gelu_pytorch_tanh", GELU_TANH },
        { "gelu_python_tanh", GELU_TANH },
        { "relu", RELU },
    };
    const char *name = config->family->defaults.activation ? config->family->defaults.activation : "silu", *key;
    TRY(config_spelling(config->family, json, path, KEY_ACTIVATION, &key, err));
    TRY(json_get_text(json, path, key, &name, err));
    for (size_t i = 0; i < COUNT(rows); i++)
        if (text_equal(rows[i].name, name)) {
            config->activation = rows[i].activation;
            return OK;
        }
    return config_refuse(json, path, key, "graft computes silu, gelu, gelu_new (gelu_pytorch_tanh) and relu", "use a model with one of these", err);
}

static enum status read_rest(struct model_config *config, struct arena *arena, const json_t *json, const char *path, struct error *err)
{
    const char *dtype = "float32";
    const char *eps;
    config->norm_eps = config->family->defaults.norm_eps > 0 ? config->family->defaults.norm_eps : 1e-6;
    config->tied = config->family->defaults.tied;
    TRY(config_spelling(config->family, json, path, KEY_EPS, &eps, err));
    TRY(json_get_real(json, path, eps, &config->norm_eps, err));
    if (!(config->norm_eps >= 0 && config->norm_eps <= 1))
        return config_refuse(json, path, eps, "not between 0 and 1", "correct config.json", err);
    TRY(json_get_bool(json, path, "tie_word_embeddings", &config->tied, err));
    TRY(json_get_text(json, path, "torch_dtype", &dtype, err));
    TRY(json_get_text(json, path, "dtype", &dtype, err));
    if (text_starts(dtype, "torch."))
        dtype += strlen("torch.");
    config->dtype = arena_text(arena, dtype, strlen(dtype));
    return OK;
}

/* A special token: what the file says, negative numbers (some files mean "none" by -1) and null as -1. */
static enum status read_token(const struct model_config *config, const json_t *json, const char *path, const char *key, int32_t *token, struct error *err)
{
    const json_t *value = json_object_get(json, key);
    int64_t id = value ? -1 : *token;
    TRY(json_get_int(json, path, key, INT32_MIN, INT32_MAX, &id, err));
    if (value && id >= config->vocab)
        return config_refuse(json, path, key, "not below vocab_size", "correct the file: the token has no row in the embedding", err);
    *token = id < 0 ? -1 : (int32_t)id;
    return OK;
}

static enum status add_eos(struct model_config *config, const json_t *json, const char *path, const json_t *value, struct error *err)
{
    static const char key[] = "eos_token_id";
    if (!json_is_integer(value))
        return config_refuse(json, path, key, "neither a token nor a list of tokens", "correct the file", err);
    int64_t id = json_integer_value(value);
    if (id >= config->vocab)
        return config_refuse(json, path, key, "not below vocab_size", "correct the file: the token has no row in the embedding", err);
    if (id < 0)
        return OK;
    for (int i = 0; i < config->eos_count; i++)
        if (config->eos[i] == id)
            return OK;
    if (config->eos_count == MAX_EOS)
        return config_refuse(json, path, key, "more than 8 tokens end a text", "leave out what is never generated", err);
    config->eos[config->eos_count++] = (int32_t)id;
    return OK;
}

static enum status read_eos(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    const json_t *value = json_object_get(json, "eos_token_id");
    if (!value || json_is_null(value))
        return OK;
    if (!json_is_array(value))
        return add_eos(config, json, path, value, err);
    for (size_t i = 0; i < json_array_size(value); i++)
        TRY(add_eos(config, json, path, json_array_get(value, i), err));
    return OK;
}

/* As torch.nn.Embedding has it: a negative id counts from the end. */
static void read_padding(struct model_config *config, const json_t *json)
{
    const struct family *family = config->family;
    const json_t *value = json_object_get(json, "pad_token_id");
    int64_t id = value ? json_integer_value(value) : family->defaults.pad;
    const bool given = value ? json_is_integer(value) : id >= 0;
    id = id < 0 ? id + config->vocab : id;
    config->padding = family->padded && given && id >= 0 && id < config->vocab ? (int)id : NO_PADDING;
}

/* generation: NULL where the folder has no generation_config.json. It adds ends of text, and what config.json leaves open. */
static enum status read_tokens(struct model_config *config, const json_t *json, const char *path, const json_t *generation, const char *generation_path,
                               struct error *err)
{
    const int64_t bos = config->family->defaults.bos, eos = config->family->defaults.eos;
    config->bos = bos < config->vocab ? (int32_t)bos : -1; /* what a family assumes counts only where the vocabulary reaches that far */
    config->pad = -1;
    if (!json_object_get(json, "bos_token_id"))
        TRY(read_token(config, generation, generation_path, "bos_token_id", &config->bos, err));
    if (!json_object_get(json, "pad_token_id"))
        TRY(read_token(config, generation, generation_path, "pad_token_id", &config->pad, err));
    TRY(read_token(config, json, path, "bos_token_id", &config->bos, err));
    TRY(read_token(config, json, path, "pad_token_id", &config->pad, err));
    read_padding(config, json);
    TRY(read_eos(config, json, path, err));
    TRY(read_eos(config, generation, generation_path, err));
    bool silent = !json_object_get(json, "eos_token_id") && !json_object_get(generation, "eos_token_id");
    if (silent && eos >= 0 && eos < config->vocab)
        config->eos[config->eos_count++] = (int32_t)eos;
    return OK;
}

/* config->sliding from the list `layer_types`, NULL where there is none; families read it as what their own keys would say. */
static enum status read_layer_types(struct model_config *config, struct arena *arena, const json_t *json, const char *path, struct error *err)
{
    static const char key[] = "layer_types";
    const json_t *list = json_object_get(json, key);
    if (!list || json_is_null(list))
        return OK;
    if (!json_is_array(list) || json_array_size(list) != (size_t)config->layers)
        return config_refuse(json, path, key, "not a list with one entry for each of num_hidden_layers", "correct config.json", err);
    bool *sliding = NEW_ARRAY(arena, config->layers, bool);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        sliding[i] = text_equal(name, "sliding_attention");
        if (!sliding[i] && !text_equal(name, "full_attention"))
            return config_refuse(json, path, key, "graft computes full_attention and sliding_attention", "use a model with layers of these kinds", err);
    }
    config->sliding = sliding;
    return OK;
}

int model_window(const struct model_config *config, int64_t layer)
{
    const bool has = config->sliding ? config->sliding[layer] : layer >= config->full_layers;
    return has ? config->window : 0;
}

/* Only some families read the list; elsewhere it repeats what the other keys say, or nobody knows what was meant. */
static enum status check_layer_types(const struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    int64_t sliding = 0;
    for (int64_t i = 0; i < config->layers && config->sliding; i++)
        sliding += config->sliding[i];
    if (config->sliding && (config->window == 0 ? sliding > 0 : !config->family->layers_differ && sliding < config->layers))
        return config_refuse(json, path, "layer_types", "contradicts the sliding window that the other keys give", "correct config.json", err);
    return OK;
}

static enum status read_all(struct model_config *config, struct arena *arena, const json_t *json, const char *path, const json_t *generation,
                            const char *generation_path, struct error *err)
{
    if (!json_is_object(json))
        return fail_with(err, BAD_MODEL, "%s: not a JSON object", "give the folder of a Hugging Face model", path);
    if (generation && !json_is_object(generation))
        return fail_with(err, BAD_MODEL, "%s: not a JSON object", "copy or download it again, or remove it", generation_path);
    TRY(find_family(config, arena, json, path, err));
    TRY(check_architectures(config, json, path, err));
    TRY(config_check_keys(arena, json, path, config->family, err));
    config->dropout = config_dropout(json, config->family);
    TRY(read_sizes(config, json, path, err));
    TRY(read_activation(config, json, path, err));
    TRY(read_rest(config, arena, json, path, err));
    if (config->shape.positions == ROTARY)
        TRY(config_read_rope(config, json, path, err));
    TRY(read_layer_types(config, arena, json, path, err));
    if (config->family->configure)
        TRY(config->family->configure(config, json, path, err));
    TRY(check_layer_types(config, json, path, err));
    return read_tokens(config, json, path, generation, generation_path, err);
}

enum status model_config_read(struct model_config *config, struct arena *arena, const char *folder, struct error *err)
{
    json_t *json = NULL, *generation = NULL;
    const char *path = path_join(arena, folder, "config.json"), *generation_path = path_join(arena, folder, "generation_config.json");
    *config = (struct model_config){ .folder = arena_text(arena, folder, strlen(folder)), .bos = -1, .pad = -1, .padding = NO_PADDING };
    if (!folder_exists(folder))
        return fail_with(err, BAD_FILE, "%s: no such folder", "give the folder of a Hugging Face model: config.json and model.safetensors", folder);
    if (!file_exists(path))
        return fail_with(err, BAD_FILE, "%s: no such file", "give the folder of a Hugging Face model: config.json and model.safetensors", path);
    enum status status = json_read(path, &json, err);
    if (status == OK && file_exists(generation_path))
        status = json_read(generation_path, &generation, err);
    if (status == OK)
        status = read_all(config, arena, json, path, generation, generation_path, err);
    json_decref(generation);
    json_decref(json);
    return status;
}
