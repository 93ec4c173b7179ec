/* LoRA as an adapter: which modules get a pair of matrices, what else is trained, how the walk through the model uses it, and what is saved.
 *
 * Parameters are named by the keys of PEFT's files. Biases and whole modules that are trained too are copies (copies.c).
 */
#include "adapters/lora.h"

#include "common/log.h"
#include "common/pattern.h"

#include <math.h>
#include <string.h>

static const char root[] = "base_model.model.";

static int place_of(const struct model_config *config, const struct site *site)
{
    return site->projection == HEAD ? (int)config->layers * HEAD : site->layer * HEAD + (int)site->projection;
}

static struct lora_module *module_at(const struct lora *lora, const struct model *model, const struct site *site)
{
    return lora->by_place[place_of(&model->config, site)];
}

static struct tensor *linear_seam(void *self, struct pass *p, const struct site *site, struct tensor *x, struct tensor *y)
{
    const struct lora *lora = self;
    const struct lora_module *m = module_at(lora, p->model, site);
    if (!m)
        return y;
    struct graph *g = p->g;
    if (p->draw)
        x = dropout(g, x, p->row_key, p->draw, lora->dropout);
    struct tensor *down = linear(g, x, cast(g, m->a, x->dtype), NULL, NULL, 1);
    return linear(g, down, cast(g, m->b, x->dtype), NULL, y, m->scale);
}

static struct tensor *weight_seam(void *self, struct pass *p, struct tensor *w)
{
    return copies_weight(&((const struct lora *)self)->copies, p, w);
}

/* The patterns of a map, compiled, and which of them were of use. */
struct patterns {
    const struct number_map *map;
    struct pattern **pattern;
    bool *used;
};

static enum status compile(struct patterns *patterns, struct arena *arena, const struct number_map *map, struct error *err)
{
    *patterns = (struct patterns){ .map = map, .pattern = NEW_ARRAY(arena, map->count, struct pattern *), .used = NEW_ARRAY(arena, map->count, bool) };
    for (int i = 0; i < map->count; i++)
        TRY(pattern_new(&patterns->pattern[i], arena, map->key[i], map->where, err));
    return OK;
}

/* The number for a module: that of the first entry that fits. PEFT's files keep no order, so entries that contradict each other are refused. */
static enum status look_up(const struct patterns *patterns, const char *module, double *value, struct error *err)
{
    int first = -1;
    for (int i = 0; i < patterns->map->count; i++) {
        bool matches;
        TRY(pattern_matches_end(patterns->pattern[i], module, &matches, err));
        if (!matches)
            continue;
        patterns->used[i] = true;
        if (first >= 0 && patterns->map->value[i] != patterns->map->value[first])
            return fail_with(err, BAD_CONFIG, "%s: '%.200s' says %g and '%.200s' says %g for module %s",
                             "make the expressions exclusive: adapter_config.json keeps no order, so which one counts would be lost", patterns->map->where,
                             patterns->map->key[first], patterns->map->value[first], patterns->map->key[i], patterns->map->value[i], module);
        if (first < 0)
            first = i;
    }
    if (first >= 0)
        *value = patterns->map->value[first];
    return OK;
}

static void warn_unused(const struct patterns *patterns)
{
    for (int i = 0; i < patterns->map->count; i++)
        if (!patterns->used[i])
            warn("%s: '%.200s' fits no targeted module", patterns->map->where, patterns->map->key[i]);
}

