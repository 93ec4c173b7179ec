/* The rotary part of config.json, in its three spellings: rope_scaling with `type` or `rope_type` beside rope_theta (until 2025), and rope_parameters with
 * everything inside (since).
 *
 * Precedence is that of transformers 5.23: rope_scaling before rope_parameters, what stands inside before what stands beside. Where a file holds both and
 * they differ, nobody can know what was meant, so it is refused.
 */
#include "models/hf_config.h"

#include "common/log.h"

#include <math.h>

#define TYPE(type) (1u << (type))
enum { SCALED = TYPE(ROPE_LINEAR) | TYPE(ROPE_DYNAMIC) | TYPE(ROPE_YARN) | TYPE(ROPE_LLAMA3), EVERY = SCALED | TYPE(ROPE_DEFAULT) };

static const char *const type_names[] = {
    [ROPE_DEFAULT] = "default", [ROPE_LINEAR] = "linear", [ROPE_DYNAMIC] = "dynamic", [ROPE_YARN] = "yarn", [ROPE_LLAMA3] = "llama3",
};

/* Which types read which keys. */
static const struct {
    const char *key;
    unsigned types;
} rope_keys[] = {
    { "rope_type", EVERY },
    { "type", EVERY },
    { "rope_theta", EVERY },
    { "partial_rotary_factor", EVERY },
    { "factor", SCALED },
    { "original_max_position_embeddings", TYPE(ROPE_YARN) | TYPE(ROPE_LLAMA3) },
    { "low_freq_factor", TYPE(ROPE_LLAMA3) },
    { "high_freq_factor", TYPE(ROPE_LLAMA3) },
    { "attention_factor", TYPE(ROPE_YARN) },
    { "beta_fast", TYPE(ROPE_YARN) },
    { "beta_slow", TYPE(ROPE_YARN) },
    { "mscale", TYPE(ROPE_YARN) },
    { "mscale_all_dim", TYPE(ROPE_YARN) },
    { "truncate", TYPE(ROPE_YARN) },
};

static const char correct[] = "correct config.json";

static enum status find_section(const json_t *json, const char *path, const json_t **section, struct error *err)
{
    const json_t *old = json_object_get(json, "rope_scaling"), *new = json_object_get(json, "rope_parameters");
    if (!config_is_trivial(old) && !json_is_object(old))
        return config_refuse(json, path, "rope_scaling", "not an object", correct, err);
    if (!config_is_trivial(new) && !json_is_object(new))
        return config_refuse(json, path, "rope_parameters", "not an object", correct, err);
    if (!config_is_trivial(old) && !config_is_trivial(new) && !json_equal((json_t *)(uintptr_t)old, (json_t *)(uintptr_t) new))
        return config_refuse(json, path, "rope_scaling", "differs from rope_parameters in the same file", "leave one of the two in config.json", err);
    *section = !config_is_trivial(old) ? old : !config_is_trivial(new) ? new : NULL;
    return OK;
}

static enum status read_type(const json_t *section, const char *where, enum rope_type *type, struct error *err)
{
    const char *old = NULL, *name = NULL;
    TRY(json_get_text(section, where, "type", &old, err));
    TRY(json_get_text(section, where, "rope_type", &name, err));
    if (old && name && !text_equal(old, name))
        return config_refuse(section, where, "rope_type", "differs from the key 'type' beside it", correct, err);
    name = name ? name : old ? old : "default";
    for (size_t i = 0; i < COUNT(type_names); i++)
        if (text_equal(type_names[i], name)) {
            *type = (enum rope_type)i;
            return OK;
        }
    return config_refuse(section, where, json_object_get(section, "rope_type") ? "rope_type" : "type",
                         "graft computes default, linear, dynamic, yarn and llama3", "use a model with one of these", err);
}

