/* LoRA as an adapter: which modules get a pair of matrices, and what else is trained.
 *
 * Parameters are named by the keys of PEFT's files. Biases and whole modules that are trained too are copies (copies.c). How the walk through the model uses
 * all that stands in lora_walk.c, what is saved in lora_files.c, where it starts in lora_start.c.
 */
#include "adapters/lora.h"

#include "common/log.h"
#include "common/pattern.h"
#include "models/family.h"

#include <math.h>
#include <string.h>

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

static struct tensor *add_parameter(struct adapter *adapter, struct arena *arena, const struct lora_module *m, const char *what, int64_t rows, int64_t cols)
{
    return parameters_add(adapter->parameters, arena_print(arena, "%s%s.%s", lora_root, m->site->module, what), rows, cols);
}

static void add_parameters(struct adapter *adapter, struct arena *arena, struct lora_module *m)
{
    const struct lora_settings *set = adapter->settings;
    m->a = add_parameter(adapter, arena, m, "lora_A.weight", m->rank, m->site->in);
    m->b = add_parameter(adapter, arena, m, "lora_B.weight", m->site->out, m->rank);
    if (set->start.kind == START_PISSA && !adapter->for_use) {
        m->start_a = parameters_add_frozen(adapter->parameters, "A as it began", m->rank, m->site->in);
        m->start_b = parameters_add_frozen(adapter->parameters, "B as it began", m->site->out, m->rank);
    }
    m->bias = set->lora_bias ? add_parameter(adapter, arena, m, "lora_B.bias", 1, m->site->out) : NULL;
    m->magnitude = set->use_dora ? add_parameter(adapter, arena, m, "lora_magnitude_vector", 1, m->site->out) : NULL;
}

/* Whether weights [out, in] have so many principal vectors, and what is stored can be read again. */
static enum status check_pissa(const struct lora_module *m, const struct lora_settings *set, struct error *err)
{
    const struct site *site = m->site;
    const int64_t most = site->in < site->out ? site->in : site->out;
    const struct stored_factors factors = lora_stored_factors(set);
    if (m->rank > most) {
        fail_with(err, BAD_CONFIG, "adapter.init_lora_weights: pissa with rank %lld for module %s, whose weights are [%lld, %lld]", "", (long long)m->rank,
                  site->module, (long long)site->out, (long long)site->in);
        return cure_with(err, "lower the rank to %lld or less", (long long)most);
    }
    if (!(m->alpha > 0))
        return fail_with(err, BAD_CONFIG, "adapter.init_lora_weights: pissa with lora_alpha %g for module %s", "raise lora_alpha: 0 leaves no update to start",
                         m->alpha, site->module);
    if (factors.rank * m->rank > HIGHEST_RANK || factors.alpha * m->alpha > HIGHEST_ALPHA)
        return fail_with(err, BAD_CONFIG, "adapter.init_lora_weights: pissa with rank %lld and lora_alpha %g for module %s",
                         "halve them: what is saved has twice of both, and must not be more than what r and lora_alpha may be", (long long)m->rank, m->alpha,
                         site->module);
    return OK;
}

/* Rank, alpha and scale of a module. */
static enum status measure(struct lora_module *m, const struct lora_settings *set, const char *module, const struct patterns *ranks,
                           const struct patterns *alphas, struct error *err)
{
    double rank = (double)set->rank;
    m->alpha = set->alpha;
    TRY(look_up(ranks, module, &rank, err));
    TRY(look_up(alphas, module, &m->alpha, err));
    m->rank = (int64_t)rank;
    m->scale = (float)(m->alpha / (set->rank_stabilised ? sqrt(rank) : rank));
    return OK;
}

