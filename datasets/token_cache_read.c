/* The token cache, read: nothing in it is believed before it was looked at. */
#include "datasets/token_cache_file.h"

#include <inttypes.h>
#include <string.h>

/* A cache that is being read. */
struct opened {
    struct arena *arena;
    struct hdf5_file *file;
    struct dataset *dataset;
    const int64_t *sequences, *counts;
    const char *names, *names_end, *places, *places_end;
    int64_t vocab, count;
};

static enum status damaged(const struct opened *opened, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: damaged: %s", "delete the file: it is made again", opened->file->map.path, what);
}

/* The text that begins at *at, which moves behind it; NULL if none ends before `end`. */
static const char *next_text(const char **at, const char *end)
{
    const char *text = *at, *nul = memchr(text, 0, (size_t)(end - text));
    if (!nul)
        return NULL;
    *at = nul + 1;
    return text;
}

void sequence_place(struct sequence *sequence, const struct map *map, const int64_t place[COLUMNS])
{
    const char *at = (const char *)map->bytes + place[TEXTS];
    sequence->ids = (int32_t *)(uintptr_t)(map->bytes + place[TOKENS]); /* nobody writes to the ids of a dataset */
    sequence->count = place[TOKEN_COUNT];
    sequence->labels = sequence->ids + sequence->count;
    sequence->group = place[GROUP];
    sequence->where = at;
    sequence->prompt = place[HAS_PROMPT] ? at += strlen(at) + 1 : NULL;
    sequence->response = place[HAS_PROMPT] ? at += strlen(at) + 1 : NULL;
}

/* Whether [at, at + bytes) lies behind *end and in the file; *end moves to its end. */
static bool lies_behind(const struct map *map, int64_t at, int64_t bytes, int64_t *end)
{
    if (at < *end || bytes < 0 || at > (int64_t)map->size || bytes > (int64_t)map->size - at)
        return false;
    *end = at + bytes;
    return true;
}

/* Tokens and texts each lie one behind the other, so looking at all of them is looking at no byte twice. */
static enum status check_place(const struct opened *opened, const int64_t place[COLUMNS], int64_t *tokens_end, int64_t *texts_end, struct error *err)
{
    const struct map *map = &opened->file->map;
    const int64_t most = (int64_t)map->size / (int64_t)(2 * sizeof(int32_t));
    if (place[TOKEN_COUNT] < 1 || place[TOKEN_COUNT] > most || place[TOKENS] % (int64_t)sizeof(int32_t) != 0 ||
        !lies_behind(map, place[TOKENS], place[TOKEN_COUNT] * (int64_t)(2 * sizeof(int32_t)), tokens_end))
        return damaged(opened, "tokens outside the file", err);
    const char *at = (const char *)map->bytes + (place[TEXTS] < 0 || place[TEXTS] > (int64_t)map->size ? 0 : place[TEXTS]);
    if (!lies_behind(map, place[TEXTS], place[TEXT_BYTES], texts_end) || place[HAS_PROMPT] < 0 || place[HAS_PROMPT] > 1)
        return damaged(opened, "texts outside the file", err);
    const char *end = at + place[TEXT_BYTES];
    for (int i = 0; i < (place[HAS_PROMPT] ? 3 : 1); i++)
        if (!next_text(&at, end))
            return damaged(opened, "texts without an end", err);
    return at == end ? OK : damaged(opened, "texts outside the file", err);
}

static bool ids_are_whole(const struct sequence *sequence, int64_t vocab)
{
    bool whole = true;
    for (int64_t t = 0; t < sequence->count; t++) {
        const int32_t id = sequence->ids[t], label = sequence->labels[t];
        whole &= id >= 0 && id < vocab && ((label >= 0 && label < vocab) || label == NOT_TRAINED);
    }
    return whole;
}

static enum status read_sequences(const struct opened *opened, struct error *err)
{
    struct dataset *dataset = opened->dataset;
    int64_t tokens_end = 0, texts_end = 0;
    dataset->sequence = NEW_ARRAY(opened->arena, opened->count, struct sequence);
    for (int64_t i = 0; i < opened->count; i++) {
        struct sequence *sequence = &dataset->sequence[i];
        TRY(check_place(opened, opened->sequences + COLUMNS * i, &tokens_end, &texts_end, err));
        sequence_place(sequence, &opened->file->map, opened->sequences + COLUMNS * i);
        if (!ids_are_whole(sequence, opened->vocab))
            return damaged(opened, "ids outside the vocabulary", err);
        (void)sequence_count_trained(sequence, -1);
        if (sequence->trained == 0)
            return damaged(opened, "a sequence that trains nothing", err);
        dataset_forget_behind(dataset, i);
    }
    dataset->count = opened->count;
    return OK;
}

static enum status read_findings(struct opened *opened, const int64_t *counts, struct finding finding[FINDINGS], struct error *err)
{
    for (int f = 0; f < FINDINGS; f++) {
        finding[f].count = counts[COUNTS + f];
        if (finding[f].count < 0)
            return damaged(opened, "findings that cannot be", err);
        for (int64_t i = 0; i < (int64_t)COUNT(finding[f].first) && i < finding[f].count; i++) {
            const char *text = next_text(&opened->places, opened->places_end);
            if (!text)
                return damaged(opened, "findings without a place", err);
            finding[f].first[i] = text_make_printable(arena_text(opened->arena, text, strlen(text)));
        }
    }
    return OK;
}

