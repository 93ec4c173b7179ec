/* Reading the decoder into steps. */
#include "tokenizer/decode_steps.h"

#include <string.h>

enum { MOST_STEPS = 64, MOST_STRIPPED = 1 << 20 };

struct reader {
    struct arena *arena;
    struct pattern **patterns;
    struct decoder_step *step;
    int count, depth;
};

static enum status read_decoder(struct reader *reader, const json_t *json, const char *where, struct error *err);

static enum status add_step(struct reader *reader, struct decoder_step step, const char *where, struct error *err)
{
    if (reader->count == MOST_STEPS)
        return fail_with(err, BAD_FILE, "%s: more than %d steps", REPAIR, where, MOST_STEPS);
    step.content = step.content ? arena_text(reader->arena, step.content, step.length) : "";
    reader->step[reader->count++] = step;
    return OK;
}

/* A text that must be there. */
static enum status need_content(const json_t *json, const char *where, const char *key, struct decoder_step *step, struct error *err)
{
    TRY(json_get_text(json, where, key, &step->content, err));
    if (!step->content)
        return fail_with(err, BAD_FILE, "%s: '%s' is missing", REPAIR, where, key);
    step->length = strlen(step->content);
    return OK;
}

static enum status need_character(const json_t *json, const char *where, const char *key, struct decoder_step *step, struct error *err)
{
    uint32_t code;
    TRY(need_content(json, where, key, step, err));
    if (step->length == 0 || utf8_decode(step->content, step->length, &code) != (int)step->length)
        return fail_with(err, BAD_FILE, "%s: %s '%.100s' is not one character", REPAIR, where, key, step->content);
    return OK;
}

static enum status read_byte_level(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    (void)json;
    return add_step(reader, (struct decoder_step){ .kind = DECODE_BYTE_LEVEL }, where, err);
}

static enum status read_byte_fallback(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    (void)json;
    return add_step(reader, (struct decoder_step){ .kind = DECODE_BYTE_FALLBACK }, where, err);
}

static enum status read_fuse(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    (void)json;
    return add_step(reader, (struct decoder_step){ .kind = DECODE_FUSE }, where, err);
}

static enum status read_metaspace(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct decoder_step step = { .kind = DECODE_METASPACE };
    const char *scheme = NULL;
    bool add_prefix_space = true;
    TRY(need_character(json, where, "replacement", &step, err));
    TRY(json_get_text(json, where, "prepend_scheme", &scheme, err));
    TRY(json_get_bool(json, where, "add_prefix_space", &add_prefix_space, err));
    if (scheme && strcmp(scheme, "always") != 0 && strcmp(scheme, "first") != 0 && strcmp(scheme, "never") != 0)
        return fail_with(err, BAD_FILE, "%s: prepend_scheme '%.100s' is not one of always, first, never", REPAIR, where, scheme);
    step.drops_first = add_prefix_space && !(scheme && strcmp(scheme, "never") == 0);
    return add_step(reader, step, where, err);
}

static enum status read_replace(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct decoder_step step = { .kind = DECODE_REPLACE };
    TRY(need_content(json, where, "content", &step, err));
    TRY(component_pattern(reader->arena, json, where, "pattern", reader->patterns, &step.pattern, err));
    return add_step(reader, step, where, err);
}

static enum status read_strip(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct decoder_step step = { .kind = DECODE_STRIP };
    TRY(need_character(json, where, "content", &step, err));
    TRY(json_get_int(json, where, "start", 0, MOST_STRIPPED, &step.start, err));
    TRY(json_get_int(json, where, "stop", 0, MOST_STRIPPED, &step.stop, err));
    return add_step(reader, step, where, err);
}

static enum status read_suffix(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct decoder_step step = { .kind = DECODE_WORD_SUFFIX };
    TRY(need_content(json, where, "suffix", &step, err));
    if (step.length == 0)
        return fail_with(err, BAD_FILE, "%s: an empty suffix", REPAIR, where);
    return add_step(reader, step, where, err);
}

static enum status read_sequence(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    const json_t *list = json_object_get(json, "decoders");
    if (!json_is_array(list))
        return fail_with(err, BAD_FILE, "%s: 'decoders' is not a list", REPAIR, where);
    if (++reader->depth > DEEPEST_SEQUENCE)
        return fail_with(err, BAD_FILE, "%s: sequences nested deeper than %d", REPAIR, where, DEEPEST_SEQUENCE);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_decoder(reader, json_array_get(list, i), arena_print(reader->arena, "%s[%zu]", where, i), err));
    reader->depth--;
    return OK;
}

static const struct component {
    const char *type, *keys;
    enum status (*read)(struct reader *reader, const json_t *json, const char *where, struct error *err);
} component[] = {
    /* clang-format off */
    { "Sequence",     "decoders",                                                  read_sequence      },
    { "ByteLevel",    "add_prefix_space trim_offsets use_regex",                   read_byte_level    },
    { "ByteFallback", "",                                                          read_byte_fallback },
    { "Metaspace",    "replacement add_prefix_space prepend_scheme split str_rep", read_metaspace     },
    { "Replace",      "pattern content",                                           read_replace       },
    { "Fuse",         "",                                                          read_fuse          },
    { "Strip",        "content start stop",                                        read_strip         },
    { "BPEDecoder",   "suffix",                                                    read_suffix        },
    /* clang-format on */
};

static enum status read_decoder(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    const char *type;
    TRY(component_type(json, where, &type, err));
    for (size_t i = 0; i < COUNT(component); i++) {
        if (strcmp(component[i].type, type) != 0)
            continue;
        where = arena_print(reader->arena, "%s %s", where, type);
        TRY(component_keys(json, where, component[i].keys, err));
        return component[i].read(reader, json, where, err);
    }
    return component_unknown(where, type, REFUSAL, err);
}

enum status decoder_read(struct decoder *decoder, struct arena *arena, const char *path, const json_t *json, struct pattern **patterns, struct error *err)
{
    struct reader reader = { .arena = arena, .patterns = patterns, .step = NEW_ARRAY(arena, MOST_STEPS, struct decoder_step) };
    const char *where = arena_print(arena, "%s: decoder", path);
    if (json && !json_is_null(json))
        TRY(read_decoder(&reader, json, where, err));
    else
        TRY(add_step(&reader, (struct decoder_step){ .kind = DECODE_JOIN }, where, err));
    *decoder = (struct decoder){ reader.step, reader.count };
    return OK;
}
