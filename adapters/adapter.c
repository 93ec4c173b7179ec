/* The adapter interface: the rows, and what is the same for every method. */
#include "adapters/adapter.h"

#include "adapters/peft_files.h"
#include "common/files.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

static const struct adapter_kind *const kinds[] = { &adapter_lora, &adapter_prefix_tuning, &adapter_prompt_tuning, &adapter_p_tuning };

static const char *const task_types[] = { "CAUSAL_LM", NULL };
static const char *const kind_names[] = { "LORA", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING", NULL };
_Static_assert(COUNT(kind_names) == COUNT(kinds) + 1, "a name for every row");

const struct adapter_kind *adapter_kind_find(const char *peft_type)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i]->peft_type, peft_type) == 0)
            return kinds[i];
    return NULL;
}

const char *const *adapter_kind_names(void)
{
    return kind_names;
}

/* What stands in the section whatever the method. */
struct common {
    int peft_type, task_type;
    const char *init_from;
};

static const struct setting common_settings[] = {
    { .name = "peft_type",
      .type = SETTING_CHOICE,
      .offset = offsetof(struct common, peft_type),
      .choices = kind_names,
      .help = "the method; required unless init_from says it" },
    { .name = "task_type",
      .type = SETTING_CHOICE,
      .offset = offsetof(struct common, task_type),
      .fallback = "CAUSAL_LM",
      .choices = task_types,
      .help = "the task" },
    { .name = "init_from",
      .type = SETTING_PATH,
      .offset = offsetof(struct common, init_from),
      .help = "a PEFT folder to go on from: its settings and values; settings given here too must agree" },
};

static const char **names_of(struct arena *arena, const struct setting *row, size_t rows)
{
    const char **name = NEW_ARRAY(arena, rows + 1, const char *);
    for (size_t i = 0; i < rows; i++)
        name[i] = row[i].name;
    return name;
}

/* The method's settings from a map whose other keys are the common ones. */
static enum status read_settings(const struct adapter_kind *kind, struct arena *arena, const struct yaml *map, const char *folder, void **settings,
                                 struct error *err)
{
    *settings = arena_alloc(arena, kind->settings_bytes);
    const char **others = names_of(arena, common_settings, COUNT(common_settings));
    return settings_read_shared(arena, kind->setting, kind->settings, others, map, "adapter", folder, *settings, err);
}

