/* Target matching: rules on module names, applied to every module of the model, so that what PEFT would refuse is refused here too.
 *
 * Modules are known by their tensors: "model.norm.weight" makes the modules "model.norm" and "model". Only linear layers and the embedding can be targeted; the
 * rest takes part in matching to notice a rule that reaches too far, and to shorten the names of all-linear.
 */
#include "adapters/targets.h"

#include "common/pattern.h"
#include "common/text.h"
#include "models/family.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Every module of the model: its name, and its site if it is a linear layer. */
struct module {
    const char *name;
    const struct site *site;
};

struct matching {
    struct arena *arena;
    const struct model *model;
    const struct target_rules *rules;
    struct module *module;
    int modules;
    struct pattern *target, *exclude; /* of rules given as one text */
    struct error *err;
};

bool name_ends_in(const char *name, const char *entry)
{
    size_t length = strlen(name), tail = strlen(entry);
    if (tail > length || strcmp(name + length - tail, entry) != 0)
        return false;
    return tail == length || name[length - tail - 1] == '.';
}

/* The number of a part like "12." of a name; -1: the part is no number or the last. */
static int64_t part_number(const char *part)
{
    size_t digits = strspn(part, "0123456789");
    return digits > 0 && digits < 10 && part[digits] == '.' ? strtoll(part, NULL, 10) : -1;
}

static int64_t number_after(const char *name, const char *container)
{
    size_t length = strlen(container);
    for (const char *at = name; length > 0 && (at = strstr(at, container)); at++)
        if ((at == name || at[-1] == '.') && at[length] == '.' && part_number(at + length + 1) >= 0)
            return part_number(at + length + 1);
    return -1;
}

int64_t name_layer(const char *name, const struct names *containers)
{
    int64_t layer = containers->text ? number_after(name, containers->text) : -1;
    for (int i = 0; i < containers->count && layer < 0; i++)
        layer = number_after(name, containers->name[i]);
    if (containers->text || containers->count)
        return layer;
    const char *part = name;
    for (int i = 0; part && layer < 0; i++) {
        layer = i >= 2 ? part_number(part) : -1;
        part = strchr(part, '.');
        part = part ? part + 1 : NULL;
    }
    return layer;
}

bool names_save(const struct names *save, const char *name)
{
    size_t length = strlen(name);
    for (size_t end = 1; end <= length; end++) {
        if (name[end] != '.' && name[end] != 0)
            continue;
        for (int i = 0; i < save->count; i++) {
            size_t tail = strlen(save->name[i]);
            if (tail > 0 && tail <= end && memcmp(name + end - tail, save->name[i], tail) == 0)
                return true;
        }
    }
    return false;
}

/* Some parts of the name, one after the other, are the entry. */
static bool name_holds(const char *name, const char *entry)
{
    size_t length = strlen(entry);
    for (const char *at = name; length > 0 && (at = strstr(at, entry)); at++)
        if ((at == name || at[-1] == '.') && (at[length] == 0 || at[length] == '.'))
            return true;
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct module *)a)->name, ((const struct module *)b)->name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds the modules along a tensor's or module's name: each piece that ends before a dot, and the whole if it is a module. */
static void add_modules(struct matching *m, const char *name, int *room)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        if (m->modules == *room) {
            *room = *room ? 2 * *room : 256;
            m->module = arena_grow(m->arena, m->module, (size_t)m->modules, (size_t)*room, sizeof *m->module);
        }
        m->module[m->modules++].name = arena_text(m->arena, name, (size_t)(dot - name));
    }
}

static void list_modules(struct matching *m)
{
    int room = 0, kept = 0;
    for (int i = 0; i < m->model->tensors; i++)
        add_modules(m, m->model->tensor[i]->name, &room);
    /* A tied head has no tensor of its own. */
    for (int i = 0; i < m->model->sites; i++)
        add_modules(m, arena_print(m->arena, "%s.", m->model->site[i]->module), &room);
    qsort(m->module, (size_t)m->modules, sizeof *m->module, by_name);
    for (int i = 0; i < m->modules; i++)
        if (kept == 0 || strcmp(m->module[kept - 1].name, m->module[i].name) != 0)
            m->module[kept++] = m->module[i];
    m->modules = kept;
    for (int i = 0; i < m->model->sites; i++) {
        struct module *found = bsearch(&(struct module){ .name = m->model->site[i]->module }, m->module, (size_t)kept, sizeof *m->module, by_name);
        CHECK(found);
        found->site = m->model->site[i];
    }
}

