/* A SentencePiece model file (tokenizer.model, spiece.model): pieces with scores and kinds, in protocol buffers.
 *
 * Only what changes ids is kept; fields that are not known are passed over, as the format wants it. Sources: sentencepiece_model.proto of
 * SentencePiece for the fields, "Protocol Buffers: Encoding" for the bytes.
 */
#ifndef GRAFT_TOKENIZER_SENTENCEPIECE_H
#define GRAFT_TOKENIZER_SENTENCEPIECE_H

#include "common/json.h"
#include "tokenizer/vocabulary.h"

enum piece_kind { PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER_DEFINED, PIECE_UNUSED, PIECE_BYTE };
enum sentencepiece_algorithm { SENTENCEPIECE_UNIGRAM = 1, SENTENCEPIECE_BPE, SENTENCEPIECE_WORD, SENTENCEPIECE_CHARACTERS };

struct sentencepiece {
    struct vocabulary pieces; /* id = place in the file */
    float *score;             /* by id */
    unsigned char *kind;      /* by id: enum piece_kind */
    int32_t unknown;          /* the one piece of that kind */
    enum sentencepiece_algorithm algorithm;
    bool byte_fallback;
    const unsigned char *charsmap; /* within the file's bytes */
    size_t charsmap_size;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, whitespace_as_suffix;
};

/* Pieces are copied into the arena. path is for messages. Errors: BAD_FILE, with the byte where the file goes wrong. */
enum status sentencepiece_read(struct sentencepiece *model, struct arena *arena, const char *path, const uint8_t *bytes, size_t size,
                               struct error *err) MUST_USE;

/* Appends the merges that lead to the pieces of a BPE model, best first, as a JSON list of pairs: every way to cut a normal piece into two. Order: score, then
 * the longer left and right part, then the order of the pieces (as transformers' conversion sorts them). */
void sentencepiece_write_merges(const struct sentencepiece *model, struct text *json);

#endif
