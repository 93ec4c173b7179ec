/* Sources in turn become a dataset: what each needs is checked before its file is opened, and what all of them hold is summed up. */
#include "datasets/format.h"

#include "common/files.h"
#include "common/log.h"
#include "datasets/token_cache.h"

#include <string.h>

enum { FORGET_AFTER = 1024 }; /* sequences */

enum status source_check(struct arena *arena, const struct source *source, const char *where_prompt, const char *where_response,
                         const struct dataset_format **format, struct parsed_template **out, struct error *err)
{
    *out = NULL;
    *format = format_find(source->format);
    if (!*format) {
        size_t count = 0;
        while (format_names()[count])
            count++;
        fail_with(err, BAD_CONFIG, "%s: there is no format '%.100s'", "", source->where, source->format);
        return cure_with_names(err, source->format, format_names(), count, "formats");
    }
    if (source->threads && !(*format)->has_threads)
        return fail_with(err, BAD_CONFIG, "%s: 'oasst' holds settings of format oasst, and the format is %s", "remove them, or set format: oasst",
                         source->where, source->format);
    if ((*format)->template_name) {
        *out = NEW(arena, struct parsed_template);
        return template_parse(*out, arena, *format, source, where_prompt, where_response, err);
    }
    if (source->template_name || source->prompt)
        return fail_with(err, BAD_CONFIG, "%s: format %s takes no template", "its records are ids already: remove the template", source->where, source->format);
    return OK;
}

static enum status read_file(struct reading *reading, struct error *err)
{
    reading->block = arena_create_like(reading->arena);
    enum status status = reading->format->read_file ? reading->format->read_file(reading, err) : read_records(reading, err);
    if (status == OK)
        status = reading_encode(reading, true, err);
    arena_destroy(reading->block);
    TRY(status);
    if (reading->counts->records == 0)
        return fail_with(err, BAD_DATA, "%s: no records", "the file is empty, or an empty array: check the path", reading->source->path);
    return OK;
}

static const char *spelling(const struct tokenizer *tokenizer, int32_t id)
{
    const char *text = tokenizer && id >= 0 ? tokenizer_token(tokenizer, id) : NULL;
    return text ? text : "";
}

/* What is needed before the file is opened: the source checked, its template's markers too. */
static enum status prepare(struct reading *reading, int i, const struct source *source, struct error *err)
{
    struct parsed_template *parsed;
    reading->source = source;
    reading->counts = &reading->dataset->source[i];
    reading->counts->source = source;
    TRY(source_check(reading->arena, source, source->where, source->where, &reading->format, &parsed, err));
    reading->parsed = parsed;
    if (parsed && !reading->tokenizer)
        return fail_with(err, BAD_DATA, "%s: format %s is text, and there is no tokenizer", "give a model folder with tokenizer.json, or data in format tokens",
                         source->path, source->format);
    if (parsed && reading->eos < 0)
        return fail_with(err, BAD_DATA, "%s: format %s needs to know which id ends a response (EOS)",
                         "set eos_token in tokenizer_config.json or eos_token_id in config.json, or give data in format tokens", source->path, source->format);
    reading->eos_text = spelling(reading->tokenizer, reading->eos);
    reading->bos_text = spelling(reading->tokenizer, reading->tokenizer ? tokenizer_bos(reading->tokenizer) : -1);
    if (parsed)
        check_markers(reading);
    if (parsed && !parsed->layout)
        TRY(chat_open(reading, err));
    return OK;
}

void dataset_sum_up(struct dataset *dataset, const struct arena *like)
{
    struct arena *scratch = arena_create_like(like);
    struct text hashes = text_new(scratch);
    int64_t i = 0;
    dataset->tokens = dataset->trained = dataset->records = dataset->conversations = 0;
    for (int s = 0; s < dataset->sources; s++) {
        struct source_counts *counts = &dataset->source[s];
        counts->first = i;
        counts->tokens = counts->trained = 0;
        for (; i < counts->first + counts->count; i++) {
            const struct sequence *sequence = &dataset->sequence[i];
            char hex[65];
            CHECK(sequence->labels == sequence->ids + sequence->count);
            dataset_forget_behind(dataset, i);
            /* Each sequence is hashed by itself, so borders count, and then the hashes in their order. */
            hash_bytes(sequence->ids, 2 * (size_t)sequence->count * sizeof *sequence->ids, hex);
            text_add(&hashes, hex, 64);
            counts->tokens += sequence->count;
            counts->trained += sequence->trained;
        }
        dataset->records += counts->records;
        dataset->conversations += counts->conversations;
        dataset->tokens += counts->tokens;
        dataset->trained += counts->trained;
    }
    CHECK(i == dataset->count);
    hash_bytes(hashes.bytes, hashes.length, dataset->hash);
    arena_destroy(scratch);
}