static enum status kind_of(const struct yaml *section, const struct adapter_kind **kind, struct error *err)
{
    const struct yaml *type = settings_given(section, "peft_type") ? yaml_find(section, "peft_type") : NULL;
    *kind = type && type->kind == YAML_SCALAR ? adapter_kind_find(type->text) : NULL;
    if (*kind || settings_given(section, "init_from"))
        return OK;
    if (!type)
        fail_with(err, BAD_CONFIG, "%s%sadapter.peft_type is missing", "", section ? section->where : "", section ? ": " : "");
    else
        fail_with(err, BAD_CONFIG, "%s: adapter.peft_type: '%.100s' is no method that graft has", "", type->where,
                  type->kind == YAML_SCALAR ? type->text : "a list or map");
    char list[400] = "";
    for (int i = 0; kind_names[i]; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", kind_names[i]);
    return cure_with(err, "write one of: %s", list);
}

/* Every setting that the YAML gives must be what the folder says. */
static enum status check_agreement(struct arena *arena, const struct model *model, const struct peft_config *from, const struct yaml *section,
                                   const void *given, const void *stored, struct error *err)
{
    for (size_t i = 0; i < from->kind->settings; i++) {
        const struct setting *row = &from->kind->setting[i];
        if (!settings_given(section, row->name))
            continue;
        struct text one = text_new(arena), other = text_new(arena);
        settings_print(&one, row, 1, given, 0);
        settings_print(&other, row, 1, stored, 0);
        if (text_equal(one.bytes, other.bytes) || (from->kind->agree && from->kind->agree(arena, model, row, given, stored)))
            continue;
        const size_t skip = strlen(row->name) + 2;
        return fail_with(err, BAD_CONFIG, "%s: adapter.%s is %.*s, but %s says %.*s",
                         "remove the line: with init_from every setting of the adapter comes from that folder", yaml_find(section, row->name)->where, row->name,
                         (int)(one.length - skip - 1), one.bytes + skip, from->path, (int)(other.length - skip - 1), other.bytes + skip);
    }
    return OK;
}

static enum status continue_from(struct adapter *a, struct arena *arena, const struct yaml *section, const char *folder, const struct model *model,
                                 struct error *err)
{
    struct peft_config from;
    void *given;
    TRY(peft_config_read(&from, arena, a->init_from, err));
    if (a->kind && a->kind != from.kind)
        return fail_with(err, BAD_CONFIG, "%s: adapter.peft_type is %s, but %s says %s", "remove the line, or start from another folder",
                         yaml_find(section, "peft_type")->where, a->kind->peft_type, from.path, from.kind->peft_type);
    a->kind = from.kind;
    TRY(read_settings(a->kind, arena, from.settings, NULL, &a->settings, err));
    TRY(read_settings(a->kind, arena, section, folder, &given, err));
    return check_agreement(arena, model, &from, section, given, a->settings, err);
}

static struct adapter *make(struct arena *arena, const struct model *model)
{
    struct adapter *a = NEW(arena, struct adapter);
    a->name = "default";
    a->base = model->config.folder;
    a->parameters = parameters_new(arena);
    return a;
}

static enum status make_from_section(struct adapter **adapter, struct arena *arena, const struct yaml *section, const char *folder, const struct model *model,
                                     bool for_use, struct error *err)
{
    struct adapter *a = make(arena, model);
    a->for_use = for_use;
    struct common common = { 0 };
    *adapter = NULL;
    TRY(kind_of(section, &a->kind, err));
    const char **others = a->kind ? names_of(arena, a->kind->setting, a->kind->settings) : NULL;
    if (!others) { /* the method is in the folder: any method's keys may stand here, and are checked against its rows below */
        others = NEW_ARRAY(arena, section->count + 1, const char *);
        memcpy(others, section->key, (size_t)section->count * sizeof *others);
    }
    TRY(settings_read_shared(arena, common_settings, COUNT(common_settings), others, section, "adapter", folder, &common, err));
    a->init_from = common.init_from;
    if (a->init_from)
        TRY(continue_from(a, arena, section, folder, model, err));
    else
        TRY(read_settings(a->kind, arena, section, folder, &a->settings, err));
    TRY(a->kind->attach(a, arena, model, err));
    if (a->init_from)
        TRY(peft_trainable_check(a, arena, a->init_from, err));
    *adapter = a;
    return OK;
}

enum status adapter_new(struct adapter **adapter, struct arena *arena, const struct yaml *section, const char *folder, const struct model *model,
                        struct error *err)
{
    return make_from_section(adapter, arena, section, folder, model, false, err);
}

enum status adapter_new_for_use(struct adapter **adapter, struct arena *arena, const struct yaml *section, const char *folder, const struct model *model,
                                struct error *err)
{
    return make_from_section(adapter, arena, section, folder, model, true, err);
}

enum status adapter_start(struct adapter *adapter, struct arena *arena, const struct model *model, struct device *device, bool training, uint64_t seed,
                          struct error *err)
{
    (void)arena;
    TRY(parameters_seal(adapter->parameters, device, training, err));
    if (adapter->init_from)
        return peft_weights_read(adapter, model, adapter->init_from, err);
    return adapter->kind->initialise(adapter, model, seed, err);
}

enum status adapter_load(struct adapter **adapter, struct arena *arena, const char *folder, const struct model *model, struct device *device, struct error *err)
{
    struct adapter *a = make(arena, model);
    struct peft_config from;
    *adapter = NULL;
    TRY(peft_config_read(&from, arena, folder, err));
    a->kind = from.kind;
    a->init_from = arena_text(arena, folder, strlen(folder));
    a->for_use = true;
    TRY(read_settings(a->kind, arena, from.settings, NULL, &a->settings, err));
    TRY(a->kind->attach(a, arena, model, err));
    enum status status = adapter_start(a, arena, model, device, false, 0, err);
    if (status != OK)
        adapter_release(a);
    else
        *adapter = a;
    return status;
}

enum status adapter_save(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct error *err)
{
    enum { WEIGHTS, CONFIG, CARD, OPTIONAL, FILES = OPTIONAL + 1 + TOKENIZER_FILES };
    int files = OPTIONAL;
    struct output file[FILES] = { 0 };
    struct arena *scratch = arena_create_like(arena);
    enum status status = folder_make(folder, err);
    if (status == OK)
        status = peft_weights_write(adapter, scratch, model, folder, &file[WEIGHTS], err);
    if (status == OK)
        status = peft_config_write(adapter, scratch, model, folder, &file[CONFIG], err);
    if (status == OK)
        status = peft_card_write(adapter, scratch, model, folder, &file[CARD], err);
    if (status == OK && adapter->encodes)
        status = peft_trainable_write(adapter, scratch, model, folder, &file[files++], err);
    if (status == OK && adapter->tokenizer) {
        status = tokenizer_write(adapter->tokenizer, scratch, folder, &file[files], err);
        files += TOKENIZER_FILES;
    }
    if (status == OK)
        status = output_commit_all(file, files);
    for (int i = 0; i < FILES; i++)
        output_discard(&file[i]);
    arena_destroy(scratch);
    return status;
}

void adapter_release(struct adapter *adapter)
{
    if (adapter)
        parameters_release(adapter->parameters);
}

void adapter_print(const struct adapter *adapter, struct text *out, int indent)
{
    text_print(out, "%*speft_type: %s\n%*stask_type: CAUSAL_LM\n", indent, "", adapter->kind->peft_type, indent, "");
    if (adapter->init_from) {
        text_print(out, "%*sinit_from: ", indent, "");
        text_add_yaml_path(out, adapter->init_from);
        text_add_string(out, "\n");
    }
    settings_print(out, adapter->kind->setting, adapter->kind->settings, adapter->settings, indent);
}

void adapter_help(struct text *out)
{
    settings_help(out, common_settings, COUNT(common_settings), "adapter");
    for (size_t i = 0; i < COUNT(kinds); i++) {
        text_print(out, "\n  with peft_type: %s\n\n", kinds[i]->peft_type);
        settings_help(out, kinds[i]->setting, kinds[i]->settings, "adapter");
    }
}

/* The hash of a list of lines, one per parameter: name, shape, hash of the values. */
enum status adapter_hash(const struct adapter *adapter, char hex[65], struct error *err)
{
    const struct parameters *parameters = adapter->parameters;
    struct arena *scratch = arena_create_like(parameters->arena);
    struct text lines = text_new(scratch);
    (void)err;
    for (int i = 0; i < parameters->tensors; i++) {
        const struct tensor *t = parameters->tensor[i];
        char one[65];
        hash_bytes(tensor_values(parameters->device, scratch, t), tensor_bytes(t), one);
        text_print(&lines, "%s %lld %lld %s\n", t->name, (long long)t->rows, (long long)t->cols, one);
    }
    hash_bytes(lines.bytes, lines.length, hex);
    arena_destroy(scratch);
    return OK;
}
