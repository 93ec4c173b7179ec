/* The parts put together: opening, encoding, decoding. */
#include "tokenizer/tokenizer.h"
#include "common/files.h"
#include "tokenizer/added.h"
#include "tokenizer/decode.h"
#include "tokenizer/extend.h"
#include "tokenizer/model.h"
#include "tokenizer/postprocess.h"
#include "tokenizer/slow.h"
#include "tokenizer/special.h"
#include "tokenizer/words.h"

#include <inttypes.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 30 };

struct tokenizer {
    struct arena *arena;
    struct pattern *patterns;
    struct stages normalizer, pretokenizer;
    struct model model;
    struct added added;
    struct template template;
    struct decoder decoder;
    struct word_pool *pool;
    struct special_ids special;
    struct entry *token; /* by id, so that one look finds it; bytes NULL: none */
    int64_t size;
    char hash[65];
    const char *folder;
    struct extension extension;
};

/* An added token comes before the model's of its id. */
static void gather_tokens(struct tokenizer *tokenizer)
{
    const struct vocabulary *of[2] = { tokenizer->model.vocabulary, &tokenizer->added.vocabulary };
    tokenizer->token = NEW_ARRAY(tokenizer->arena, tokenizer->size, struct entry);
    for (int v = 0; v < 2; v++)
        for (int64_t id = 0; id < of[v]->size; id++) {
            const struct entry *entry = vocabulary_at(of[v], id);
            if (entry)
                tokenizer->token[id] = *entry;
        }
}

static enum status read_components(struct tokenizer *tokenizer, const char *path, const json_t *json, struct slice vocab, struct slice merges,
                                   struct error *err)
{
    struct arena *arena = tokenizer->arena;
    const char *version = "1.0";
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: not an object", "is this a tokenizer.json?", path);
    TRY(component_keys(json, path, "version truncation padding added_tokens normalizer pre_tokenizer post_processor decoder model", err));
    TRY(json_get_text(json, path, "version", &version, err));
    if (strcmp(version, "1.0") != 0)
        return fail_with(err, BAD_FILE, "%s: version '%.100s'", "graft reads version 1.0", path, version);
    tokenizer->normalizer = tokenizer->pretokenizer = (struct stages){ .arena = arena, .patterns = &tokenizer->patterns, .path = path };
    TRY(normalizer_read(&tokenizer->normalizer, json_object_get(json, "normalizer"), err));
    TRY(pretokenizer_read(&tokenizer->pretokenizer, json_object_get(json, "pre_tokenizer"), err));
    TRY(model_read(&tokenizer->model, arena, path, json_object_get(json, "model"), vocab, merges, err));
    const struct vocabulary *model = tokenizer->model.vocabulary;
    TRY(added_read(&tokenizer->added, arena, path, json_object_get(json, "added_tokens"), model, &tokenizer->normalizer, err));
    tokenizer->size = model->size > tokenizer->added.vocabulary.size ? model->size : tokenizer->added.vocabulary.size;
    gather_tokens(tokenizer);
    TRY(postprocessor_read(&tokenizer->template, arena, path, json_object_get(json, "post_processor"), tokenizer->size, err));
    return decoder_read(&tokenizer->decoder, arena, path, json_object_get(json, "decoder"), &tokenizer->patterns, err);
}

/* Ids come from the order of the tokens, and old folders say which ids they mean. */
static enum status check_ids(const struct tokenizer *tokenizer, const char *path, const json_t *json, struct error *err)
{
    const json_t *list = json_object_get(json, "added_tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
        const char *content = json_string_value(json_object_get(token, "content"));
        if (id && json_integer_value(id) != tokenizer_id(tokenizer, content))
            return fail_with(err, BAD_FILE, "%s: the files beside it give id %" PRId64 " to '%.100s', which would get %" PRId32,
                             "the ids of added tokens must go on where the vocabulary ends, without gaps", path, (int64_t)json_integer_value(id), content,
                             tokenizer_id(tokenizer, content));
    }
    return OK;
}

/* scratch: for what is only needed while reading. */
static enum status read_text(struct tokenizer *tokenizer, struct arena *scratch, const char *path, const char *bytes, size_t size, bool converted,
                             struct error *err)
{
    struct text skeleton;
    struct slice vocab, merges;
    json_t *json = NULL;
    scan_cut(scratch, bytes, size, &skeleton, &vocab, &merges);
    TRY(json_parse(skeleton.bytes, skeleton.length, path, &json, err));
    extension_list(&tokenizer->extension, json);
    enum status status = read_components(tokenizer, path, json, vocab, merges, err);
    if (status == OK && converted)
        status = check_ids(tokenizer, path, json, err);
    json_decref(json);
    if (status == OK && tokenizer->extension.wanted)
        status = extension_text(&tokenizer->extension, tokenizer, tokenizer->arena, path, bytes, size, err);
    if (status == OK)
        hash_bytes(tokenizer->extension.wanted ? tokenizer->extension.text.bytes : bytes, tokenizer->extension.wanted ? tokenizer->extension.text.length : size,
                   tokenizer->hash);
    return status;
}

