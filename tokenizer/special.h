/* Which tokens begin a text, end it, fill it up: named by string in the small files beside tokenizer.json. */
#ifndef GRAFT_TOKENIZER_SPECIAL_H
#define GRAFT_TOKENIZER_SPECIAL_H

#include "tokenizer/tokenizer.h"

struct special_ids {
    int32_t bos, eos, pad; /* -1: unknown */
};

/* Reads tokenizer_config.json, then special_tokens_map.json, of folder, where they exist. A string that is no token is unknown. */
enum status special_ids_read(struct special_ids *ids, const struct tokenizer *tokenizer, struct arena *arena, const char *folder, struct error *err) MUST_USE;

#endif
