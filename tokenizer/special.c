/* Both files spell a token as a string or as an object with its content; the first file that knows a token decides. */
#include "tokenizer/special.h"
#include "common/files.h"
#include "tokenizer/stage.h"

#include <stddef.h>

enum { LARGEST_FILE = 64 << 20 };

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
        if (json_is_object(value))
            value = json_object_get(value, "content");
        if (value && !json_is_null(value) && !json_is_string(value))
            return fail_with(err, BAD_FILE, "%s: %s is neither a string nor an object with 'content'", REPAIR, path, keys[i].name);
        if (*id < 0 && json_is_string(value))
            *id = tokenizer_id(tokenizer, json_string_value(value));
    }
    return OK;
}

/* Such files commonly say 1000000000000000019884624838656 for "no limit", so whole numbers are read as reals here. */
static enum status load(json_t **json, struct arena *arena, const char *path, struct error *err)
{
    char *bytes;
    size_t size;
    json_error_t place;
    TRY(file_read(arena, path, LARGEST_FILE, &bytes, &size, err));
    *json = json_loadb(bytes, size, JSON_DECODE_INT_AS_REAL, &place);
    return *json ? OK : fail_with(err, BAD_FILE, "%s:%d:%d: %s", "fetch the file again", path, place.line, place.column, place.text);
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
        TRY(load(&json, arena, path, err));
        enum status status = read_ids(ids, tokenizer, json, path, err);
        json_decref(json);
        TRY(status);
    }
    return OK;
}
