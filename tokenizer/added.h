/* Added tokens: found in the text as whole strings before anything else looks at it.
 *
 * Those with `normalized: false` are searched in the text as written, the others, themselves normalized, in the normalized text.
 * Their ids follow the Python package, which takes the model's id if the model knows the string, else the next free one in the order of
 * the list; the id written in the file is only a remark. (Files whose remark is true, which is all published ones, read the same.)
 * So does what they read as: skipping special tokens goes by the string a token reads as, so one that a normalizer changed is not skipped.
 */
#ifndef GRAFT_TOKENIZER_ADDED_H
#define GRAFT_TOKENIZER_ADDED_H

#include "tokenizer/stage.h"
#include "tokenizer/vocabulary.h"

struct added_flags {
    bool single_word, lstrip, rstrip, normalized, special;
};

/* How a token reads when decoded: a normalized token as its normalized string ("▁<s>"). */
struct reading {
    const char *bytes;
    uint32_t length;
    bool skipped; /* left out with the special tokens */
};

struct trie;
struct added {
    struct vocabulary vocabulary;
    struct added_flags *flags; /* by position of the entry in vocabulary */
    struct reading *reading;   /* likewise */
    struct trie *raw, *normalized;
};

/* json: added_tokens of the file (NULL or null: none). model: the model's vocabulary; normalizer: read already. */
enum status added_read(struct added *added, struct arena *arena, const char *path, const json_t *json, const struct vocabulary *model,
                       const struct stages *normalizer, struct error *err) MUST_USE;
/* NULL: id is no added token. */
const struct added_flags *added_at(const struct added *added, int64_t id);
const struct reading *added_reading(const struct added *added, int64_t id);
/* Cuts the pieces of `now` at the added tokens of one kind. */
void added_cut(const struct added *added, const struct trie *trie, struct passages *passages);

#endif
