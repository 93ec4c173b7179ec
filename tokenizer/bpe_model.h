/* The model as bpe_read.c builds it and bpe.c uses it. */
#ifndef GRAFT_TOKENIZER_BPE_MODEL_H
#define GRAFT_TOKENIZER_BPE_MODEL_H

#include "tokenizer/bpe.h"

#include <string.h>

#define NO_PAIR UINT64_MAX

struct merge {
    uint64_t pair; /* merge_key(); NO_PAIR: free */
    uint32_t rank; /* place in the file's list */
    int32_t id;    /* of the token it makes */
};

/* The first bytes that a word may begin with: ASCII and, as 0x80, SentencePiece's mark of a space. */
enum { SPACE_MARK = 0x80, FIRST_BYTES };

struct bpe {
    struct vocabulary vocabulary;
    struct merge *merge; /* open addressing */
    uint32_t merge_mask;
    int32_t byte[256];               /* ids of <0x00> ... <0xFF>, -1 where missing */
    int32_t character[0x800];        /* ids of the characters of one and two bytes, -1 where missing */
    uint64_t joined[FIRST_BYTES][4]; /* bit b: some merge may reach across, between a character whose last byte is b and this one */
    const char *unknown_text;        /* NULL: unknown characters are left out */
    int32_t unknown;                 /* its id, -1 if the vocabulary lacks it */
    const char *prefix, *suffix;
    uint32_t prefix_length, suffix_length;
    bool fuse_unknown, byte_fallback, ignore_merges;
};

static inline uint64_t merge_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline uint32_t merge_slot(const struct bpe *bpe, uint64_t pair)
{
    uint64_t mixed = pair * 0x9E3779B97F4A7C15u;
    return (uint32_t)(mixed >> 32 ^ mixed >> 13) & bpe->merge_mask;
}

/* The row of `joined` for the character at bytes[0..length), -1: it never begins a word. */
static inline int bpe_first(const char *bytes, uint32_t length)
{
    const unsigned char byte = (unsigned char)bytes[0];
    if (byte < 0x80)
        return byte;
    return byte == 0xE2 && length >= 3 && memcmp(bytes + 1, "\x96\x81", 2) == 0 ? SPACE_MARK : -1;
}

/* model_bpe's reader (see model.h). */
enum status bpe_read(struct model *model, struct arena *arena, const char *path, const json_t *json, struct slice vocab, struct slice merges,
                     struct error *err) MUST_USE;
/* NULL: the two do not merge. */
const struct merge *bpe_merge(const struct bpe *bpe, int32_t left, int32_t right);

#endif
