/* The list of a tokenizer.json made longer, in the tree and in the text; and the small file beside it. */
#include "tokenizer/extend.h"

#include "common/files.h"
#include "tokenizer/scan.h"
#include "tokenizer/stage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_TEMPLATE = 1 << 24 };

/* The members that both files give a token. */
static json_t *token_json(const struct added_token *token)
{
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", token->text, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", !token->special,
                     "special", token->special);
}

static bool has_token(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (text_equal(json_string_value(json_object_get(json_array_get(list, i), "content")), text))
            return true;
    return false;
}

void extension_list(struct extension *extension, json_t *json)
{
    json_t *list = json_object_get(json, "added_tokens");
    extension->has_list = list != NULL;
    if (extension->count && json_is_object(json) && (!list || json_is_null(list))) {
        json_object_set_new(json, "added_tokens", json_array());
        list = json_object_get(json, "added_tokens");
    }
    for (int i = 0; i < extension->count && json_is_array(list); i++) {
        extension->is_new[i] = !has_token(list, extension->token[i].text);
        if (extension->is_new[i])
            json_array_append_new(list, token_json(&extension->token[i]));
    }
}

static void add_entries(struct text *text, const struct extension *extension, const struct tokenizer *tokenizer, bool first)
{
    for (int i = 0; i < extension->count; i++) {
        const struct added_token *token = &extension->token[i];
        if (!extension->is_new[i])
            continue;
        text_print(text, "%s\n    {\"id\": %" PRId32 ", \"content\": ", first ? "" : ",", tokenizer_id(tokenizer, token->text));
        text_add_json(text, token->text, strlen(token->text));
        text_print(text, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": %s, \"special\": %s}",
                   token->special ? "false" : "true", token->special ? "true" : "false");
        first = false;
    }
}

enum status extension_text(struct extension *extension, const struct tokenizer *tokenizer, struct arena *arena, const char *path, const char *bytes,
                           size_t size, struct error *err)
{
    const struct slice list = scan_member(bytes, size, "\"added_tokens\"");
    const char *cut = list.bytes ? list.bytes : memchr(bytes, '{', size) + 1, *behind = cut; /* what lies between them is replaced */
    struct text *text = &extension->text;
    bool any = false;
    *text = text_new(arena);
    for (int i = 0; i < extension->count; i++)
        any |= extension->is_new[i];
    if (!any) {
        text_add(text, bytes, size);
        return OK;
    }
    if (extension->has_list != (list.bytes != NULL))
        return fail_with(err, BAD_FILE, "%s: added_tokens is spelled with escapes", "spell the key as it is", path);
    const bool is_list = list.bytes && *list.bytes == '[';
    if (list.bytes)
        behind = list.bytes + list.length;
    if (is_list)
        for (cut = behind; *cut != ']';)
            cut--;
    const char *last = cut;
    while (is_list && strchr(" \t\r\n", last[-1]))
        last--;
    text_add(text, bytes, (size_t)((is_list ? last : cut) - bytes));
    text_add_string(text, is_list ? "" : list.bytes ? "[" : "\"added_tokens\": [");
    add_entries(text, extension, tokenizer, !is_list || last[-1] == '[');
    text_add_string(text, list.bytes ? "\n  ]" : "\n  ],");
    text_add(text, behind, (size_t)(bytes + size - behind));
    return OK;
}

/* Members of a small file that the object lacks. */
static enum status take_over(json_t *object, const char *path, const char *only, struct error *err)
{
    json_t *json = NULL;
    if (!file_exists(path))
        return OK;
    TRY(json_read(path, &json, err));
    const bool good = json_is_object(json);
    json_t *one = only ? json_object_get(json, only) : NULL;
    if (good && !only)
        json_object_update_missing(object, json);
    else if (good && one && !json_object_get(object, only))
        json_object_set(object, only, one);
    json_decref(json);
    return good ? OK : fail_with(err, BAD_FILE, "%s: not an object", REPAIR, path);
}

/* A template in a file of its own comes before one in tokenizer_config.json, and that before chat_template.json: see chat_template_read(). */
static enum status take_template(json_t *object, struct arena *arena, const char *path, struct error *err)
{
    char *bytes;
    size_t size;
    if (!file_exists(path))
        return OK;
    TRY(file_read(arena, path, LARGEST_TEMPLATE, &bytes, &size, err));
    return json_object_set_new(object, "chat_template", json_stringn(bytes, size)) == 0 ? OK : fail_with(err, BAD_FILE, "%s: invalid UTF-8", REPAIR, path);
}

static enum status make_config(json_t *object, const struct extension *extension, const struct tokenizer *tokenizer, struct arena *arena, const char *folder,
                               struct error *err)
{
    TRY(take_template(object, arena, path_join(arena, folder, "chat_template.jinja"), err));
    TRY(take_over(object, path_join(arena, folder, "tokenizer_config.json"), NULL, err));
    TRY(take_over(object, path_join(arena, folder, "special_tokens_map.json"), NULL, err));
    TRY(take_over(object, path_join(arena, folder, "chat_template.json"), "chat_template", err));
    json_t *tokens = json_object_get(object, "added_tokens_decoder");
    for (int i = 0; i < extension->count && json_is_object(tokens); i++)
        if (extension->is_new[i])
            json_object_set_new(tokens, arena_print(arena, "%" PRId32, tokenizer_id(tokenizer, extension->token[i].text)), token_json(&extension->token[i]));
    /* An adapter's folder has no config.json to say the class. */
    if (!json_object_get(object, "tokenizer_class"))
        json_object_set_new(object, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    return OK;
}

enum status extension_config(const struct extension *extension, const struct tokenizer *tokenizer, struct arena *arena, const char *folder, const char *path,
                             struct output *out, struct error *err)
{
    json_t *object = json_object();
    enum status status = make_config(object, extension, tokenizer, arena, folder, err);
    char *text = status == OK ? json_print(object, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
    if (status == OK && !text)
        status = fail_with(err, NO_MEMORY, "%s: no memory to write it", "free some memory", path);
    if (status == OK)
        status = output_open(out, arena, path, true, err);
    if (status == OK)
        output_string(out, text);
    free(text);
    json_decref(object);
    return status;
}
