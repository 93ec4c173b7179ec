/* The kinds of model, and what they share. */
#include "tokenizer/model.h"
#include "tokenizer/bpe.h"
#include "tokenizer/unigram.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_REMEMBERED = 64, MOST_REMEMBERED = 1 << 15 };

static const struct model_kind *const kind[] = { &model_bpe, &model_unigram };

/* Old files name no type: only a BPE has merges, only a Unigram a list for a vocabulary. */
static const char *type_of(struct slice vocab, struct slice merges)
{
    if (merges.bytes)
        return model_bpe.type;
    return vocab.bytes && vocab.length > 0 && vocab.bytes[0] == '[' ? model_unigram.type : "null";
}

enum status model_read(struct model *model, struct arena *arena, const char *path, const json_t *json, struct slice vocab, struct slice merges,
                       struct error *err)
{
    const char *type = NULL;
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: model is missing or not an object", "is this a tokenizer.json?", path);
    TRY(json_get_text(json, path, "type", &type, err));
    if (!type)
        type = type_of(vocab, merges);
    for (size_t i = 0; i < COUNT(kind); i++)
        if (strcmp(kind[i]->type, type) == 0) {
            model->kind = kind[i];
            return kind[i]->read(model, arena, path, json, vocab, merges, err);
        }
    return component_unknown(arena_print(arena, "%s: model", path), type, "graft reads models of type BPE and Unigram", err);
}

enum status model_need(const json_t *json, const char *where, const char *key, struct slice slice, struct error *err)
{
    if (!slice.bytes)
        return fail_with(err, BAD_FILE, "%s: '%s' is missing", REPAIR, where, key);
    if (!json_is_null(json_object_get(json, key)))
        return fail_with(err, BAD_FILE, "%s: %s is spelled in an unusual way", "write the keys without escapes", where, key);
    return OK;
}

enum status model_add_token(struct vocabulary *vocabulary, const char *path, const char *bytes, uint32_t length, int32_t id, struct error *err)
{
    if (vocabulary_find(vocabulary, bytes, length) >= 0)
        return fail_with(err, BAD_FILE, "%s: vocab has '%.100s' twice", REPAIR, path, bytes);
    const struct entry *same = vocabulary_at(vocabulary, id);
    if (same)
        return fail_with(err, BAD_FILE, "%s: vocab gives id %" PRId32 " to '%.100s' and to '%.100s'", REPAIR, path, id, same->bytes, bytes);
    vocabulary_add(vocabulary, bytes, length, id);
    return OK;
}

void model_byte_ids(const struct vocabulary *vocabulary, int32_t byte[256])
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        byte[i] = vocabulary_find(vocabulary, name, (uint32_t)snprintf(name, sizeof name, "<0x%02X>", i));
    }
}

void parts_add(struct parts *parts, struct part part)
{
    if (parts->count == parts->capacity) {
        size_t capacity = parts->capacity ? parts->capacity * 2 : 256;
        parts->part = arena_grow(parts->arena, parts->part, parts->count, capacity, sizeof part);
        parts->capacity = capacity;
    }
    parts->part[parts->count++] = part;
}

struct remembered {
    uint32_t begin, length; /* of the word, in the passage; length 0: free */
    size_t first;           /* part */
    uint32_t count;
};

struct memory {
    struct remembered *word;
    uint32_t mask;
};

/* Takes the parts of an equal word seen before; false: encode it, and remember in *place (NULL: too long) where its parts will be. */
static bool recall(struct memory *memory, const char *bytes, struct piece piece, struct parts *parts, struct remembered **place)
{
    uint32_t length = piece.end - piece.begin;
    *place = NULL;
    if (length > LONGEST_REMEMBERED)
        return false;
    struct remembered *word = &memory->word[hash_text(bytes + piece.begin, length) & memory->mask];
    if (word->length != length || memcmp(bytes + word->begin, bytes + piece.begin, length) != 0) {
        *place = word;
        return false;
    }
    for (uint32_t i = 0; i < word->count; i++) {
        struct part part = parts->part[word->first + i];
        part.begin += piece.begin - word->begin;
        part.end += piece.begin - word->begin;
        parts_add(parts, part);
    }
    word->first = parts->count - word->count; /* the newer copy is the one in the processor's cache, and may be as good as any */
    word->begin = piece.begin;
    return true;
}

enum status model_encode(const struct model *model, struct arena *scratch, const struct passage *passage, struct parts *parts, struct error *err)
{
    struct memory memory = { .mask = 63 };
    while (memory.mask + 1 < MOST_REMEMBERED && memory.mask + 1 < passage->count)
        memory.mask = 2 * memory.mask + 1;
    memory.word = NEW_ARRAY(scratch, memory.mask + 1, struct remembered);
    parts->arena = scratch;
    void *work = model->kind->begin(model, scratch);
    for (uint32_t i = 0; i < passage->count; i++) {
        struct piece piece = passage->piece[i];
        struct remembered *place;
        if (piece.id >= 0) {
            parts_add(parts, (struct part){ piece.id, i, i });
            continue;
        }
        if (recall(&memory, passage->bytes, piece, parts, &place))
            continue;
        size_t first = parts->count;
        TRY(model->kind->encode(work, passage->bytes, piece, parts, err));
        if (place)
            *place = (struct remembered){ piece.begin, piece.end - piece.begin, first, (uint32_t)(parts->count - first) };
    }
    return OK;
}
