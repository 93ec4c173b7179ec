/* Three generations of the same knowledge: added_tokens_decoder of tokenizer_config.json has all of it; before that, added_tokens.json had the
 * ids, and the special tokens stood by name in tokenizer_config.json and special_tokens_map.json. The first mention of a string counts.
 */
#include "common/files.h"
#include "tokenizer/slow.h"
#include "tokenizer/stage.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1 << 16 };

static const char *const special_key[] = { "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token" };
static const char *const special_list[] = { "additional_special_tokens", "extra_special_tokens" };

void slow_beside_add(struct slow_beside *beside, struct slow_token token)
{
    for (size_t i = 0; i < beside->count; i++)
        if (strcmp(beside->token[i].content, token.content) == 0)
            return;
    if (beside->count == beside->capacity) {
        size_t capacity = beside->capacity ? beside->capacity * 2 : 64;
        beside->token = arena_grow(beside->arena, beside->token, beside->count, capacity, sizeof token);
        beside->capacity = capacity;
    }
    token.content = arena_text(beside->arena, token.content, strlen(token.content));
    beside->token[beside->count++] = token;
}

/* A string, or an object with content and options. special: named as one; such strings are not normalized. */
static enum status add_spelled(struct slow_beside *beside, const json_t *json, const char *where, bool special, int64_t id, struct error *err)
{
    struct slow_token token = { .id = id, .special = special, .normalized = !special };
    if (beside->count >= MOST_TOKENS)
        return fail_with(err, BAD_FILE, "%s: more than %d tokens", REPAIR, where, MOST_TOKENS);
    if (json_is_string(json)) {
        token.content = json_string_value(json);
    } else {
        TRY(json_get_text(json, where, "content", &token.content, err));
        TRY(json_get_bool(json, where, "single_word", &token.single_word, err));
        TRY(json_get_bool(json, where, "lstrip", &token.lstrip, err));
        TRY(json_get_bool(json, where, "rstrip", &token.rstrip, err));
        TRY(json_get_bool(json, where, "normalized", &token.normalized, err));
        TRY(json_get_bool(json, where, "special", &token.special, err));
    }
    if (!token.content)
        return fail_with(err, BAD_FILE, "%s: neither a string nor an object with 'content'", REPAIR, where);
    if (*token.content)
        slow_beside_add(beside, token);
    return OK;
}

/* Special tokens by name. */
static enum status add_named(struct slow_beside *beside, const json_t *json, const char *path, struct error *err)
{
    for (size_t i = 0; i < COUNT(special_key); i++) {
        const json_t *value = json_object_get(json, special_key[i]);
        if (value && !json_is_null(value))
            TRY(add_spelled(beside, value, arena_print(beside->arena, "%s: %s", path, special_key[i]), true, -1, err));
    }
    for (size_t i = 0; i < COUNT(special_list); i++) {
        const json_t *list = json_object_get(json, special_list[i]);
        if (list && !json_is_null(list) && !json_is_array(list) && !json_is_object(list))
            return fail_with(err, BAD_FILE, "%s: %s is not a list", REPAIR, path, special_list[i]);
        for (size_t k = 0; k < json_array_size(list); k++)
            TRY(add_spelled(beside, json_array_get(list, k), arena_print(beside->arena, "%s: %s[%zu]", path, special_list[i], k), true, -1, err));
    }
    return OK;
}

static bool is_named(const json_t *json, const char *content)
{
    for (size_t i = 0; i < COUNT(special_key); i++) {
        const json_t *value = json_object_get(json, special_key[i]);
        value = json_is_object(value) ? json_object_get(value, "content") : value;
        if (json_is_string(value) && strcmp(json_string_value(value), content) == 0)
            return true;
    }
    return false;
}

struct numbered {
    int64_t id;
    const char *key;
    const json_t *value;
};

static int by_id(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* {"32000": {"content": ...}} if the keys are ids, {"token": 32000} otherwise; added in the order of the ids. */
static enum status add_numbered(struct slow_beside *beside, json_t *json, const char *where, bool keys_are_ids, const json_t *map, struct error *err)
{
    struct numbered *numbered = NEW_ARRAY(beside->arena, json_object_size(json), struct numbered);
    size_t count = 0;
    const char *key;
    json_t *value;
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: not an object", REPAIR, where);
    json_object_foreach(json, key, value)
    {
        int64_t id = -1;
        bool good = keys_are_ids ? text_to_int(key, &id) : json_is_integer(value);
        id = keys_are_ids ? id : json_integer_value(value);
        if (!good || id < 0 || id > LARGEST_ID)
            return fail_with(err, BAD_FILE, "%s: '%.100s' has no id from 0 to 2^24 - 1", REPAIR, where, key);
        numbered[count++] = (struct numbered){ id, key, value };
    }
    if (count > 0)
        qsort(numbered, count, sizeof *numbered, by_id);
    for (size_t i = 0; i < count; i++) {
        struct slow_token token = { .content = numbered[i].key, .id = numbered[i].id };
        token.special = !keys_are_ids && (is_named(beside->config, token.content) || is_named(map, token.content));
        token.normalized = !token.special;
        if (keys_are_ids)
            TRY(add_spelled(beside, numbered[i].value, arena_print(beside->arena, "%s: %s", where, numbered[i].key), false, token.id, err));
        else if (count > MOST_TOKENS)
            return fail_with(err, BAD_FILE, "%s: more than %d tokens", REPAIR, where, MOST_TOKENS);
        else if (*token.content)
            slow_beside_add(beside, token);
    }
    return OK;
}

static enum status read_object(struct arena *arena, const char *folder, const char *name, const char **path, json_t **json, struct error *err)
{
    *path = path_join(arena, folder, name);
    if (!file_exists(*path))
        return OK;
    TRY(json_read(*path, json, err));
    return json_is_object(*json) ? OK : fail_with(err, BAD_FILE, "%s: not an object", REPAIR, *path);
}

static enum status add_all(struct slow_beside *beside, const json_t *map, const char *map_path, json_t *added, const char *added_path, struct error *err)
{
    json_t *decoder = json_object_get(beside->config, "added_tokens_decoder");
    if (decoder && !json_is_null(decoder))
        TRY(add_numbered(beside, decoder, arena_print(beside->arena, "%s: added_tokens_decoder", beside->config_path), true, map, err));
    else if (added)
        TRY(add_numbered(beside, added, added_path, false, map, err));
    TRY(add_named(beside, beside->config, beside->config_path, err));
    return add_named(beside, map, map_path, err);
}

enum status slow_beside_read(struct slow_beside *beside, struct arena *arena, const char *folder, struct error *err)
{
    json_t *map = NULL, *added = NULL;
    const char *map_path = NULL, *added_path = NULL;
    *beside = (struct slow_beside){ .arena = arena, .folder = folder };
    enum status status = read_object(arena, folder, "tokenizer_config.json", &beside->config_path, &beside->config, err);
    if (status == OK)
        status = read_object(arena, folder, "special_tokens_map.json", &map_path, &map, err);
    if (status == OK)
        status = read_object(arena, folder, "added_tokens.json", &added_path, &added, err);
    if (status == OK)
        status = add_all(beside, map, map_path, added, added_path, err);
    json_decref(map);
    json_decref(added);
    return status;
}

void slow_beside_close(struct slow_beside *beside)
{
    json_decref(beside->config);
}
