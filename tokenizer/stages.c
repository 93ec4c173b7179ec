/* Reading normalizer and pre_tokenizer into stages, and the stages that need no tables.
 *
 * A component of the file is a row: its type, the keys it may have, the function that turns it into stages. Keys that graft does not
 * know are refused like types it does not know: a key of a newer version may change what the component does.
 */
#include "tokenizer/charsmap.h"
#include "tokenizer/stage.h"

#include <string.h>

struct reader {
    struct stages *stages;
    const struct component *rows;
    size_t row_count;
    int depth;
};

struct component {
    const char *type, *keys;
    enum status (*read)(struct reader *reader, const json_t *json, const char *where, struct error *err);
    struct stage stage; /* what `read` starts from */
};

static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char *const behaviour_name[] = { [REMOVED] = "Removed",
                                              [ISOLATED] = "Isolated",
                                              [MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                              [MERGED_WITH_NEXT] = "MergedWithNext",
                                              [CONTIGUOUS] = "Contiguous" };

static enum status add_stage(struct stages *stages, struct stage stage, const char *where, struct error *err)
{
    if (stages->count == MOST_STAGES)
        return fail_with(err, BAD_FILE, "%s: more than %d steps", REPAIR, where, MOST_STAGES);
    if (stages->count == stages->capacity) {
        int capacity = stages->capacity ? stages->capacity * 2 : 8;
        stages->stage = arena_grow(stages->arena, stages->stage, (size_t)stages->count, (size_t)capacity, sizeof stage);
        stages->capacity = capacity;
    }
    stages->stage[stages->count++] = stage;
    return OK;
}

/* A text that must be there. */
static enum status need_text(const json_t *json, const char *where, const char *key, const char **text, struct error *err)
{
    *text = NULL;
    TRY(json_get_text(json, where, key, text, err));
    return *text ? OK : fail_with(err, BAD_FILE, "%s: '%s' is missing", REPAIR, where, key);
}

static enum status need_bool(const json_t *json, const char *where, const char *key, bool *value, struct error *err)
{
    if (!json_object_get(json, key))
        return fail_with(err, BAD_FILE, "%s: '%s' is missing", REPAIR, where, key);
    return json_get_bool(json, where, key, value, err);
}

enum status component_type(const json_t *json, const char *where, const char **type, struct error *err)
{
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: not an object", "a component of tokenizer.json is {\"type\": ...} or null", where);
    return need_text(json, where, "type", type, err);
}

enum status component_keys(const json_t *json, const char *where, const char *known, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        size_t length = strlen(key);
        const char *place = length ? known : NULL;
        while (place && (place = strstr(place, key)) && ((place != known && place[-1] != ' ') || (place[length] != ' ' && place[length] != 0)))
            place++;
        if (!place && strcmp(key, "type") != 0)
            return fail_with(err, BAD_FILE, "%s: unknown key '%.100s'", "graft cannot know what it changes, so it does not guess", where, key);
    }
    return OK;
}

enum status component_unknown(const char *where, const char *type, const char *cure, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: type '%.100s' is not supported", cure, where, type);
}

enum status component_pattern(struct arena *arena, const json_t *json, const char *where, const char *key, struct pattern **list,
                              const struct pattern **pattern, struct error *err)
{
    const json_t *object = json_object_get(json, key);
    const json_t *literal = json_object_get(object, "String"), *regex = json_object_get(object, "Regex");
    const json_t *text = literal ? literal : regex;
    if (!json_is_string(text) || (literal && regex))
        return fail_with(err, BAD_FILE, "%s: '%s' is neither {\"String\": ...} nor {\"Regex\": ...}", REPAIR, where, key);
    return pattern_compile(list, arena, where, json_string_value(text), json_string_length(text), literal != NULL, pattern, err);
}

/* The text of the stage, copied out of the document. */
static void set_content(struct reader *reader, struct stage *stage, const char *content)
{
    stage->length = (uint32_t)strlen(content);
    stage->content = arena_text(reader->stages->arena, content, stage->length);
}

static enum status read_component(struct reader *reader, const json_t *json, const char *where, struct error *err);
static const struct component *row_of(const struct reader *reader, const json_t *json);

/* Normalizers and pre-tokenizers name their list differently. */
static enum status read_sequence(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    const json_t *list = json_object_get(json, row_of(reader, json)->keys);
    if (!json_is_array(list))
        return fail_with(err, BAD_FILE, "%s: '%s' is not a list", REPAIR, where, row_of(reader, json)->keys);
    if (++reader->depth > DEEPEST_SEQUENCE)
        return fail_with(err, BAD_FILE, "%s: sequences nested deeper than %d", REPAIR, where, DEEPEST_SEQUENCE);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_component(reader, json_array_get(list, i), arena_print(reader->stages->arena, "%s[%zu]", where, i), err));
    reader->depth--;
    return OK;
}

/* The stage of the row, as it is. */
static enum status read_plain(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    return add_stage(reader->stages, row_of(reader, json)->stage, where, err);
}