/* Unknown keys are ignored with a word, as transformers does; but an object inside means frequencies per kind of layer. */
static enum status check_rope_keys(const json_t *section, const char *where, enum rope_type type, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        unsigned types = 0;
        for (size_t i = 0; i < COUNT(rope_keys); i++)
            if (text_equal(rope_keys[i].key, key))
                types = rope_keys[i].types;
        if (json_is_object(value))
            return config_refuse(section, where, key, "graft computes one kind of rotary positions for all layers", "use a model whose layers are alike", err);
        if (!(types & TYPE(type)) && !config_is_trivial(value))
            warn("%s: the key '%s' is ignored: rope_type %s does not read it", where, key, type_names[type]);
    }
    return OK;
}

static enum status positive(const json_t *section, const char *where, const char *key, bool required, double *out, struct error *err)
{
    const json_t *value = json_object_get(section, key);
    TRY(json_get_real(section, where, key, out, err));
    bool given = value && !json_is_null(value);
    if (given ? !(*out >= 1e-6 && *out <= 1e12) : required) /* so that quotients stay numbers in float32 */
        return config_refuse(section, where, key, "a number from 1e-6 to 1e12 is needed", correct, err);
    return OK;
}

/* Length before scaling: inside the section, or beside it; the model's own where nothing is said. */
static enum status read_original(struct model_config *config, const json_t *json, const char *path, const json_t *section, const char *where, struct error *err)
{
    static const char key[] = "original_max_position_embeddings";
    int64_t inside = 0, beside = 0;
    TRY(json_get_int(section, where, key, 1, INT32_MAX, &inside, err));
    TRY(json_get_int(json, path, key, 1, INT32_MAX, &beside, err));
    if (inside && beside && inside != beside)
        return config_refuse(section, where, key, "differs from the key of that name outside", correct, err);
    config->rope.original_positions = inside ? inside : beside ? beside : config->max_positions;
    return OK;
}

static enum status read_yarn(struct model_config *config, const json_t *section, const char *where, struct error *err)
{
    /* DeepSeek's files give no factor but both lengths */
    config->rope.factor = (double)config->max_positions / (double)config->rope.original_positions;
    config->rope.truncate = true;
    TRY(positive(section, where, "factor", config->rope.original_positions == config->max_positions, &config->rope.factor, err));
    TRY(positive(section, where, "attention_factor", false, &config->rope.attention_factor, err));
    TRY(json_get_real(section, where, "beta_fast", &config->rope.beta_fast, err));
    TRY(json_get_real(section, where, "beta_slow", &config->rope.beta_slow, err));
    TRY(json_get_real(section, where, "mscale", &config->rope.mscale, err));
    TRY(json_get_real(section, where, "mscale_all_dim", &config->rope.mscale_all_dim, err));
    TRY(json_get_bool(section, where, "truncate", &config->rope.truncate, err));
    config->rope.beta_fast = config->rope.beta_fast == 0 ? 32 : config->rope.beta_fast;
    config->rope.beta_slow = config->rope.beta_slow == 0 ? 1 : config->rope.beta_slow;
    if (!(config->rope.beta_fast >= config->rope.beta_slow && config->rope.beta_slow > 0))
        return config_refuse(section, where, "beta_fast", "less than beta_slow, or not above 0", correct, err);
    if (!(config->rope.mscale >= 0 && config->rope.mscale <= 1e6 && config->rope.mscale_all_dim >= 0 && config->rope.mscale_all_dim <= 1e6))
        return config_refuse(section, where, "mscale", "it or mscale_all_dim is not between 0 and 1e6", correct, err);
    return OK;
}

static enum status read_llama3(struct model_config *config, const json_t *section, const char *where, struct error *err)
{
    TRY(positive(section, where, "factor", true, &config->rope.factor, err));
    TRY(positive(section, where, "low_freq_factor", true, &config->rope.low_frequency_factor, err));
    TRY(positive(section, where, "high_freq_factor", true, &config->rope.high_frequency_factor, err));
    if (!((float)config->rope.high_frequency_factor > (float)config->rope.low_frequency_factor)) /* their difference, in float32, is divided by */
        return config_refuse(section, where, "high_freq_factor", "not above low_freq_factor", correct, err);
    return OK;
}