static enum status add_modules(struct adapter *adapter, struct lora *lora, struct arena *arena, const struct model *model, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    struct patterns ranks, alphas;
    TRY(compile(&ranks, arena, &set->rank_pattern, err));
    TRY(compile(&alphas, arena, &set->alpha_pattern, err));
    lora->modules = lora->targets.sites;
    lora->module = NEW_ARRAY(arena, lora->modules, struct lora_module);
    lora->by_place = NEW_ARRAY(arena, model->config.layers * HEAD + 1, struct lora_module *);
    for (int i = 0; i < lora->modules; i++) {
        struct lora_module *m = &lora->module[i];
        double rank = (double)set->rank;
        *m = (struct lora_module){ .site = lora->targets.site[i], .alpha = set->alpha };
        TRY(look_up(&ranks, m->site->module, &rank, err));
        TRY(look_up(&alphas, m->site->module, &m->alpha, err));
        if (set->start == START_ORTHOGONAL && fmod(rank, 2) != 0)
            return fail_with(err, BAD_CONFIG, "adapter.init_lora_weights: orthogonal with rank %.0f for module %s", "make the rank even", rank,
                             m->site->module);
        m->rank = (int64_t)rank;
        m->scale = (float)(m->alpha / (set->rank_stabilised ? sqrt(rank) : rank));
        m->a = parameters_add(adapter->parameters, arena_print(arena, "%s%s.lora_A.weight", root, m->site->module), m->rank, m->site->in);
        m->b = parameters_add(adapter->parameters, arena_print(arena, "%s%s.lora_B.weight", root, m->site->module), m->site->out, m->rank);
        lora->by_place[place_of(&model->config, m->site)] = m;
    }
    warn_unused(&ranks);
    warn_unused(&alphas);
    return OK;
}

static bool is_targeted(const struct lora *lora, const char *module)
{
    for (int i = 0; i < lora->modules; i++)
        if (strcmp(lora->module[i].site->module, module) == 0)
            return true;
    return false;
}

/* Adds a copy of one frozen tensor if modules_to_save or bias wants it. `name` is its name in the live model. */
static void copy_if_wanted(struct adapter *adapter, struct lora *lora, struct arena *arena, const struct tensor *frozen, const char *name, bool head)
{
    const struct lora_settings *set = adapter->settings;
    const char *dot = strrchr(name, '.');
    const char *module = arena_text(arena, name, dot ? (size_t)(dot - name) : strlen(name));
    const char *infix = "";
    if (!names_save(&set->rules.save, module)) {
        const bool targeted = is_targeted(lora, module);
        if (!dot || strcmp(dot, ".bias") != 0 || set->bias == BIAS_NONE || (set->bias == BIAS_LORA_ONLY && !targeted))
            return;
        infix = targeted ? ".base_layer" : "";
    }
    copies_add(&lora->copies, arena, adapter->parameters, frozen, arena_print(arena, "%s%s%s%s", root, module, infix, dot ? dot : ""), head);
}

static void add_copies(struct adapter *adapter, struct lora *lora, struct arena *arena, const struct model *model)
{
    for (int i = 0; i < model->tensors; i++)
        copy_if_wanted(adapter, lora, arena, model->tensor[i], model->tensor[i]->name, false);
    if (model->head == model->embed)
        copy_if_wanted(adapter, lora, arena, model->embed, arena_print(arena, "%s.weight", model->head_site.module), true);
}

static enum status attach(struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    struct lora *lora = NEW(arena, struct lora);
    if (set->fan_in_fan_out)
        return fail_with(err, BAD_CONFIG, "adapter.fan_in_fan_out: true, but %s models store linear layers as [out, in]", "remove the line, or write false",
                         model->config.model_type);
    lora->dropout = (float)set->dropout;
    TRY(targets_find(&lora->targets, arena, model, &set->rules, err));
    TRY(add_modules(adapter, lora, arena, model, err));
    add_copies(adapter, lora, arena, model);
    adapter->state = lora;
    adapter->seams = (struct seams){ .self = lora, .linear = linear_seam, .weight = lora->copies.count ? weight_seam : NULL };
    return OK;
}