static enum status read_file(struct tokenizer *tokenizer, struct arena *scratch, const char *path, struct error *err)
{
    struct map map;
    size_t bad;
    TRY(map_open(&map, path, err));
    const char *bytes = map.size ? (const char *)map.bytes : "";
    enum status status = OK;
    if (map.size > LARGEST_FILE)
        status = fail_with(err, BAD_FILE, "%s: %zu bytes", "graft reads tokenizers of up to 1 GiB", path, map.size);
    else if (!utf8_valid(bytes, map.size, &bad))
        status = fail_with(err, BAD_FILE, "%s: invalid UTF-8 at byte %zu", "fetch the file again", path, bad);
    else
        status = read_text(tokenizer, scratch, path, bytes, map.size, false, err);
    map_close(&map);
    return status;
}

static enum status read_slow(struct tokenizer *tokenizer, struct arena *scratch, const char *path, struct error *err)
{
    struct text json = text_new(scratch);
    TRY(slow_convert(&json, path, err));
    return read_text(tokenizer, scratch, path, json.bytes, json.length, true, err);
}

bool tokenizer_exists(struct arena *arena, const char *folder)
{
    return file_exists(path_join(arena, folder, "tokenizer.json")) || slow_file(arena, folder);
}

static enum status open_extended(struct tokenizer **out, struct arena *arena, const char *path, struct extension extension, struct error *err)
{
    struct tokenizer *tokenizer = NEW(arena, struct tokenizer);
    struct arena *scratch = arena_create_like(arena);
    bool is_folder = folder_exists(path);
    const char *file = is_folder ? path_join(arena, path, "tokenizer.json") : arena_text(arena, path, strlen(path));
    const char *old = is_folder ? slow_file(arena, path) : slow_is_file(path) ? file : NULL;
    *out = NULL;
    tokenizer->arena = arena;
    tokenizer->pool = word_pool_new(arena);
    tokenizer->extension = extension;
    tokenizer->folder = is_folder ? arena_text(arena, path, strlen(path)) : path_folder(arena, path);
    enum status status = old && !(is_folder && file_exists(file)) ? read_slow(tokenizer, scratch, old, err) : read_file(tokenizer, scratch, file, err);
    if (status == OK)
        status = special_ids_read(&tokenizer->special, tokenizer, arena, tokenizer->folder, err);
    if (status == OK)
        *out = tokenizer;
    else
        tokenizer_close(tokenizer);
    arena_destroy(scratch);
    return status;
}

enum status tokenizer_open(struct tokenizer **out, struct arena *arena, const char *path, struct error *err)
{
    return open_extended(out, arena, path, (struct extension){ 0 }, err);
}

enum status tokenizer_open_with(struct tokenizer **out, struct arena *arena, const char *path, const struct added_token *added, int count, struct error *err)
{
    return open_extended(out, arena, path, (struct extension){ .wanted = true, .token = added, .count = count, .is_new = NEW_ARRAY(arena, count, bool) }, err);
}

enum status tokenizer_write(const struct tokenizer *tokenizer, struct arena *arena, const char *folder, struct output file[TOKENIZER_FILES], struct error *err)
{
    CHECK(tokenizer->extension.wanted);
    TRY(output_open(&file[0], arena, path_join(arena, folder, "tokenizer.json"), true, err));
    output_write(&file[0], tokenizer->extension.text.bytes, tokenizer->extension.text.length);
    return extension_config(&tokenizer->extension, tokenizer, arena, tokenizer->folder, path_join(arena, folder, "tokenizer_config.json"), &file[1], err);
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    patterns_free(&tokenizer->patterns);
    word_pool_close(tokenizer->pool);
}

/* The parts of the text and what the template puts around them. */
static void write_tokens(const struct tokenizer *tokenizer, struct arena *arena, const struct passage *passage, const struct parts *parts, int64_t length,
                         bool special, struct tokens *out)
{
    const struct template *template = &tokenizer->template;
    int64_t most = 0, place = 0;
    for (size_t i = 0; i < template->count; i++)
        most += template->item[i] == THE_TEXT ? (int64_t)parts->count : 1;
    *out = (struct tokens){ NEW_ARRAY(arena, most, struct token), 0 };
    for (size_t i = 0; i < template->count; i++) {
        int32_t id = template->item[i];
        if (id != THE_TEXT) {
            if (special)
                out->token[out->count++] = (struct token){ id, place, place };
            continue;
        }
        place = length;
        for (size_t k = 0; k < parts->count; k++) {
            struct part part = parts->part[k];
            struct span span = part.begin < part.end ? passage_span(passage, part.begin, part.end) : passage->piece[part.begin].from;
            out->token[out->count++] = (struct token){ part.id, span.begin, span.end };
        }
    }
}

