/* LoRA in PEFT's files: the members of adapter_config.json, and which keys stand for which parameter. */
#include "adapters/lora.h"

#include "models/family.h"

#include <math.h>
#include <string.h>

bool lora_targets(const struct lora *lora, const char *module)
{
    for (int i = 0; i < lora->modules; i++)
        if (strcmp(lora->module[i].site->module, module) == 0)
            return true;
    return false;
}

struct stored_factors lora_stored_factors(const struct lora_settings *set)
{
    if (set->start.kind != START_PISSA)
        return (struct stored_factors){ .rank = 1, .alpha = 1 };
    return (struct stored_factors){ .rank = 2, .alpha = set->rank_stabilised ? sqrt(2) : 2 };
}

static json_t *names_json(const struct names *names)
{
    if (names->text)
        return json_string(names->text);
    if (!names->where)
        return json_null();
    json_t *list = json_array();
    for (int i = 0; i < names->count; i++)
        json_array_append_new(list, json_string(names->name[i]));
    return list;
}

/* Whole numbers as integers: some readers of lora_alpha take nothing else. */
static json_t *number_json(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *map_json(const struct number_map *map, double factor)
{
    json_t *object = json_object();
    for (int i = 0; i < map->count; i++)
        json_object_set_new(object, map->key[i], number_json(factor * map->value[i]));
    return object;
}

static json_t *layers_json(const struct layer_list *layers)
{
    if (!layers->where)
        return json_null();
    json_t *list = json_array();
    for (int i = 0; i < layers->count; i++)
        json_array_append_new(list, json_integer(layers->layer[i]));
    return list;
}

static json_t *start_json(int start)
{
    if (start == START_GAUSSIAN || start == START_ORTHOGONAL)
        return json_string(start == START_GAUSSIAN ? "gaussian" : "orthogonal");
    return json_boolean(start != START_RANDOM); /* what pissa stores is an ordinary LoRA */
}

enum status lora_describe(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    const struct lora *lora = adapter->state;
    const struct names resolved = { .where = "", .text = lora->targets.text, .name = lora->targets.name, .count = lora->targets.names };
    /* PEFT says so of every adapter on layers that are stored the other way round. */
    const bool transposed = set->fan_in_fan_out || model->config.family->transposed;
    const struct stored_factors factors = lora_stored_factors(set);
    /* What PEFT has had from the start is always written, later additions only where they say something: old readers refuse unknown keys. */
    int failed =
        json_object_set_new(json, "bias", json_string(lora_bias_names[set->bias])) | json_object_set_new(json, "fan_in_fan_out", json_boolean(transposed)) |
        json_object_set_new(json, "init_lora_weights", start_json(set->start.kind)) |
        json_object_set_new(json, "layers_pattern", names_json(&set->rules.containers)) |
        json_object_set_new(json, "layers_to_transform", layers_json(&set->rules.layers)) |
        json_object_set_new(json, "lora_alpha", number_json(factors.alpha * set->alpha)) | json_object_set_new(json, "lora_dropout", json_real(set->dropout)) |
        json_object_set_new(json, "modules_to_save", names_json(&set->rules.save)) | json_object_set_new(json, "r", json_integer(factors.rank * set->rank)) |
        json_object_set_new(json, "target_modules", names_json(&resolved));
    if (set->tokens.where)
        failed |= json_object_set_new(json, "trainable_token_indices", token_lists_json(&set->tokens));
    if (set->use_dora)
        failed |= json_object_set_new(json, "use_dora", json_true());
    if (set->lora_bias)
        failed |= json_object_set_new(json, "lora_bias", json_true());
    if (set->rank_stabilised)
        failed |= json_object_set_new(json, "use_rslora", json_true());
    if (set->rules.exclude.where)
        failed |= json_object_set_new(json, "exclude_modules", names_json(&set->rules.exclude));
    if (set->rank_pattern.count)
        failed |= json_object_set_new(json, "rank_pattern", map_json(&set->rank_pattern, (double)factors.rank));
    if (set->alpha_pattern.count)
        failed |= json_object_set_new(json, "alpha_pattern", map_json(&set->alpha_pattern, factors.alpha));
    return failed ? fail_with(err, BAD_CONFIG, "adapter: a setting that is no valid UTF-8 cannot be saved", "save the YAML file as UTF-8") : OK;
}

bool lora_is_vector(const struct adapter *adapter, const struct tensor *parameter)
{
    const struct lora *lora = adapter->state;
    for (int i = 0; i < lora->modules; i++)
        if (parameter == lora->module[i].bias || parameter == lora->module[i].magnitude)
            return true;
    return parameter->rows == 1 && copies_hold(&lora->copies, parameter);
}

/* Names by which PEFT knows embeddings and heads. */
static bool is_known_end(const char *name)
{
    return strcmp(name, "embed_tokens") == 0 || strcmp(name, "lm_head") == 0;
}

static bool ends_known(const char *module)
{
    const char *dot = module ? strrchr(module, '.') : NULL;
    return module && is_known_end(dot ? dot + 1 : module);
}

/* The frozen embedding and head go along where they are targeted, if one of them is by its short name, or by an expression under a known name: readers that
 * resized them find the table that B and A belong to. Not beside trained tokens. Source: peft 0.21 utils/save_and_load.py (embedding_is_targeted). */
const struct tensor *lora_along(const struct adapter *adapter, struct arena *arena, const struct model *model, int number, const char **key)
{
    const struct lora_settings *set = adapter->settings;
    const struct lora *lora = adapter->state;
    const struct targets *targets = &lora->targets;
    const char *head = lora_targets(lora, model->head_site.module) ? model->head_site.module : NULL;
    bool by_name = targets->text && (ends_known(targets->embedding) || ends_known(head));
    for (int i = 0; i < targets->names; i++)
        by_name |= is_known_end(targets->name[i]);
    const char *module[2] = { targets->embedding ? targets->embedding : head, targets->embedding ? head : NULL };
    if (!by_name || set->tokens.where || number >= 2 || !module[number])
        return NULL;
    *key = arena_print(arena, "%s%s.base_layer.weight", lora_root, module[number]);
    return module[number] == head ? model->head : lora->table;
}

/* The head under its old name. PEFT's older spellings: a trained bias of a targeted module without ".base_layer", a magnitude with ".weight"; and what bias:
 * all drags along from modules_to_save. */
const char *lora_rename(const struct adapter *adapter, struct arena *arena, const char *key)
{
    static const char bias[] = ".bias";
    const struct lora *lora = adapter->state;
    const struct family *family = lora->family;
    size_t length = strlen(key), root = strlen(lora_root), head = family->head_in_files ? strlen(family->head_in_files) : 0;
    if (head && length > root + head && strncmp(key + root, family->head_in_files, head) == 0 && key[root + head] == '.')
        return arena_print(arena, "%s%s%s", lora_root, family->head, key + root + head);
    if (strstr(key, ".original_module.") || strstr(key, ".modules_to_save."))
        return NULL;
    if (name_ends_in(key, "lora_magnitude_vector.weight"))
        return arena_text(arena, key, length - strlen(".weight"));
    if (length <= sizeof bias || strcmp(key + length - strlen(bias), bias) != 0)
        return key;
    if (strncmp(key, lora_root, strlen(lora_root)) != 0)
        return key;
    const char *module = arena_text(arena, key + strlen(lora_root), length - strlen(lora_root) - strlen(bias));
    return lora_targets(lora, module) ? arena_print(arena, "%s%s.base_layer.bias", lora_root, module) : key;
}

/* One matrix for the pair [first, second]: the rows of both, or each row of both, the second times `factor`. */
static struct tensor *join(struct arena *arena, struct device *device, const struct tensor *first, const struct tensor *second, bool rows, float factor)
{
    const int64_t height = rows ? 1 : first->rows, width = rows ? first->rows * first->cols : first->cols;
    const float *one = tensor_values(device, arena, first), *other = tensor_values(device, arena, second);
    float *values = NEW_ARRAY(arena, 2 * height * width, float), *to = values;
    for (int64_t r = 0; r < height; r++) {
        for (int64_t c = 0; c < width; c++)
            *to++ = one[r * width + c];
        for (int64_t c = 0; c < width; c++)
            *to++ = factor * other[r * width + c];
    }
    return tensor_new(arena, first->name, F32, PARAMETER, rows ? 2 * first->rows : first->rows, rows ? first->cols : 2 * first->cols, values);
}

/* pissa: s B A - s B0 A0 = s [B, -B0] [A; A0], a LoRA of twice the rank on the untouched base. Source: peft 0.21 tuners/lora/model.py (subtract_mutated_init).
 */
struct tensor *lora_stored(const struct adapter *adapter, struct arena *arena, struct tensor *parameter)
{
    const struct lora *lora = adapter->state;
    struct device *device = adapter->parameters->device;
    for (int i = 0; i < lora->modules; i++) {
        const struct lora_module *m = &lora->module[i];
        if (m->start_a && parameter == m->a)
            return join(arena, device, m->a, m->start_a, true, 1);
        if (m->start_a && parameter == m->b)
            return join(arena, device, m->b, m->start_b, false, -1);
    }
    return parameter;
}