static enum status add_embedding(struct adapter *adapter, struct lora *lora, struct arena *arena, const struct model *model, const struct patterns *ranks,
                                 const struct patterns *alphas, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    const char *module = lora->targets.embedding;
    struct lora_module *m = lora->embedding = NEW(arena, struct lora_module);
    if (set->use_dora || set->lora_bias)
        return fail_with(err, BAD_CONFIG, "adapter.%s: true, but %s is targeted, an embedding", "set it to false, or leave the embedding out of target_modules",
                         set->use_dora ? "use_dora" : "lora_bias", module);
    if (set->start.kind == START_PISSA)
        return fail_with(err, BAD_CONFIG, "adapter.init_lora_weights: pissa, but %s is targeted, an embedding",
                         "set it to true, or leave the embedding out of target_modules", module);
    if (set->tokens.where)
        return fail_with(err, BAD_CONFIG, "%s: %s is targeted too", "keep one of the two", set->tokens.where, module);
    TRY(measure(m, set, module, ranks, alphas, err));
    m->a = parameters_add(adapter->parameters, arena_print(arena, "%s%s.lora_embedding_A", lora_root, module), m->rank, model->config.vocab);
    m->b = parameters_add(adapter->parameters, arena_print(arena, "%s%s.lora_embedding_B", lora_root, module), model->config.width, m->rank);
    return OK;
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
        *m = (struct lora_module){ .site = lora->targets.site[i] };
        TRY(measure(m, set, m->site->module, &ranks, &alphas, err));
        if (set->start.kind == START_ORTHOGONAL && m->rank % 2 != 0)
            return fail_with(err, BAD_CONFIG, "adapter.init_lora_weights: orthogonal with rank %lld for module %s", "make the rank even", (long long)m->rank,
                             m->site->module);
        if (set->start.kind == START_PISSA)
            TRY(check_pissa(m, set, err));
        if (adapter->for_use) { /* as it comes back from PEFT's files */
            m->rank *= lora_stored_factors(set).rank;
            m->alpha *= lora_stored_factors(set).alpha;
        }
        add_parameters(adapter, arena, m);
        lora->by_place[lora_place(&model->config, m->site)] = m;
    }
    if (lora->targets.embedding)
        TRY(add_embedding(adapter, lora, arena, model, &ranks, &alphas, err));
    warn_unused(&ranks);
    warn_unused(&alphas);
    return OK;
}

static const struct lora_module *head_module(const struct lora *lora, const struct model *model)
{
    return lora->by_place[lora_place(&model->config, &model->head_site)];
}

/* What a LoRA on the head is not: its product is fused with the loss, so all that is added there is s (x A^T) B^T. */
static enum status check_head(const struct lora *lora, const struct lora_settings *set, const struct model *model, struct error *err)
{
    const struct {
        bool given;
        const char *name, *value;
    } others[] = { { set->use_dora, "use_dora", "true" },
                   { set->lora_bias, "lora_bias", "true" },
                   { set->start.kind == START_PISSA, "init_lora_weights", "pissa" } };
    const char *module = model->head_site.module;
    for (size_t i = 0; i < COUNT(others) && head_module(lora, model); i++)
        if (others[i].given)
            return fail_with(err, BAD_CONFIG, "adapter.%s: %s, but %s is targeted, the head", "leave the setting out, or the head out of target_modules",
                             others[i].name, others[i].value, module);
    for (int i = 0; i < lora->tokens.count && head_module(lora, model); i++)
        if (lora->tokens.rows[i].head)
            return fail_with(err, BAD_CONFIG, "%s: %s is targeted too", "keep one of the two", set->tokens.where, module);
    return OK;
}

/* Adds a copy of one frozen tensor if modules_to_save or bias wants it. `name` is its name in the live model. */
static void copy_if_wanted(struct adapter *adapter, struct lora *lora, struct arena *arena, const struct tensor *frozen, const char *name, bool head)
{
    const struct lora_settings *set = adapter->settings;
    const char *dot = strrchr(name, '.');
    const char *module = arena_text(arena, name, dot ? (size_t)(dot - name) : strlen(name));
    const char *infix = "";
    if (!names_save(&set->rules.save, module)) {
        const bool targeted = lora_targets(lora, module);
        if (!dot || strcmp(dot, ".bias") != 0 || set->bias == BIAS_NONE || (set->bias == BIAS_LORA_ONLY && !targeted))
            return;
        infix = targeted ? ".base_layer" : "";
    }
    copies_add(&lora->copies, arena, adapter->parameters, frozen, arena_print(arena, "%s%s%s%s", lora_root, module, infix, dot ? dot : ""), head);
}

static void add_copies(struct adapter *adapter, struct lora *lora, struct arena *arena, const struct model *model)
{
    for (int i = 0; i < model->tensors; i++)
        copy_if_wanted(adapter, lora, arena, model->tensor[i], model->tensor[i]->name, false);
    if (model->head == model->embed)
        copy_if_wanted(adapter, lora, arena, model->embed, arena_print(arena, "%s.weight", model->head_site.module), true);
}

