/* The token cache, written.
 *
 * Arrays of the file: tokens/N, ids of a sequence and then its labels, one sequence after another, so many of them in a block; texts/N, where, prompt and
 * response of each, NUL behind every one; sequences, six numbers each (enum column); counts, a row for each source and one for the whole (enum count);
 * names, places, key and hash as texts. Numbers of blocks say nothing: sequences point at bytes of the file.
 */
#include "datasets/token_cache_file.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK_BYTES = 8 << 20 };

struct token_cache {
    struct arena *arena, *block; /* block: of what is not written yet; renewed with every block */
    struct output output;
    struct hdf5_file file;
    struct text tokens, texts;
    int64_t *place; /* COLUMNS numbers of each sequence; of those in the block, bytes of the block */
    int64_t count, room, written;
    int blocks;
};

static void add_texts(struct text *out, const char *text)
{
    if (text)
        text_add(out, text, strlen(text) + 1);
}

static void key_of_source(struct text *all, const struct source *source, const char *bytes)
{
    const struct thread_settings *t = source->threads;
    const char *const text[] = { source->path, bytes, source->format, source->template_name, source->prompt, source->response };
    for (size_t i = 0; i < COUNT(text); i++) /* with its length, so that no two lists of texts look the same */
        text_print(all, "%zu:%s\n", text[i] ? strlen(text[i]) + 1 : 0, text[i] ? text[i] : "");
    text_print(all, "limit %" PRId64 " train_on %d threads %d\n", source->limit, source->train_on, t != NULL);
    if (!t)
        return;
    text_print(all, "%d %" PRId64 " %.17g %d %d %d %d\n", t->mode, t->top_k, t->min_quality, t->review_result, t->deleted, t->synthetic, t->langs);
    for (int i = 0; i < t->langs; i++)
        text_print(all, "%zu:%s\n", strlen(t->lang[i]), t->lang[i]);
}

/* What the model's own chat template is made of. */
static enum status key_of_model(struct text *all, struct arena *arena, const char *folder, struct error *err)
{
    static const char *const file[] = { "chat_template.jinja", "chat_template.json", "tokenizer_config.json", "special_tokens_map.json" };
    for (size_t i = 0; i < COUNT(file); i++) {
        const char *path = path_join(arena, folder, file[i]);
        char hex[65] = "";
        if (file_exists(path))
            TRY(hash_file(path, hex, err));
        text_print(all, "%s %s\n", file[i], hex);
    }
    return OK;
}

enum status token_cache_key(char key[CACHE_KEY], struct arena *arena, const struct source *source, int sources, const struct data_settings *settings,
                            const struct tokenizer *tokenizer, int32_t eos, int64_t vocab, struct error *err)
{
    struct text all = text_new(arena);
    char hex[65];
    text_print(&all, "graft %s, token cache %d\n", GRAFT_VERSION, CACHE_REVISION);
    for (int i = 0; i < sources; i++) {
        TRY(hash_file(source[i].path, hex, err));
        key_of_source(&all, &source[i], hex);
    }
    text_print(&all, "length %" PRId64 " %d deduplicate %d eos %d vocab %" PRId64 "\n", settings->max_length, settings->over_length, settings->deduplicate, eos,
               vocab);
    if (settings->model_folder)
        TRY(key_of_model(&all, arena, settings->model_folder, err));
    if (tokenizer)
        text_print(&all, "tokenizer %s bos %d eos %d\n", tokenizer_hash(tokenizer), tokenizer_bos(tokenizer), tokenizer_eos(tokenizer));
    hash_bytes(all.bytes, all.length, key);
    return OK;
}

static void begin_block(struct token_cache *cache)
{
    arena_destroy(cache->block);
    cache->block = arena_create_like(cache->arena);
    cache->tokens = text_new(cache->block);
    cache->texts = text_new(cache->block);
}

enum status token_cache_new(struct token_cache **out, struct arena *arena, const char *path, struct error *err)
{
    struct token_cache *cache = *out = NEW(arena, struct token_cache);
    cache->arena = arena;
    TRY(folder_make(path_folder(arena, path), err));
    TRY(output_open(&cache->output, arena, path, true, err));
    if (cache->output.is_stream)
        return fail_with(err, DISK, "%s: is no regular file", "choose another folder for data.cache", path);
    begin_block(cache);
    return hdf5_create(&cache->file, &cache->output, err);
}

void token_cache_add(struct token_cache *cache, const struct sequence *sequence)
{
    if (cache->count == cache->room) {
        const int64_t room = cache->room ? 2 * cache->room : 1024;
        cache->place = arena_grow(cache->arena, cache->place, (size_t)(cache->count * COLUMNS), (size_t)(room * COLUMNS), sizeof *cache->place);
        cache->room = room;
    }
    int64_t *place = cache->place + COLUMNS * cache->count++;
    const size_t bytes = (size_t)sequence->count * sizeof *sequence->ids;
    place[TOKENS] = (int64_t)cache->tokens.length;
    place[TEXTS] = (int64_t)cache->texts.length;
    place[TOKEN_COUNT] = sequence->count;
    place[GROUP] = sequence->group;
    place[HAS_PROMPT] = sequence->prompt != NULL;
    text_add(&cache->tokens, (const char *)sequence->ids, bytes);
    text_add(&cache->tokens, (const char *)sequence->labels, bytes);
    add_texts(&cache->texts, sequence->where);
    add_texts(&cache->texts, sequence->prompt);
    add_texts(&cache->texts, sequence->response);
    place[TEXT_BYTES] = (int64_t)cache->texts.length - place[TEXTS];
}