/* The embedding's module: its table's name without ".weight". */
static bool is_embedding(const struct matching *m, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(m->model->embed->name, name, length) == 0 && strcmp(m->model->embed->name + length, ".weight") == 0;
}

static bool is_head(const struct module *module)
{
    return module->site && module->site->projection == HEAD;
}

/* Whether the suffix would also hit a module that is not to be hit. */
static bool hits_others(const struct matching *m, const char *suffix)
{
    for (int i = 0; i < m->modules; i++)
        if ((!m->module[i].site || is_head(&m->module[i])) && name_ends_in(m->module[i].name, suffix))
            return true;
    return false;
}

static bool covered(const char *const *name, int names, const char *module)
{
    for (int i = 0; i < names; i++)
        if (name_ends_in(module, name[i]))
            return true;
    return false;
}

/* The shortest suffixes that hit every linear layer but the head and nothing else. */
static void name_all_linear(const struct matching *m, struct targets *targets)
{
    targets->name = NEW_ARRAY(m->arena, m->modules, const char *);
    for (int i = 0; i < m->modules; i++) {
        const char *name = m->module[i].name;
        if (!m->module[i].site || is_head(&m->module[i]) || covered(targets->name, targets->names, name))
            continue;
        const char *suffix = name + strlen(name);
        do {
            while (suffix > name && suffix[-1] != '.')
                suffix--;
            if (!hits_others(m, suffix) || suffix == name)
                break;
            suffix--;
        } while (true);
        targets->name[targets->names++] = suffix;
    }
}

static enum status copy_names(struct matching *m, struct targets *targets)
{
    const struct names *given = &m->rules->target;
    if (given->count == 0)
        return fail_with(m->err, BAD_CONFIG, "%s: an empty list", "name at least one module, or write all-linear", given->where);
    targets->name = NEW_ARRAY(m->arena, given->count, const char *);
    memcpy(targets->name, given->name, (size_t)given->count * sizeof *given->name);
    targets->names = given->count;
    return OK;
}

/* What target_modules means here: names, or a regular expression. */
static enum status resolve(struct matching *m, struct targets *targets)
{
    const struct names *given = &m->rules->target;
    if (given->text && strcasecmp(given->text, "all-linear") == 0) {
        name_all_linear(m, targets);
    } else if (given->text) {
        targets->text = given->text;
        if (m->rules->layers.count)
            return fail_with(m->err, BAD_CONFIG, "%s: layers_to_transform with a regular expression for target_modules",
                             "put the layers into the expression, or give target_modules as a list", m->rules->layers.where);
        TRY(pattern_new(&m->target, m->arena, given->text, given->where, m->err));
    } else if (given->where) {
        TRY(copy_names(m, targets));
    } else {
        const struct family *family = m->model->config.family;
        targets->name = NEW_ARRAY(m->arena, COUNT(family->lora_targets), const char *);
        while ((size_t)targets->names < COUNT(family->lora_targets) && family->lora_targets[targets->names]) {
            targets->name[targets->names] = family->lora_targets[targets->names];
            targets->names++;
        }
    }
    if (targets->name)
        qsort(targets->name, (size_t)targets->names, sizeof *targets->name, by_text);
    if (m->rules->exclude.text)
        TRY(pattern_new(&m->exclude, m->arena, m->rules->exclude.text, m->rules->exclude.where, m->err));
    return OK;
}

static bool in_layers(const struct target_rules *rules, const char *name)
{
    const struct layer_list *layers = &rules->layers;
    int64_t layer = name_layer(name, &rules->containers);
    for (int i = 0; i < layers->count; i++)
        if (layers->layer[i] == layer)
            return true;
    return layers->count == 0;
}

static enum status is_targeted(const struct matching *m, const struct targets *targets, const char *name, bool *answer)
{
    const struct target_rules *rules = m->rules;
    bool excluded = covered(rules->exclude.name, rules->exclude.count, name);
    *answer = false;
    if (m->exclude)
        TRY(pattern_matches_whole(m->exclude, name, &excluded, m->err));
    for (int i = 0; i < rules->save.count; i++)
        excluded |= name_holds(name, rules->save.name[i]);
    if (excluded)
        return OK;
    if (m->target)
        return pattern_matches_whole(m->target, name, answer, m->err);
    for (int i = 0; i < targets->names && !*answer; i++)
        *answer = strcmp(targets->name[i], name) == 0;
    *answer |= covered(targets->name, targets->names, name) && in_layers(rules, name);
    return OK;
}

