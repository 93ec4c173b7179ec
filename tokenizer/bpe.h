/* Byte pair encoding: a piece begins as characters, and neighbours merge, the merge that comes first in the file's list first.
 *
 * The order comes from a heap of candidates; a candidate that no longer fits when its turn comes is dropped. So a piece of n characters
 * costs n log n, which matters for Llama, whose pieces are whole texts.
 */
#ifndef GRAFT_TOKENIZER_BPE_H
#define GRAFT_TOKENIZER_BPE_H

#include "tokenizer/scan.h"
#include "tokenizer/stage.h"
#include "tokenizer/vocabulary.h"

struct bpe;

/* model: the file's model object without vocab and merges, which come as slices. Errors: BAD_FILE. */
enum status bpe_read(struct bpe **bpe, struct arena *arena, const char *path, const json_t *model, struct slice vocab, struct slice merges,
                     struct error *err) MUST_USE;
const struct vocabulary *bpe_vocabulary(const struct bpe *bpe);

/* A token of a passage: bytes [begin, end) of it became id. An added token has begin == end == the number of its piece. */
struct part {
    int32_t id;
    uint32_t begin, end;
};
struct parts {
    struct part *part;
    size_t count, capacity;
};
/* Encodes every piece of the passage, appending to parts (grown in scratch). */
enum status bpe_encode(const struct bpe *bpe, struct arena *scratch, const struct passage *passage, struct parts *parts, struct error *err) MUST_USE;

#endif