static enum status encode(const struct tokenizer *tokenizer, struct arena *arena, struct arena *scratch, const char *text, uint32_t length, bool special,
                          struct tokens *out, struct error *err)
{
    struct passages passages;
    struct parts parts = { 0 };
    passages_begin(&passages, scratch, text, length);
    added_cut(&tokenizer->added, tokenizer->added.raw, &passages);
    TRY(stages_run(&tokenizer->normalizer, &passages, err));
    added_cut(&tokenizer->added, tokenizer->added.normalized, &passages);
    TRY(stages_run(&tokenizer->pretokenizer, &passages, err));
    struct words *words = words_take(tokenizer->pool);
    enum status status = model_encode(&tokenizer->model, words, scratch, passages.now, &parts, err);
    words_give_back(words);
    TRY(status);
    write_tokens(tokenizer, arena, passages.now, &parts, length, special, out);
    return OK;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, struct arena *arena, const char *text, size_t length, bool special, struct tokens *out,
                             struct error *err)
{
    size_t bad;
    *out = (struct tokens){ 0 };
    if (length > LONGEST_TEXT)
        return fail_with(err, BAD_DATA, "a text of %zu bytes", "graft encodes texts of up to 1 GiB: cut it into records", length);
    if (!utf8_valid(text, length, &bad))
        return fail_with(err, BAD_DATA, "the text is not valid UTF-8 at byte %zu", "convert the file to UTF-8", bad);
    struct arena *scratch = arena_create_like(arena);
    enum status status = encode(tokenizer, arena, scratch, text, (uint32_t)length, special, out, err);
    arena_destroy(scratch);
    return status;
}

/* The token of an id, NULL: none. */
static const struct entry *entry_of(const struct tokenizer *tokenizer, int64_t id)
{
    return id >= 0 && id < tokenizer->size && tokenizer->token[id].bytes ? &tokenizer->token[id] : NULL;
}

struct token_stream {
    const struct tokenizer *tokenizer;
    struct decoding *decoding;
    bool skip_special;
};

struct token_stream *token_stream_new(const struct tokenizer *tokenizer, struct arena *arena, bool skip_special)
{
    struct token_stream *stream = NEW(arena, struct token_stream);
    *stream = (struct token_stream){ tokenizer, decoding_new(&tokenizer->decoder, arena), skip_special };
    return stream;
}

enum status token_stream_add(struct token_stream *stream, int32_t id, struct text *out, struct error *err)
{
    const struct entry *entry = entry_of(stream->tokenizer, id);
    const struct reading *added = added_reading(&stream->tokenizer->added, id);
    if (!entry)
        return fail_with(err, BAD_DATA, "id %" PRId32 " is no token of this tokenizer, whose ids go up to %" PRId64,
                         "the ids come from another tokenizer, or the model has more rows than tokens", id, stream->tokenizer->size - 1);
    if (added && added->skipped && stream->skip_special)
        return OK;
    return decoding_add(stream->decoding, added ? added->bytes : entry->bytes, added ? added->length : entry->length, out, err);
}

enum status token_stream_end(struct token_stream *stream, struct text *out, struct error *err)
{
    return decoding_end(stream->decoding, out, err);
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *id, int64_t count, bool skip_special, struct text *out, struct error *err)
{
    struct arena *scratch = arena_create_like(out->arena);
    struct token_stream *stream = token_stream_new(tokenizer, scratch, skip_special);
    size_t before = out->length;
    enum status status = OK;
    for (int64_t i = 0; i < count && status == OK; i++)
        status = token_stream_add(stream, id[i], out, err);
    if (status == OK)
        status = token_stream_end(stream, out, err);
    arena_destroy(scratch);
    if (status != OK && out->length > before) {
        out->length = before;
        out->bytes[before] = 0;
    }
    return status;
}

const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id)
{
    const struct entry *entry = entry_of(tokenizer, id);
    return entry ? entry->bytes : NULL;
}

int32_t tokenizer_id(const struct tokenizer *tokenizer, const char *token)
{
    uint32_t length = (uint32_t)strlen(token);
    int32_t id = vocabulary_find(&tokenizer->added.vocabulary, token, length);
    return id >= 0 ? id : vocabulary_find(tokenizer->model.vocabulary, token, length);
}

int64_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->size;
}

int32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->special.bos;
}

int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->special.eos;
}

int32_t tokenizer_pad(const struct tokenizer *tokenizer)
{
    return tokenizer->special.pad;
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
    const struct template *template = &tokenizer->template;
    return template->count > 0 && template->item[0] != THE_TEXT && template->item[0] == tokenizer->special.bos;
}

bool tokenizer_adds_eos(const struct tokenizer *tokenizer)
{
    const struct template *template = &tokenizer->template;
    return template->count > 0 && template->item[template->count - 1] != THE_TEXT && template->item[template->count - 1] == tokenizer->special.eos;
}

const char *tokenizer_hash(const struct tokenizer *tokenizer)
{
    return tokenizer->hash;
}