static enum status read_prepend(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage stage = { .kind = PREFIX };
    const char *content;
    TRY(need_text(json, where, "prepend", &content, err));
    set_content(reader, &stage, content);
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_strip(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage stage = { .kind = STRIP };
    TRY(need_bool(json, where, "strip_left", &stage.left, err));
    TRY(need_bool(json, where, "strip_right", &stage.right, err));
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_replace(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage stage = { .kind = REPLACE };
    const char *content;
    TRY(need_text(json, where, "content", &content, err));
    set_content(reader, &stage, content);
    TRY(component_pattern(reader->stages->arena, json, where, "pattern", reader->stages->patterns, &stage.pattern, err));
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_precompiled(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage stage = { .kind = CHARSMAP };
    const char *base64;
    TRY(need_text(json, where, "precompiled_charsmap", &base64, err));
    TRY(charsmap_read(&stage.charsmap, reader->stages->arena, where, base64, err));
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_byte_level(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage prefix = { .kind = PREFIX, .unless_there = true }, cut = { .kind = CUT, .behaviour = ISOLATED };
    bool add_prefix_space = false, use_regex = true;
    TRY(need_bool(json, where, "add_prefix_space", &add_prefix_space, err));
    TRY(json_get_bool(json, where, "use_regex", &use_regex, err));
    set_content(reader, &prefix, " ");
    if (add_prefix_space)
        TRY(add_stage(reader->stages, prefix, where, err));
    if (use_regex) {
        TRY(pattern_compile(reader->stages->patterns, reader->stages->arena, where, gpt2_pattern, strlen(gpt2_pattern), false, &cut.pattern, err));
        TRY(add_stage(reader->stages, cut, where, err));
    }
    return add_stage(reader->stages, (struct stage){ .kind = BYTES }, where, err);
}

static enum status read_metaspace(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stages *stages = reader->stages;
    struct stage replace = { .kind = REPLACE }, prefix = { .kind = PREFIX, .unless_there = true }, cut = { .kind = CUT, .behaviour = MERGED_WITH_NEXT };
    const char *mark, *scheme = NULL;
    bool add_prefix_space = true, split = true;
    uint32_t code;
    TRY(need_text(json, where, "replacement", &mark, err));
    size_t length = strlen(mark);
    if (length == 0 || utf8_decode(mark, length, &code) != (int)length)
        return fail_with(err, BAD_FILE, "%s: replacement '%.100s' is not one character", REPAIR, where, mark);
    TRY(json_get_text(json, where, "prepend_scheme", &scheme, err));
    TRY(json_get_bool(json, where, "add_prefix_space", &add_prefix_space, err));
    TRY(json_get_bool(json, where, "split", &split, err));
    if (!scheme)
        scheme = add_prefix_space ? "always" : "never";
    prefix.only_at_start = strcmp(scheme, "first") == 0;
    if (!prefix.only_at_start && strcmp(scheme, "always") != 0 && strcmp(scheme, "never") != 0)
        return fail_with(err, BAD_FILE, "%s: prepend_scheme '%.100s' is not one of always, first, never", REPAIR, where, scheme);
    if (!add_prefix_space && strcmp(scheme, "never") != 0)
        return fail_with(err, BAD_FILE, "%s: add_prefix_space is false, but prepend_scheme is '%s'", REPAIR, where, scheme);
    TRY(pattern_compile(stages->patterns, stages->arena, where, " ", 1, true, &replace.pattern, err));
    TRY(pattern_compile(stages->patterns, stages->arena, where, mark, length, true, &cut.pattern, err));
    set_content(reader, &replace, mark);
    set_content(reader, &prefix, mark);
    TRY(add_stage(stages, replace, where, err));
    if (strcmp(scheme, "never") != 0)
        TRY(add_stage(stages, prefix, where, err));
    return split ? add_stage(stages, cut, where, err) : OK;
}

static enum status read_behaviour(const json_t *json, const char *where, enum behaviour *behaviour, struct error *err)
{
    const char *name = NULL;
    TRY(json_get_text(json, where, "behavior", &name, err));
    for (size_t i = 0; i < COUNT(behaviour_name); i++)
        if (name && strcmp(name, behaviour_name[i]) == 0) {
            *behaviour = (enum behaviour)i;
            return OK;
        }
    return name ? fail_with(err, BAD_FILE, "%s: unknown behavior '%.100s'", REPAIR, where, name) : OK;
}

static enum status read_split(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage stage = { .kind = CUT };
    const char *behaviour;
    TRY(need_text(json, where, "behavior", &behaviour, err));
    TRY(read_behaviour(json, where, &stage.behaviour, err));
    TRY(need_bool(json, where, "invert", &stage.invert, err));
    TRY(component_pattern(reader->stages->arena, json, where, "pattern", reader->stages->patterns, &stage.pattern, err));
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_delimiter(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage stage = { .kind = CUT, .behaviour = REMOVED };
    const char *delimiter;
    uint32_t code;
    TRY(need_text(json, where, "delimiter", &delimiter, err));
    size_t length = strlen(delimiter);
    if (length == 0 || utf8_decode(delimiter, length, &code) != (int)length)
        return fail_with(err, BAD_FILE, "%s: delimiter '%.100s' is not one character", REPAIR, where, delimiter);
    TRY(pattern_compile(reader->stages->patterns, reader->stages->arena, where, delimiter, length, true, &stage.pattern, err));
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_digits(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    bool individual = false;
    TRY(need_bool(json, where, "individual_digits", &individual, err));
    struct stage stage = { .kind = CUT, .class = NUMERIC, .behaviour = individual ? ISOLATED : CONTIGUOUS };
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_punctuation(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    struct stage stage = { .kind = CUT, .class = PUNCTUATION, .behaviour = ISOLATED };
    TRY(read_behaviour(json, where, &stage.behaviour, err));
    return add_stage(reader->stages, stage, where, err);
}

/* Words are runs of word characters (joiners among them) and runs of other visible characters. */
static enum status read_whitespace(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    (void)json;
    static const char pattern[] = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]+"
                                  "|[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}\\s]+";
    struct stage stage = { .kind = CUT, .behaviour = REMOVED, .invert = true };
    TRY(pattern_compile(reader->stages->patterns, reader->stages->arena, where, pattern, strlen(pattern), false, &stage.pattern, err));
    return add_stage(reader->stages, stage, where, err);
}

static enum status read_bert(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    (void)json;
    TRY(add_stage(reader->stages, (struct stage){ .kind = CUT, .class = WHITE_SPACE, .behaviour = REMOVED }, where, err));
    return add_stage(reader->stages, (struct stage){ .kind = CUT, .class = PUNCTUATION, .behaviour = ISOLATED }, where, err);
}

static const struct component normalizer[] = {
    { "Sequence", "normalizers", read_sequence, { 0 } },
    { "NFC", "", read_plain, { .kind = UNICODE_FORM, .composed = true } },
    { "NFD", "", read_plain, { .kind = UNICODE_FORM } },
    { "NFKC", "", read_plain, { .kind = UNICODE_FORM, .composed = true, .compatible = true } },
    { "NFKD", "", read_plain, { .kind = UNICODE_FORM, .compatible = true } },
    { "Lowercase", "", read_plain, { .kind = LOWERCASE } },
    { "StripAccents", "", read_plain, { .kind = STRIP_ACCENTS } },
    { "Strip", "strip_left strip_right", read_strip, { 0 } },
    { "Prepend", "prepend", read_prepend, { 0 } },
    { "Replace", "pattern content", read_replace, { 0 } },
    { "Precompiled", "precompiled_charsmap", read_precompiled, { 0 } },
    { "Nmt", "", read_plain, { .kind = NMT } },
    { "ByteLevel", "", read_plain, { .kind = BYTES } },
};

static const struct component pretokenizer[] = {
    { "Sequence", "pretokenizers", read_sequence, { 0 } },
    { "ByteLevel", "add_prefix_space trim_offsets use_regex", read_byte_level, { 0 } },
    { "Metaspace", "replacement add_prefix_space prepend_scheme split str_rep", read_metaspace, { 0 } },
    { "Split", "pattern behavior invert", read_split, { 0 } },
    { "CharDelimiterSplit", "delimiter", read_delimiter, { 0 } },
    { "Digits", "individual_digits", read_digits, { 0 } },
    { "Punctuation", "behavior", read_punctuation, { 0 } },
    { "Whitespace", "", read_whitespace, { 0 } },
    { "WhitespaceSplit", "", read_plain, { .kind = CUT, .class = WHITE_SPACE, .behaviour = REMOVED } },
    { "BertPreTokenizer", "", read_bert, { 0 } },
};

static const struct component *row_of(const struct reader *reader, const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    for (size_t i = 0; i < reader->row_count; i++)
        if (type && strcmp(reader->rows[i].type, type) == 0)
            return &reader->rows[i];
    return NULL;
}

static enum status read_component(struct reader *reader, const json_t *json, const char *where, struct error *err)
{
    const char *type;
    TRY(component_type(json, where, &type, err));
    const struct component *row = row_of(reader, json);
    if (!row)
        return component_unknown(where, type, REFUSAL, err);
    const char *named = arena_print(reader->stages->arena, "%s %s", where, type);
    TRY(component_keys(json, named, row->keys, err));
    return row->read(reader, json, named, err);
}

static enum status read_from(struct stages *stages, const struct component *rows, size_t row_count, const char *name, const json_t *json, struct error *err)
{
    struct reader reader = { .stages = stages, .rows = rows, .row_count = row_count };
    if (!json || json_is_null(json))
        return OK;
    return read_component(&reader, json, arena_print(stages->arena, "%s: %s", stages->path, name), err);
}

enum status normalizer_read(struct stages *stages, const json_t *json, struct error *err)
{
    return read_from(stages, normalizer, COUNT(normalizer), "normalizer", json, err);
}

enum status pretokenizer_read(struct stages *stages, const json_t *json, struct error *err)
{
    return read_from(stages, pretokenizer, COUNT(pretokenizer), "pre_tokenizer", json, err);
}
