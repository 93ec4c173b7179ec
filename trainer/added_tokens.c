/* From data.added_tokens to the tokenizer, the section `adapter` and the adapter. */
#include "trainer/added_tokens.h"

#include "adapters/targets.h"
#include "common/files.h"

#include <inttypes.h>
#include <string.h>

static const char key[] = "trainable_token_indices";

/* The folder whose adapter the run goes on from, NULL if there is none. */
static const char *init_from(const struct run *run)
{
    const struct yaml *value = yaml_find(run->config.adapter, "init_from");
    return value && value->kind == YAML_SCALAR && !yaml_is_null(value) ? settings_path(run->arena, value, run->config.folder) : NULL;
}

enum status added_tokens_open(struct run *run, struct error *err)
{
    const struct data_settings *data = &run->config.data;
    const char *from = init_from(run), *own = from && tokenizer_exists(run->arena, from) ? from : NULL;
    if (!own && data->addeds == 0)
        return tokenizer_open(&run->tokenizer, run->arena, run->config.model.path, err);
    TRY(tokenizer_open_with(&run->tokenizer, run->arena, own ? own : run->config.model.path, data->added, data->addeds, err));
    const int64_t vocab = run->model_config.vocab;
    for (int i = 0; i < data->addeds; i++) {
        const struct added_token *token = &data->added[i];
        const int32_t id = tokenizer_id(run->tokenizer, token->text);
        if (id < vocab)
            continue;
        fail_with(err, BAD_CONFIG, "%s: data.added_tokens: '%.100s' gets id %" PRId32 ", and the embedding has %" PRId64 " rows", "", token->where, token->text,
                  id, vocab);
        return cure_with(err,
                         "an adapter adds no rows: make a base model that has them, with model.resize_token_embeddings(%" PRId64
                         ") and save_pretrained() of transformers, and train and use that one",
                         (tokenizer_size(run->tokenizer) + 63) / 64 * 64);
    }
    return OK;
}

/* A copy of a list or map (NULL: empty) with room for one more. */
static struct yaml *longer(struct arena *arena, const struct yaml *old, enum yaml_kind kind, const char *where)
{
    struct yaml *node = NEW(arena, struct yaml);
    const int count = old ? old->count : 0;
    *node = (struct yaml){ .kind = kind, .where = where, .count = count };
    node->item = NEW_ARRAY(arena, count + 1, struct yaml *);
    node->key = NEW_ARRAY(arena, count + 1, const char *);
    node->key_where = NEW_ARRAY(arena, count + 1, const char *);
    for (int i = 0; i < count; i++) {
        node->item[i] = old->item[i];
        node->key[i] = kind == YAML_MAP ? old->key[i] : NULL;
        node->key_where[i] = kind == YAML_MAP ? old->key_where[i] : NULL;
    }
    return node;
}

/* map[name] = value in a copy of the map. */
static struct yaml *with(struct arena *arena, const struct yaml *map, const char *name, struct yaml *value)
{
    struct yaml *node = longer(arena, map, YAML_MAP, map ? map->where : value->where);
    int at = 0;
    while (at < node->count && strcmp(node->key[at], name) != 0)
        at++;
    node->key[at] = name;
    node->key_where[at] = value->where;
    node->item[at] = value;
    node->count += at == node->count;
    return node;
}

/* The list with the ids of the run's tokens that it lacks; what is no list stays what it is, for its reader to refuse. */
static struct yaml *with_ids(const struct run *run, struct yaml *list)
{
    if (list && list->kind != YAML_LIST)
        return list;
    for (int i = 0; i < run->config.data.addeds; i++) {
        const struct added_token *token = &run->config.data.added[i];
        const char *id = arena_print(run->arena, "%" PRId32, tokenizer_id(run->tokenizer, token->text));
        bool there = false;
        for (int k = 0; list && k < list->count; k++)
            there |= list->item[k]->kind == YAML_SCALAR && text_equal(list->item[k]->text, id);
        if (there)
            continue;
        struct yaml *scalar = NEW(run->arena, struct yaml);
        *scalar = (struct yaml){ .kind = YAML_SCALAR, .where = token->where, .text = id };
        list = longer(run->arena, list, YAML_LIST, list ? list->where : token->where);
        list->item[list->count++] = scalar;
    }
    return list;
}

static bool saved_whole(const struct yaml *section, const char *module)
{
    const struct yaml *save = yaml_find(section, "modules_to_save");
    for (int i = 0; save && save->kind == YAML_LIST && i < save->count; i++)
        if (save->item[i]->kind == YAML_SCALAR && name_ends_in(module, save->item[i]->text))
            return true;
    return false;
}

/* Its module. */
static const char *embedding(const struct run *run)
{
    const char *name = run->model.embed->name;
    return arena_text(run->arena, name, strlen(name) - strlen(".weight"));
}

/* The entry of a map for a module, or the short name that a new one gets. */
static const char *entry_of(const struct yaml *map, const char *module)
{
    for (int i = 0; map && i < map->count; i++)
        if (name_ends_in(module, map->key[i]))
            return map->key[i];
    const char *dot = strrchr(module, '.');
    return dot ? dot + 1 : module;
}

