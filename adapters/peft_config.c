/* Reading adapter_config.json: its members become a YAML map, so that the rows that read the user's settings read PEFT's too.
 *
 * It fails closed: a member that would change what the adapter computes, and that graft does not compute, is refused by name.
 */
#include "adapters/peft_files.h"

#include "common/files.h"
#include "common/json.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 8 };

/* Members that graft has no setting for, and the values with which they change nothing. NULL: any value. null, false and empty are always fine. */
static const struct {
    const char *key, *neutral;
} known[] = {
    { "auto_mapping", NULL }, { "base_model_name_or_path", NULL }, { "inference_mode", NULL }, { "megatron_core", NULL },        { "peft_type", NULL },
    { "peft_version", NULL }, { "qalora_group_size", NULL },       { "revision", NULL },       { "task_type", "\"CAUSAL_LM\"" },
};

static bool says_nothing(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    default:
        return false;
    }
}

static enum status refuse(struct arena *arena, const char *path, const char *key, const json_t *value, struct error *err)
{
    char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *text = arena_print(arena, "%.200s", shown ? shown : "?");
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(shown);
    return fail_with(err, BAD_FILE, "%s: '%s' is %s, which graft does not compute", "use an adapter without it, or PEFT itself", path, key, text);
}

static enum status is_harmless(struct arena *arena, const char *path, const char *key, const json_t *value, struct error *err)
{
    if (says_nothing(value))
        return OK;
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcmp(known[i].key, key) != 0)
            continue;
        json_t *neutral = known[i].neutral ? json_loads(known[i].neutral, JSON_DECODE_ANY, NULL) : NULL;
        const bool fine = !known[i].neutral || json_equal(neutral, value);
        json_decref(neutral);
        return fine ? OK : refuse(arena, path, key, value, err);
    }
    return refuse(arena, path, key, value, err);
}

static enum status convert(struct arena *arena, const char *where, const json_t *value, int depth, struct yaml **out, struct error *err);

/* The items of an object or array, after the node itself. */
static enum status convert_items(struct arena *arena, const json_t *value, int depth, struct yaml *node, struct error *err)
{
    const size_t count = json_is_object(value) ? json_object_size(value) : json_array_size(value);
    void *at = json_object_iter((json_t *)(uintptr_t)value);
    if (depth == DEEPEST || count > INT_MAX)
        return fail_with(err, BAD_FILE, "%s: more than %d values inside each other", "PEFT's settings are flat: check the file", node->where, DEEPEST);
    node->item = NEW_ARRAY(arena, count, struct yaml *);
    node->key = node->kind == YAML_MAP ? NEW_ARRAY(arena, count, const char *) : NULL;
    node->key_where = node->kind == YAML_MAP ? NEW_ARRAY(arena, count, const char *) : NULL;
    for (; (size_t)node->count < count; node->count++) {
        const json_t *item = at ? json_object_iter_value(at) : json_array_get(value, (size_t)node->count);
        TRY(convert(arena, node->where, item, depth + 1, &node->item[node->count], err));
        if (!at)
            continue;
        node->key[node->count] = arena_text(arena, json_object_iter_key(at), strlen(json_object_iter_key(at)));
        node->key_where[node->count] = node->where;
        at = json_object_iter_next((json_t *)(uintptr_t)value, at);
    }
    return OK;
}

static enum status convert(struct arena *arena, const char *where, const json_t *value, int depth, struct yaml **out, struct error *err)
{
    struct yaml *node = NEW(arena, struct yaml);
    node->where = where;
    node->kind = json_is_object(value) ? YAML_MAP : json_is_array(value) ? YAML_LIST : YAML_SCALAR;
    node->quoted = json_is_string(value);
    *out = node;
    if (node->kind != YAML_SCALAR)
        return convert_items(arena, value, depth, node, err);
    if (json_is_string(value))
        node->text = arena_text(arena, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        node->text = arena_print(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        node->text = arena_print(arena, "%.17g", json_real_value(value));
    else
        node->text = json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null";
    return OK;
}

static bool is_setting(const struct adapter_kind *kind, const char *key)
{
    for (size_t i = 0; i < kind->settings; i++)
        if (strcmp(kind->setting[i].name, key) == 0)
            return true;
    return false;
}

static enum status find_kind(struct peft_config *config, const json_t *root, struct error *err)
{
    const char *type = NULL;
    if (!json_is_object(root))
        return fail_with(err, BAD_FILE, "%s: holds no JSON object", "give a folder that PEFT or graft wrote", config->path);
    TRY(json_get_text(root, config->path, "peft_type", &type, err));
    if (!type)
        return fail_with(err, BAD_FILE, "%s: has no 'peft_type'", "give a folder that PEFT or graft wrote", config->path);
    config->kind = adapter_kind_find(type);
    if (config->kind)
        return OK;
    fail_with(err, BAD_FILE, "%s: peft_type '%.100s' is no method that graft has", "", config->path, type);
    const char *const *names = adapter_kind_names();
    char list[400] = "";
    for (int i = 0; names[i]; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    return cure_with(err, "graft reads %s", list);
}

static enum status read_members(struct peft_config *config, struct arena *arena, json_t *root, struct error *err)
{
    const char *key;
    json_t *value, *settings = json_object();
    enum status status = find_kind(config, root, err);
    json_object_foreach(root, key, value)
    {
        if (status == OK && !is_setting(config->kind, key))
            status = is_harmless(arena, config->path, key, value, err);
        else if (status == OK && !json_is_null(value)) /* null is PEFT's way to say that the default is meant */
            json_object_set(settings, key, value);
    }
    if (status == OK)
        status = convert(arena, config->path, settings, 0, &config->settings, err);
    json_decref(settings);
    return status;
}

enum status peft_config_read(struct peft_config *config, struct arena *arena, const char *folder, struct error *err)
{
    json_t *root;
    *config = (struct peft_config){ .path = path_join(arena, folder, "adapter_config.json") };
    if (!file_exists(config->path))
        return fail_with(err, BAD_FILE, "%s: no such file", "give the folder of an adapter, as PEFT or graft writes it", config->path);
    TRY(json_read(config->path, &root, err));
    enum status status = read_members(config, arena, root, err);
    json_decref(root);
    return status;
}
