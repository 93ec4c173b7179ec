/* What makes tokens of pieces: byte pairs (bpe.c) or the likeliest path through a vocabulary with scores (unigram.c).
 *
 * A kind of model is a row: how it is read, and how it encodes one word. Words repeat, so short ones are remembered (words.h), whatever the kind.
 */
#ifndef GRAFT_TOKENIZER_MODEL_H
#define GRAFT_TOKENIZER_MODEL_H

#include "tokenizer/scan.h"
#include "tokenizer/stage.h"
#include "tokenizer/vocabulary.h"

/* A token of a passage: bytes [begin, end) of it became id. An added token has begin == end == the number of its piece. */
struct part {
    int32_t id;
    uint32_t begin, end;
};
struct parts {
    struct arena *arena;
    struct part *part;
    size_t count, capacity;
};
void parts_add(struct parts *parts, struct part part);

struct words;

struct model {
    const struct model_kind *kind;
    const void *state; /* the kind's own */
    const struct vocabulary *vocabulary;
};

struct model_kind {
    const char *type;
    /* json: the file's model object without vocab and merges, which come as slices (bytes NULL: missing). Sets state and vocabulary. */
    enum status (*read)(struct model *model, struct arena *arena, const char *path, const json_t *json, struct slice vocab, struct slice merges,
                        struct error *err);
    /* What encode() works in, for one call; in scratch. */
    void *(*begin)(const struct model *model, struct arena *scratch);
    /* Where the word that begins at `begin` of a piece ends: what stands before does not change what comes of the text behind. NULL: a piece is one word. */
    uint32_t (*word_end)(const void *work, const char *bytes, uint32_t begin, uint32_t end);
    /* Appends the parts of one word, which is not empty. */
    enum status (*encode)(void *work, const char *bytes, struct piece word, struct parts *parts, struct error *err);
};

/* Errors: BAD_FILE. */
enum status model_read(struct model *model, struct arena *arena, const char *path, const json_t *json, struct slice vocab, struct slice merges,
                       struct error *err) MUST_USE;
/* Encodes every piece of the passage, appending to parts (grown in scratch). words: what is remembered, or NULL. */
enum status model_encode(const struct model *model, struct words *words, struct arena *scratch, const struct passage *passage, struct parts *parts,
                         struct error *err) MUST_USE;

/* For readers of models. A slice that must be there; the same key spelled with escapes would hide from scan_cut(). */
enum status model_need(const json_t *json, const char *where, const char *key, struct slice slice, struct error *err) MUST_USE;
/* Adds a token of the file, once; the text and the id must be new. */
enum status model_add_token(struct vocabulary *vocabulary, const char *path, const char *bytes, uint32_t length, int32_t id, struct error *err) MUST_USE;
/* ids of <0x00> ... <0xFF>, -1 where missing. */
void model_byte_ids(const struct vocabulary *vocabulary, int32_t byte[256]);

#endif
