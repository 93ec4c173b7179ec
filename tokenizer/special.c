/* Both files spell a token as a string or as an object with its content; the first file that knows a token decides. */
#include "tokenizer/special.h"
#include "common/files.h"
#include "tokenizer/stage.h"

#include <stddef.h>

static const struct key {
    const char *name;
    size_t offset;
} keys[] = {
    { "bos_token", offsetof(struct special_ids, bos) },
    { "eos_token", offsetof(struct special_ids, eos) },
    { "pad_token", offsetof(struct special_ids, pad) },
};

static enum status read_ids(struct special_ids *ids, const struct tokenizer *tokenizer, const json_t *json, const char *path, struct error *err)
{
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: not an object", REPAIR, path);
    for (size_t i = 0; i < COUNT(keys); i++) {
        int32_t *id = (int32_t *)(void *)((char *)ids + keys[i].offset);
        const json_t *value = json_object_get(json, keys[i].name);
        bool given = value && !json_is_null(value);
        if (json_is_object(value))
            value = json_object_get(value, "content");
        if (given && !json_is_string(value))
            return fail_with(err, BAD_FILE, "%s: %s is neither a string nor an object with 'content'", REPAIR, path, keys[i].name);
        if (*id < 0 && json_is_string(value))
            *id = tokenizer_id(tokenizer, json_string_value(value));
    }
    return OK;
}

enum status special_ids_read(struct special_ids *ids, const struct tokenizer *tokenizer, struct arena *arena, const char *folder, struct error *err)
{
    static const char *const name[] = { "tokenizer_config.json", "special_tokens_map.json" };
    *ids = (struct special_ids){ -1, -1, -1 };
    for (size_t i = 0; i < COUNT(name); i++) {
        const char *path = path_join(arena, folder, name[i]);
        json_t *json = NULL;
        if (!file_exists(path))
            continue;
        TRY(json_read(path, &json, err));
        enum status status = read_ids(ids, tokenizer, json, path, err);
        json_decref(json);
        TRY(status);
    }
    return OK;
}