/* How many dimensions of a head are rotated; inside the section before beside it. */
static enum status read_part(struct model_config *config, const json_t *json, const char *path, const json_t *section, const char *where, struct error *err)
{
    static const char inside[] = "partial_rotary_factor";
    const double usual = config->family->defaults.rotary_part;
    const json_t *own = json_object_get(section, inside);
    const bool is_inside = own && !json_is_null(own);
    const char *beside;
    double part = usual > 0 ? usual : 1;
    TRY(config_spelling(config->family, json, path, KEY_PART, &beside, err));
    TRY(json_get_real(json, path, beside, &part, err));
    TRY(json_get_real(section, where, inside, &part, err));
    if (usual == 0 && part != 1)
        return config_refuse(section, where, inside, "every dimension of a head is rotated", "use a model of a supported family without this feature", err);
    config->rotary_size = part > 0 && part <= 1 ? (int64_t)((double)config->head_size * part) : 0;
    if (config->rotary_size > 0 && config->rotary_size % 2 == 0)
        return OK;
    if (usual == 0)
        return config_refuse(json, path, "head_dim", "rotary positions turn pairs of dimensions, so the size of a head must be even", correct, err);
    return config_refuse(is_inside ? section : json, is_inside ? where : path, is_inside ? inside : beside,
                         "rotary positions turn pairs of dimensions, so this part of a head must be an even number of them", correct, err);
}

enum status config_read_rope(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    const json_t *section = NULL;
    char where[1200];
    TRY(find_section(json, path, &section, err));
    snprintf(where, sizeof where, "%.1000s: %s", path, section == json_object_get(json, "rope_scaling") ? "rope_scaling" : "rope_parameters");
    TRY(read_type(section, where, &config->rope.type, err));
    TRY(check_rope_keys(section, where, config->rope.type, err));
    TRY(read_part(config, json, path, section, where, err));
    const char *theta;
    config->rope.theta = 10000;
    TRY(config_spelling(config->family, json, path, KEY_THETA, &theta, err));
    TRY(json_get_real(json, path, theta, &config->rope.theta, err));
    TRY(json_get_real(section, where, "rope_theta", &config->rope.theta, err));
    if (!(config->rope.theta > 1 && config->rope.theta < 1e30))
        return config_refuse(json_object_get(section, "rope_theta") ? section : json, path, json_object_get(section, "rope_theta") ? "rope_theta" : theta,
                             "not above 1 and below 1e30", correct, err);
    TRY(read_original(config, json, path, section, where, err));
    switch (config->rope.type) {
    case ROPE_DEFAULT:
        return OK;
    case ROPE_YARN:
        return read_yarn(config, section, where, err);
    case ROPE_LLAMA3:
        return read_llama3(config, section, where, err);
    case ROPE_DYNAMIC:
        if (config->rotary_size == 2)
            return config_refuse(section, where, "rope_type", "heads of 2 dimensions have no dynamic base", correct, err);
        break;
    case ROPE_LINEAR:
        break;
    }
    return positive(section, where, "factor", true, &config->rope.factor, err);
}

enum status config_read_rotary_dim(struct model_config *config, const json_t *json, const char *path, struct error *err)
{
    int64_t size = 64;
    TRY(json_get_int(json, path, "rotary_dim", 1, INT32_MAX, &size, err));
    if (size % 2 != 0 || size > config->head_size || json_is_null(json_object_get(json, "rotary_dim")))
        return config_refuse(json, path, "rotary_dim", "not an even number of dimensions of a head", correct, err);
    config->rotary_size = size;
    config->rope.type = ROPE_DEFAULT;
    config->rope.theta = 10000;
    return OK;
}
