/* The decoder's steps as decode_read.c makes them and decode.c runs them. */
#ifndef GRAFT_TOKENIZER_DECODE_STEPS_H
#define GRAFT_TOKENIZER_DECODE_STEPS_H

#include "tokenizer/decode.h"

enum decoder_kind {
    DECODE_BYTE_LEVEL,    /* stand-ins to bytes */
    DECODE_BYTE_FALLBACK, /* runs of <0x..> to text */
    DECODE_METASPACE,     /* the mark to a space, in the first token to nothing */
    DECODE_REPLACE,
    DECODE_FUSE, /* all tokens to one */
    DECODE_STRIP,
    DECODE_WORD_SUFFIX, /* BPEDecoder */
    DECODE_JOIN,        /* no decoder: a space between tokens */
};

struct decoder_step {
    enum decoder_kind kind;
    const char *content; /* METASPACE and STRIP: the character; REPLACE: the new text; WORD_SUFFIX: the suffix */
    size_t length;
    const struct pattern *pattern; /* REPLACE */
    int64_t start, stop;           /* STRIP */
    bool drops_first;              /* METASPACE */
};

#endif