static enum status initialise(struct adapter *adapter, const struct model *model, uint64_t seed, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    const struct lora *lora = adapter->state;
    (void)err;
    lora_start(lora, adapter->parameters, (enum lora_start)set->start, seed);
    copies_start(&lora->copies, adapter->parameters, model);
    return OK;
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

static json_t *map_json(const struct number_map *map)
{
    json_t *object = json_object();
    for (int i = 0; i < map->count; i++)
        json_object_set_new(object, map->key[i], number_json(map->value[i]));
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
    return json_boolean(start == START_DEFAULT);
}

static enum status describe(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    const struct lora *lora = adapter->state;
    const struct names resolved = { .where = "", .text = lora->targets.text, .name = lora->targets.name, .count = lora->targets.names };
    (void)model;
    /* What PEFT has had from the start is always written, later additions only where they say something: old readers refuse unknown keys. */
    int failed = json_object_set_new(json, "bias", json_string(lora_bias_names[set->bias])) |
                 json_object_set_new(json, "fan_in_fan_out", json_boolean(set->fan_in_fan_out)) |
                 json_object_set_new(json, "init_lora_weights", start_json(set->start)) |
                 json_object_set_new(json, "layers_pattern", names_json(&set->rules.containers)) |
                 json_object_set_new(json, "layers_to_transform", layers_json(&set->rules.layers)) |
                 json_object_set_new(json, "lora_alpha", number_json(set->alpha)) | json_object_set_new(json, "lora_dropout", json_real(set->dropout)) |
                 json_object_set_new(json, "modules_to_save", names_json(&set->rules.save)) | json_object_set_new(json, "r", json_integer(set->rank)) |
                 json_object_set_new(json, "target_modules", names_json(&resolved));
    if (set->rank_stabilised)
        failed |= json_object_set_new(json, "use_rslora", json_true());
    if (set->rules.exclude.where)
        failed |= json_object_set_new(json, "exclude_modules", names_json(&set->rules.exclude));
    if (set->rank_pattern.count)
        failed |= json_object_set_new(json, "rank_pattern", map_json(&set->rank_pattern));
    if (set->alpha_pattern.count)
        failed |= json_object_set_new(json, "alpha_pattern", map_json(&set->alpha_pattern));
    return failed ? fail_with(err, BAD_CONFIG, "adapter: a setting that is no valid UTF-8 cannot be saved", "save the YAML file as UTF-8") : OK;
}

static bool is_vector(const struct adapter *adapter, const struct tensor *parameter)
{
    return parameter->rows == 1 && copies_hold(&((const struct lora *)adapter->state)->copies, parameter);
}

/* PEFT's older spellings: a trained bias of a targeted module without ".base_layer"; and what bias: all drags along from modules_to_save. */
static const char *rename_key(const struct adapter *adapter, struct arena *arena, const char *key)
{
    static const char bias[] = ".bias";
    const struct lora *lora = adapter->state;
    size_t length = strlen(key);
    if (strstr(key, ".original_module.") || strstr(key, ".modules_to_save."))
        return NULL;
    if (length <= sizeof bias || strcmp(key + length - strlen(bias), bias) != 0)
        return key;
    if (strncmp(key, root, strlen(root)) != 0)
        return key;
    const char *module = arena_text(arena, key + strlen(root), length - strlen(root) - strlen(bias));
    return is_targeted(lora, module) ? arena_print(arena, "%s%s.base_layer.bias", root, module) : key;
}

/* all-linear and the names it stands for say the same. */
static bool agree(struct arena *arena, const struct model *model, const struct setting *row, const void *a, const void *b)
{
    struct error ignored = { 0 };
    struct targets one, other;
    if (strcmp(row->name, "target_modules") != 0 || targets_find(&one, arena, model, &((const struct lora_settings *)a)->rules, &ignored) != OK ||
        targets_find(&other, arena, model, &((const struct lora_settings *)b)->rules, &ignored) != OK || one.sites != other.sites)
        return false;
    for (int i = 0; i < one.sites; i++)
        if (one.site[i] != other.site[i])
            return false;
    return true;
}

const struct adapter_kind adapter_lora = {
    .peft_type = "LORA",
    .setting = lora_settings,
    .settings = LORA_SETTINGS,
    .settings_bytes = sizeof(struct lora_settings),
    .attach = attach,
    .initialise = initialise,
    .describe = describe,
    .is_vector = is_vector,
    .rename = rename_key,
    .fold = lora_fold,
    .agree = agree,
};
