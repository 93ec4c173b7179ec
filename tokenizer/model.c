/* The kinds of model, and what they share. */
#include "tokenizer/model.h"
#include "tokenizer/bpe.h"
#include "tokenizer/unigram.h"
#include "tokenizer/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static enum status encode_word(const struct model *model, void *work, struct words *words, const char *bytes, struct piece word, struct parts *parts,
                               struct error *err)
{
    const char *text = bytes + word.begin;
    const uint32_t length = word.end - word.begin;
    if (words_recall(words, text, length, word.begin, parts))
        return OK;
    const size_t first = parts->count;
    TRY(model->kind->encode(work, bytes, word, parts, err));
    words_keep(words, text, length, word.begin, parts, parts->count - first);
    return OK;
}

enum status model_encode(const struct model *model, struct words *words, struct arena *scratch, const struct passage *passage, struct parts *parts,
                         struct error *err)
{
    parts->arena = scratch;
    void *work = model->kind->begin(model, scratch);
    for (uint32_t i = 0; i < passage->count; i++) {
        const struct piece piece = passage->piece[i];
        if (piece.id >= 0)
            parts_add(parts, (struct part){ piece.id, i, i });
        for (struct piece word = piece; piece.id < 0 && word.begin < piece.end; word.begin = word.end) {
            word.end = model->kind->word_end ? model->kind->word_end(work, passage->bytes, word.begin, piece.end) : piece.end;
            TRY(encode_word(model, work, words, passage->bytes, word, parts, err));
        }
    }
    return OK;
}