enum status token_cache_flush(struct token_cache *cache, bool all, struct error *err)
{
    char name[40];
    int64_t tokens, texts;
    if (cache->written == cache->count || (!all && cache->tokens.length + cache->texts.length < BLOCK_BYTES))
        return OK;
    snprintf(name, sizeof name, "tokens/%d", cache->blocks);
    TRY(hdf5_append(&cache->file, name, HDF5_INT32, cache->tokens.bytes, (int64_t)(cache->tokens.length / sizeof(int32_t)), &tokens, err));
    snprintf(name, sizeof name, "texts/%d", cache->blocks++);
    TRY(hdf5_append(&cache->file, name, HDF5_TEXT, cache->texts.bytes, (int64_t)cache->texts.length, &texts, err));
    for (; cache->written < cache->count; cache->written++) {
        cache->place[COLUMNS * cache->written + TOKENS] += tokens;
        cache->place[COLUMNS * cache->written + TEXTS] += texts;
    }
    begin_block(cache);
    return OK;
}

enum status token_cache_map(struct token_cache *cache, struct dataset *dataset, struct error *err)
{
    CHECK(dataset->count == cache->count);
    TRY(token_cache_flush(cache, true, err));
    TRY(hdf5_map(&cache->file, &cache->output, err));
    dataset->map = &cache->file.map;
    for (int64_t i = 0; i < cache->count; i++)
        sequence_place(&dataset->sequence[i], &cache->file.map, cache->place + COLUMNS * i);
    return OK;
}

/* Where the sequences that are left lie; leaving out keeps the order, so a walk through all finds them. */
static void keep_places(struct token_cache *cache, const struct dataset *dataset)
{
    int64_t i = 0;
    for (int64_t kept = 0; kept < dataset->count; kept++, i++) {
        while ((const uint8_t *)dataset->sequence[kept].ids != cache->file.map.bytes + cache->place[COLUMNS * i + TOKENS])
            i++;
        memmove(cache->place + COLUMNS * kept, cache->place + COLUMNS * i, COLUMNS * sizeof *cache->place);
    }
    cache->count = dataset->count;
}

static void add_findings(const struct finding finding[FINDINGS], int64_t *count, struct text *places)
{
    for (int f = 0; f < FINDINGS; f++) {
        if (f == SPLIT_MARKER)
            continue; /* found without reading the data, and named by the place in the YAML, which is not in the key */
        count[COUNTS + f] = finding[f].count;
        for (size_t i = 0; i < COUNT(finding[f].first) && finding[f].first[i]; i++)
            add_texts(places, finding[f].first[i]);
    }
}

static enum status append_text(struct token_cache *cache, const char *name, const struct text *text, struct error *err)
{
    int64_t at;
    return hdf5_append(&cache->file, name, HDF5_TEXT, text->bytes, (int64_t)text->length, &at, err);
}

enum status token_cache_commit(struct token_cache *cache, const struct dataset *dataset, const char *key, struct error *err)
{
    const int row = COUNTS + FINDINGS;
    struct arena *arena = cache->arena;
    struct text names = text_new(arena), places = text_new(arena), keys = text_new(arena), hash = text_new(arena);
    int64_t *counts = NEW_ARRAY(arena, (dataset->sources + 1) * row, int64_t), at;
    for (int s = 0; s < dataset->sources; s++) {
        const struct source_counts *c = &dataset->source[s];
        const int64_t count[COUNTS] = { c->records, c->conversations, c->filtered, c->cut, c->dropped, c->count };
        memcpy(counts + s * row, count, sizeof count);
        add_findings(c->finding, counts + s * row, &places);
        add_texts(&names, c->source->path);
        add_texts(&names, c->source->format);
        add_texts(&names, c->source->template_name ? c->source->template_name : "");
    }
    add_findings(dataset->finding, counts + dataset->sources * row, &places);
    text_add(&keys, key, 64);
    text_add(&hash, dataset->hash, 64);
    keep_places(cache, dataset);
    TRY(hdf5_append(&cache->file, "sequences", HDF5_INT64, cache->place, COLUMNS * cache->count, &at, err));
    TRY(hdf5_append(&cache->file, "counts", HDF5_INT64, counts, (dataset->sources + 1) * row, &at, err));
    TRY(append_text(cache, "names", &names, err));
    TRY(append_text(cache, "places", &places, err));
    TRY(append_text(cache, "key", &keys, err));
    TRY(append_text(cache, "hash", &hash, err));
    TRY(hdf5_seal(&cache->file, &cache->output, err));
    return output_commit(&cache->output);
}

void token_cache_close(struct token_cache *cache)
{
    hdf5_close(&cache->file);
    output_discard(&cache->output);
    arena_destroy(cache->block);
    cache->block = NULL;
}