static enum status read_all(struct reading *reading, const struct source *source, int sources, struct error *err)
{
    struct dataset *dataset = reading->dataset;
    *dataset = (struct dataset){ .source = NEW_ARRAY(reading->arena, sources, struct source_counts), .sources = sources };
    for (int i = 0; i < sources; i++) {
        TRY(prepare(reading, i, &source[i], err));
        TRY(read_file(reading, err));
    }
    if (reading->cache)
        TRY(token_cache_map(reading->cache, dataset, err));
    dataset_find_duplicates(dataset, reading->arena, reading->settings->deduplicate);
    dataset_sum_up(dataset, reading->arena);
    return OK;
}

/* Reads the sources into a new cache, with memory that is given back then. */
static enum status make_cache(struct reading reading, const char *path, const char *key, const struct source *source, int sources, struct error *err)
{
    struct dataset dataset = { 0 };
    char again[CACHE_KEY];
    reading.arena = arena_create_like(reading.arena);
    reading.dataset = &dataset;
    enum status status = token_cache_new(&reading.cache, reading.arena, path, err);
    if (status == OK)
        status = read_all(&reading, source, sources, err);
    if (status == OK)
        status = token_cache_key(again, reading.arena, source, sources, reading.settings, reading.tokenizer, reading.eos, reading.vocab, err);
    if (status == OK && strcmp(again, key) != 0)
        status = fail_with(err, BAD_DATA, "%s: the data changed while they were read", "wait until nobody writes to the data files, then run again", path);
    if (status == OK)
        status = token_cache_commit(reading.cache, &dataset, key, err);
    token_cache_close(reading.cache);
    arena_destroy(reading.arena);
    return status;
}

static enum status read_cached(struct reading *reading, const struct source *source, int sources, struct error *err)
{
    char key[CACHE_KEY], found[CACHE_KEY];
    struct error refused = { .code = OK };
    struct dataset *dataset = reading->dataset;
    struct arena *arena = reading->arena;
    TRY(token_cache_key(key, arena, source, sources, reading->settings, reading->tokenizer, reading->eos, reading->vocab, err));
    const char *path = arena_print(arena, "%s/%s.h5", reading->settings->cache, key);
    const bool exists = file_exists(path);
    if (!exists || token_cache_read(dataset, arena, path, key, found, reading->vocab, &refused) != OK) {
        if (exists)
            warn("%s; it is made again", refused.what);
        TRY(make_cache(*reading, path, key, source, sources, err));
        TRY(token_cache_read(dataset, arena, path, key, found, reading->vocab, err));
    }
    if (dataset->sources != sources)
        return fail_with(err, BAD_FILE, "%s: damaged: %d sources, there are %d", "delete the file: it is made again", path, dataset->sources, sources);
    for (int i = 0; i < sources; i++)
        TRY(prepare(reading, i, &source[i], err));
    return OK;
}

enum status dataset_read(struct dataset *dataset, struct arena *arena, const struct source *source, int sources, const struct data_settings *settings,
                         const struct tokenizer *tokenizer, int32_t eos, int64_t vocab, struct error *err)
{
    struct reading reading = { .dataset = dataset, .arena = arena, .settings = settings, .tokenizer = tokenizer, .eos = eos };
    *dataset = (struct dataset){ 0 };
    reading.vocab = vocab < INT32_MAX ? vocab : INT32_MAX;
    return settings->cache && sources > 0 ? read_cached(&reading, source, sources, err) : read_all(&reading, source, sources, err);
}

void dataset_forget(const struct dataset *dataset)
{
    if (dataset->map)
        map_forget(dataset->map->bytes, dataset->map->size);
}

void dataset_forget_behind(const struct dataset *dataset, int64_t i)
{
    if (i % FORGET_AFTER == FORGET_AFTER - 1)
        dataset_forget(dataset);
}

void dataset_close(struct dataset *dataset)
{
    if (dataset->map)
        map_close(dataset->map);
    dataset->map = NULL;
}