/* "q_proj, k_proj, ..." of all linear layers, and one whole name. */
static enum status nothing_targeted(const struct matching *m)
{
    const struct names *given = &m->rules->target;
    const char *last[PROJECTIONS];
    int count = 0;
    struct text list = text_new(m->arena);
    for (int i = 0; i < m->model->sites && count < PROJECTIONS; i++) {
        const char *dot = strrchr(m->model->site[i]->module, '.'), *name = dot ? dot + 1 : m->model->site[i]->module;
        if (covered(last, count, name))
            continue;
        last[count++] = name;
        text_print(&list, "%s%s", count > 1 ? ", " : "", name);
    }
    fail_with(m->err, BAD_CONFIG, "%s: no linear layer of the model is targeted%s", "", given->where ? given->where : "adapter.target_modules",
              m->rules->exclude.count || m->exclude || m->rules->save.count || m->rules->layers.count
                  ? " (after exclude_modules, modules_to_save and layers_to_transform)"
                  : "");
    return cure_with(m->err, "linear layers here: %s; a whole name is %s", list.bytes ? list.bytes : "none",
                     m->model->sites ? m->model->site[0]->module : "absent");
}

static enum status check_saved(const struct matching *m)
{
    const struct names *save = &m->rules->save;
    for (int i = 0; i < save->count; i++) {
        const struct names one = { .name = &save->name[i], .count = 1 };
        bool found = false;
        for (int k = 0; k < m->modules && !found; k++)
            found = names_save(&one, m->module[k].name);
        if (found)
            continue;
        fail_with(m->err, BAD_CONFIG, "%s: '%.200s' fits no module of the model", "", save->where, save->name[i]);
        return cure_with(m->err, "give the end of a module's name, such as %s", m->model->head_site.module);
    }
    return OK;
}

static enum status check_target(const struct matching *m, const struct module *module)
{
    const char *where = m->rules->target.where ? m->rules->target.where : "adapter.target_modules";
    if (!module->site && !is_embedding(m, module->name))
        return fail_with(m->err, BAD_CONFIG, "%s: '%s' is targeted, which is no linear layer",
                         "name linear layers or the embedding only, or add it to exclude_modules", where, module->name);
    if (names_save(&m->rules->save, module->name))
        return fail_with(m->err, BAD_CONFIG, "%s: '%s' is both targeted and in modules_to_save", "make the entries of modules_to_save longer, up to a dot",
                         where, module->name);
    return OK;
}

static enum status check_layers(const struct matching *m)
{
    const struct layer_list *layers = &m->rules->layers;
    if (m->rules->containers.where && layers->count == 0)
        return fail_with(m->err, BAD_CONFIG, "%s: layers_pattern without layers_to_transform", "add layers_to_transform, or remove it",
                         m->rules->containers.where);
    for (int i = 0; i < layers->count; i++)
        if (layers->layer[i] >= m->model->config.layers) {
            fail_with(m->err, BAD_CONFIG, "%s: layer %" PRId64 " in a model of %" PRId64 " layers", "", layers->where, layers->layer[i],
                      m->model->config.layers);
            return cure_with(m->err, "layers are numbered from 0 to %" PRId64, m->model->config.layers - 1);
        }
    return OK;
}

enum status targets_find(struct targets *targets, struct arena *arena, const struct model *model, const struct target_rules *rules, struct error *err)
{
    struct matching m = { .arena = arena, .model = model, .rules = rules, .err = err };
    *targets = (struct targets){ 0 };
    list_modules(&m);
    TRY(resolve(&m, targets));
    TRY(check_layers(&m));
    TRY(check_saved(&m));
    for (int i = 0; i < m.modules; i++) {
        bool targeted;
        TRY(is_targeted(&m, targets, m.module[i].name, &targeted));
        if (targeted)
            TRY(check_target(&m, &m.module[i]));
        if (targeted && is_embedding(&m, m.module[i].name))
            targets->embedding = m.module[i].name;
        if (!targeted)
            m.module[i].site = NULL;
    }
    /* The module list is sorted by name; the model's own order puts layer 10 behind layer 9. */
    targets->site = NEW_ARRAY(arena, model->sites, const struct site *);
    for (int i = 0; i < model->sites; i++) {
        const struct module *found = bsearch(&(struct module){ .name = model->site[i]->module }, m.module, (size_t)m.modules, sizeof *m.module, by_name);
        if (found && found->site)
            targets->site[targets->sites++] = found->site;
    }
    return targets->sites || targets->embedding ? OK : nothing_targeted(&m);
}