static bool trains_rows(const struct yaml *section)
{
    const struct yaml *type = yaml_find(section, "peft_type");
    const struct adapter_kind *kind = type && type->kind == YAML_SCALAR ? adapter_kind_find(type->text) : NULL;
    for (size_t i = 0; kind && i < kind->settings; i++)
        if (strcmp(kind->setting[i].name, key) == 0)
            return true;
    return !kind; /* unknown, or in the folder of init_from: said elsewhere */
}

enum status added_tokens_section(const struct run *run, const struct yaml **section, struct error *err)
{
    const struct model *model = &run->model;
    struct arena *arena = run->arena;
    *section = run->config.adapter;
    if (run->config.data.addeds == 0)
        return OK;
    if (!trains_rows(*section))
        return fail_with(err, BAD_CONFIG, "%s: data.added_tokens: adapter.peft_type %s trains no rows of the embedding",
                         "use peft_type: LORA, or leave added_tokens out", run->config.data.added[0].where, yaml_find(*section, "peft_type")->text);
    const char *embed = embedding(run), *head = model->head_site.module;
    struct yaml *old = settings_given(*section, key) ? yaml_find(*section, key) : NULL;
    const bool tied = model->head == model->embed, embed_whole = saved_whole(*section, embed), head_whole = saved_whole(*section, head);
    if (tied && (!old || old->kind == YAML_LIST)) {
        if (!embed_whole)
            *section = with(arena, *section, key, with_ids(run, old));
        return OK;
    }
    struct yaml *map = old && old->kind == YAML_LIST ? with(arena, NULL, entry_of(NULL, embed), old) : old;
    if (map && map->kind != YAML_MAP)
        return OK;
    if (!embed_whole)
        map = with(arena, map, entry_of(map, embed), with_ids(run, yaml_find(map, entry_of(map, embed))));
    if (!head_whole && (!tied || yaml_find(map, entry_of(map, head))))
        map = with(arena, map, entry_of(map, head), with_ids(run, yaml_find(map, entry_of(map, head))));
    if (map)
        *section = with(arena, *section, key, map);
    return OK;
}

static bool is_added(const struct run *run, int32_t id)
{
    for (int i = 0; i < run->config.data.addeds; i++)
        if (tokenizer_id(run->tokenizer, run->config.data.added[i].text) == id)
            return true;
    return false;
}

/* The tokens whose rows a new one begins as the mean of. */
static enum status find_start(const struct run *run, const struct added_token *token, struct row_start *start, struct error *err)
{
    const bool all = text_equal(token->init, "mean");
    struct tokens tokens = { 0 };
    if (!all && tokenizer_encode(run->tokenizer, run->arena, token->init, strlen(token->init), false, &tokens, err) != OK)
        return place_failure(err, token->where);
    const int64_t most = all ? tokenizer_size(run->tokenizer) : tokens.count;
    int32_t *from = NEW_ARRAY(run->arena, most, int32_t);
    *start = (struct row_start){ .id = tokenizer_id(run->tokenizer, token->text), .from = from };
    for (int64_t i = 0; i < most; i++) {
        const int32_t id = all ? (int32_t)i : tokens.token[i].id;
        if (all && (is_added(run, id) || id >= run->model_config.vocab))
            continue;
        if (is_added(run, id) || id >= run->model_config.vocab)
            return fail_with(err, BAD_CONFIG, "%s: data.added_tokens: init '%.100s' has a token that is new itself", "name text that the model knows",
                             token->where, token->init);
        from[start->count++] = id;
    }
    if (start->count == 0)
        return fail_with(err, BAD_CONFIG, "%s: data.added_tokens: init '%.100s' has no token", "write mean, or a text of at least one token", token->where,
                         token->init);
    return OK;
}

enum status added_tokens_attach(const struct run *run, struct adapter *adapter, struct error *err)
{
    const struct data_settings *data = &run->config.data;
    const char *from = init_from(run);
    struct row_start *start = NEW_ARRAY(run->arena, data->addeds, struct row_start);
    adapter->row_start = start;
    if (data->addeds || (from && tokenizer_exists(run->arena, from)))
        adapter->tokenizer = run->tokenizer;
    for (int i = 0; i < data->addeds; i++) {
        const struct added_token *token = &data->added[i];
        if (!token->init)
            continue;
        if (adapter->init_from)
            return fail_with(err, BAD_CONFIG, "%s: data.added_tokens: init of '%.100s', but adapter.init_from is given",
                             "remove init: the row comes from there", token->where, token->text);
        if (saved_whole(run->config.adapter, embedding(run)) || saved_whole(run->config.adapter, run->model.head_site.module))
            return fail_with(err, BAD_CONFIG,
                             "%s: data.added_tokens: init of '%.100s', but adapter.modules_to_save trains the whole table from where it stands",
                             "remove init, or the module from modules_to_save", token->where, token->text);
        TRY(find_start(run, token, &start[adapter->row_starts++], err));
    }
    return OK;
}
