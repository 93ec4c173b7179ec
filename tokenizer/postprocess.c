/* Templates for pairs of texts are checked for their shape and otherwise left alone: graft encodes one text at a time.
 *
 * trim_offsets is ignored on purpose: a token's range keeps its leading space, so that training masks can tell where a response begins.
 */
#include "tokenizer/postprocess.h"
#include "tokenizer/stage.h"
#include "tokenizer/vocabulary.h"

#include <inttypes.h>
#include <string.h>

enum { MOST_ITEMS = 4096 };

struct reader {
    struct template *template;
    struct arena *arena;
    int64_t size;
    int depth;
};

static enum status add_item(struct reader *reader, const char *where, int64_t id, struct error *err)
{
    struct template *template = reader->template;
    if (id != THE_TEXT && (id < 0 || id >= reader->size))
        return fail_with(err, BAD_FILE, "%s: id %" PRId64 " is no token's", REPAIR, where, id);
    if (template->count == MOST_ITEMS)
        return fail_with(err, BAD_FILE, "%s: more than %d tokens", REPAIR, where, MOST_ITEMS);
    if (!template->item)
        template->item = NEW_ARRAY(reader->arena, MOST_ITEMS, int32_t);
    template->item[template->count++] = (int32_t)id;
    return OK;
}

/* The ids of a special token of a template. */
static enum status add_special(struct reader *reader, const json_t *json, const json_t *name, const char *where, struct error *err)
{
    const json_t *token = json_object_get(json_object_get(json, "special_tokens"), json_string_value(name));
    const json_t *ids = json_object_get(token, "ids");
    if (!json_is_array(ids))
        return fail_with(err, BAD_FILE, "%s: special_tokens lacks the ids of '%.100s'", REPAIR, where, json_string_value(name));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        if (!json_is_integer(json_array_get(ids, i)))
            return fail_with(err, BAD_FILE, "%s: the ids of '%.100s' are not whole numbers", REPAIR, where, json_string_value(name));
        TRY(add_item(reader, where, json_integer_value(json_array_get(ids, i)), err));
    }
    return OK;
}

/* single: pieces go into the template; pair: they are only looked at. */
static enum status read_pieces(struct reader *reader, const json_t *json, const char *key, const char *where, struct error *err)
{
    const json_t *pieces = json_object_get(json, key);
    bool single = strcmp(key, "single") == 0;
    if (!json_is_array(pieces))
        return fail_with(err, BAD_FILE, "%s: '%s' is not a list", REPAIR, where, key);
    for (size_t i = 0; i < json_array_size(pieces); i++) {
        const json_t *piece = json_array_get(pieces, i);
        const json_t *special = json_object_get(json_object_get(piece, "SpecialToken"), "id");
        const json_t *text = json_object_get(json_object_get(piece, "Sequence"), "id");
        bool is_text = json_is_string(text) && (strcmp(json_string_value(text), "A") == 0 || (!single && strcmp(json_string_value(text), "B") == 0));
        if (!json_is_string(special) && !is_text)
            return fail_with(err, BAD_FILE, "%s: %s[%zu] is neither a SpecialToken nor a Sequence that exists", REPAIR, where, key, i);
        if (single && is_text)
            TRY(add_item(reader, where, THE_TEXT, err));
        else if (single)
            TRY(add_special(reader, json, special, where, err));
    }
    return OK;
}

static enum status read_template(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    TRY(component_keys(json, where, "single pair special_tokens", err));
    TRY(read_pieces(reader, json, "single", where, err));
    return read_pieces(reader, json, "pair", where, err);
}

/* ["</s>", 2] */
static enum status add_named(struct reader *reader, const json_t *json, const char *key, const char *where, struct error *err)
{
    const json_t *pair = json_object_get(json, key);
    if (json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0)) || !json_is_integer(json_array_get(pair, 1)))
        return fail_with(err, BAD_FILE, "%s: '%s' is not [token, id]", REPAIR, where, key);
    return add_item(reader, where, json_integer_value(json_array_get(pair, 1)), err);
}

static enum status read_bert(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    TRY(component_keys(json, where, "sep cls trim_offsets add_prefix_space", err));
    TRY(add_named(reader, json, "cls", where, err));
    TRY(add_item(reader, where, THE_TEXT, err));
    return add_named(reader, json, "sep", where, err);
}

static enum status read_processor(struct reader *reader, const json_t *json, const char *where, struct error *err);

static enum status read_sequence(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    const json_t *list = json_object_get(json, "processors");
    TRY(component_keys(json, where, "processors", err));
    if (!json_is_array(list))
        return fail_with(err, BAD_FILE, "%s: 'processors' is not a list", REPAIR, where);
    if (++reader->depth > DEEPEST_SEQUENCE)
        return fail_with(err, BAD_FILE, "%s: sequences nested deeper than %d", REPAIR, where, DEEPEST_SEQUENCE);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_processor(reader, json_array_get(list, i), arena_print(reader->arena, "%s[%zu]", where, i), err));
    reader->depth--;
    return OK;
}

static const struct processor {
    const char *type;
    bool adds; /* tokens */
    enum status (*read)(struct reader *reader, const json_t *json, const char *where, struct error *err);
} processor[] = {
    { "Sequence", false, read_sequence },          { "ByteLevel", false, NULL }, /* moves offsets only */
    { "TemplateProcessing", true, read_template }, { "RobertaProcessing", true, read_bert },
    { "BertProcessing", true, read_bert },
};

static enum status read_processor(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    const char *type;
    TRY(component_type(json, where, &type, err));
    const char *named = arena_print(reader->arena, "%s %s", where, type);
    for (size_t i = 0; i < COUNT(processor); i++) {
        if (strcmp(processor[i].type, type) != 0)
            continue;
        if (processor[i].adds && reader->template->is_set)
            return fail_with(err, BAD_FILE, "%s: a second processor that adds tokens", REPAIR, named);
        reader->template->is_set |= processor[i].adds;
        return processor[i].read ? processor[i].read(reader, json, where, err) : component_keys(json, where, "add_prefix_space trim_offsets use_regex", err);
    }
    return component_unknown(where, type, REFUSAL, err);
}

enum status postprocessor_read(struct template *template, struct arena *arena, const char *path, const json_t *json, int64_t size, struct error *err)
{
    struct reader reader = { .template = template, .arena = arena, .size = size };
    *template = (struct template){ 0 };
    if (json && !json_is_null(json))
        TRY(read_processor(&reader, json, arena_print(arena, "%s: post_processor", path), err));
    return template->is_set ? OK : add_item(&reader, path, THE_TEXT, err);
}