/* What PEFT refuses too; and pissa where the start could not be taken away again, or was taken out of a base that is not there. */
static enum status check_settings(const struct adapter *adapter, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    const bool pissa = set->start.kind == START_PISSA;
    if (pissa && adapter->init_from)
        return fail_with(err, BAD_FILE,
                         "%s/adapter_config.json: 'init_lora_weights' is pissa: the adapter is one for a changed base model, which is not stored",
                         "save it with PEFT's path_initial_model_for_weight_conversion, which makes an adapter for the base model itself", adapter->init_from);
    if (pissa && set->use_dora)
        return fail_with(err, BAD_CONFIG, "adapter: use_dora with init_lora_weights pissa", "set use_dora to false, or init_lora_weights to true");
    if (set->lora_bias && set->use_dora)
        return fail_with(err, BAD_CONFIG, "adapter: lora_bias and use_dora, both true", "set one of them to false");
    if (set->lora_bias && set->start.kind != START_DEFAULT && set->start.kind != START_RANDOM)
        return fail_with(err, BAD_CONFIG, "adapter: lora_bias with init_lora_weights neither true nor false", "set init_lora_weights to true");
    return OK;
}

/* A head that had another name in memory once is meant by either. */
static void rename_head(struct lora_settings *set, const struct family *family)
{
    struct names *lists[] = { &set->rules.target, &set->rules.exclude, &set->rules.save };
    for (size_t l = 0; l < COUNT(lists) && family->head_in_files; l++)
        for (int i = 0; i < lists[l]->count; i++)
            if (strcmp(lists[l]->name[i], family->head_in_files) == 0)
                lists[l]->name[i] = family->head;
    for (int i = 0; i < set->tokens.count && family->head_in_files; i++)
        if (set->tokens.list[i].module && strcmp(set->tokens.list[i].module, family->head_in_files) == 0)
            set->tokens.list[i].module = family->head;
}

static enum status attach(struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err)
{
    struct lora_settings *set = adapter->settings;
    struct lora *lora = NEW(arena, struct lora);
    rename_head(set, model->config.family);
    lora->family = model->config.family;
    if (set->fan_in_fan_out && !model->config.family->transposed)
        return fail_with(err, BAD_CONFIG, "adapter.fan_in_fan_out: true, but %s models store linear layers as [out, in]", "remove the line, or write false",
                         model->config.model_type);
    TRY(check_settings(adapter, err));
    lora->dropout = (float)set->dropout;
    lora->table = model->embed;
    TRY(targets_find(&lora->targets, arena, model, &set->rules, err));
    TRY(add_modules(adapter, lora, arena, model, err));
    add_copies(adapter, lora, arena, model);
    TRY(tokens_attach(&lora->tokens, arena, adapter->parameters, model, &set->tokens, &set->rules.save, err));
    TRY(check_head(lora, set, model, err));
    for (int i = 0; i < lora->copies.count; i++)
        if (model_is_transposed(model, lora->copies.copy[i].frozen))
            return fail_with(err, BAD_CONFIG, "adapter.modules_to_save: %s is stored as [in, out] in files of %s, and graft trains no copy of such layers",
                             "put a LoRA on it instead: target_modules", lora->copies.copy[i].frozen->name, model->config.model_type);
    adapter->state = lora;
    adapter->seams = (struct seams){ .self = lora, .linear = lora_linear_seam, .embed = lora_embed_seam, .weight = lora_weight_seam };
    if (head_module(lora, model))
        adapter->seams.head = lora_head_seam;
    return OK;
}

static enum status initialise(struct adapter *adapter, const struct model *model, uint64_t seed, struct error *err)
{
    const struct lora_settings *set = adapter->settings;
    const struct lora *lora = adapter->state;
    lora_start(lora, adapter->parameters, model, set->start, seed);
    if (lora->embedding)
        embedding_start(lora->embedding, adapter->parameters, (enum lora_start)set->start.kind, seed);
    copies_start(&lora->copies, adapter->parameters, model);
    tokens_start(&lora->tokens, adapter, model);
    return magnitudes_start(lora, adapter->parameters, model, err);
}

/* all-linear and the names it stands for say the same. */
static bool agree(struct arena *arena, const struct model *model, const struct setting *row, const void *a, const void *b)
{
    struct error ignored = { 0 };
    struct targets one, other;
    if (strcmp(row->name, "target_modules") != 0 || targets_find(&one, arena, model, &((const struct lora_settings *)a)->rules, &ignored) != OK ||
        targets_find(&other, arena, model, &((const struct lora_settings *)b)->rules, &ignored) != OK || one.sites != other.sites ||
        !one.embedding != !other.embedding)
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
    .describe = lora_describe,
    .is_vector = lora_is_vector,
    .along = lora_along,
    .rename = lora_rename,
    .stored = lora_stored,
    .fold = lora_fold,
    .fold_check = lora_fold_check,
    .agree = agree,
};