static enum status read_source(struct opened *opened, const int64_t *count, struct source_counts *out, struct error *err)
{
    struct source *source = NEW(opened->arena, struct source);
    const char **const name[] = { &source->path, &source->format, &source->template_name };
    for (size_t i = 0; i < COUNT(name); i++) {
        const char *text = next_text(&opened->names, opened->names_end);
        if (!text)
            return damaged(opened, "sources without a name", err);
        *name[i] = *text ? text_make_printable(arena_text(opened->arena, text, strlen(text))) : i == COUNT(name) - 1 ? NULL : "";
    }
    for (int i = 0; i < COUNTS; i++)
        if (count[i] < 0 || count[i] > INT64_C(1) << 48)
            return damaged(opened, "counts that cannot be", err);
    *out = (struct source_counts){ .source = source,
                                   .records = count[RECORDS],
                                   .conversations = count[CONVERSATIONS],
                                   .filtered = count[FILTERED],
                                   .cut = count[CUT],
                                   .dropped = count[DROPPED],
                                   .count = count[KEPT] };
    return read_findings(opened, count, out->finding, err);
}

static enum status read_counts(struct opened *opened, int64_t rows, struct error *err)
{
    struct dataset *dataset = opened->dataset;
    const int row = COUNTS + FINDINGS;
    int64_t left = opened->count;
    if (rows < 2 || rows > 1 << 20)
        return damaged(opened, "counts of no source", err);
    dataset->sources = (int)rows - 1;
    dataset->source = NEW_ARRAY(opened->arena, dataset->sources, struct source_counts);
    for (int s = 0; s < dataset->sources; s++) {
        TRY(read_source(opened, opened->counts + s * row, &dataset->source[s], err));
        if (dataset->source[s].count > left)
            return damaged(opened, "counts that cannot be", err);
        left -= dataset->source[s].count;
    }
    TRY(read_findings(opened, opened->counts + dataset->sources * row, dataset->finding, err));
    return left == 0 ? OK : damaged(opened, "sequences of no source", err);
}

static enum status read_all(struct opened *opened, const char *key, char found[CACHE_KEY], struct error *err)
{
    const struct hdf5_file *file = opened->file;
    const void *sequences, *counts, *names, *places, *keys, *hash;
    int64_t columns, rows, names_count, places_count, keys_count, hash_count;
    TRY(hdf5_find(file, "sequences", HDF5_INT64, &sequences, &columns, err));
    TRY(hdf5_find(file, "counts", HDF5_INT64, &counts, &rows, err));
    TRY(hdf5_find(file, "names", HDF5_TEXT, &names, &names_count, err));
    TRY(hdf5_find(file, "places", HDF5_TEXT, &places, &places_count, err));
    TRY(hdf5_find(file, "key", HDF5_TEXT, &keys, &keys_count, err));
    TRY(hdf5_find(file, "hash", HDF5_TEXT, &hash, &hash_count, err));
    if (keys_count != 64 || hash_count != 64 || columns % COLUMNS != 0 || rows % (COUNTS + FINDINGS) != 0)
        return damaged(opened, "arrays of another length", err);
    if (key && memcmp(keys, key, 64) != 0)
        return damaged(opened, "its key is not its name", err);
    text_make_printable(memcpy(found, keys, 64));
    opened->sequences = sequences;
    opened->counts = counts;
    opened->count = columns / COLUMNS;
    opened->names = names;
    opened->names_end = opened->names + names_count;
    opened->places = places;
    opened->places_end = opened->places + places_count;
    TRY(read_counts(opened, rows / (COUNTS + FINDINGS), err));
    TRY(read_sequences(opened, err));
    dataset_sum_up(opened->dataset, opened->arena);
    return memcmp(opened->dataset->hash, hash, 64) == 0 ? OK : damaged(opened, "its tokens are not those that were hashed", err);
}

enum status token_cache_read(struct dataset *dataset, struct arena *arena, const char *path, const char *key, char found[CACHE_KEY], int64_t vocab,
                             struct error *err)
{
    struct hdf5_file file;
    *dataset = (struct dataset){ 0 };
    memset(found, 0, CACHE_KEY);
    enum status status = hdf5_open(&file, path, err);
    if (status == OK) {
        dataset->map = &file.map;
        struct opened opened = { .arena = arena, .file = &file, .dataset = dataset, .vocab = vocab < INT32_MAX ? vocab : INT32_MAX };
        status = read_all(&opened, key, found, err);
    }
    dataset->map = NULL;
    if (status == OK) {
        dataset->map = NEW(arena, struct map);
        *dataset->map = file.map;
        file.map = (struct map){ 0 };
    } else {
        *dataset = (struct dataset){ 0 };
    }
    hdf5_close(&file);
    return status;
}
