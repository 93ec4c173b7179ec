/* The byte-level tokenizer, opened once, for targets that read text; `ends` also puts </s> behind it. */
#ifndef GRAFT_TESTS_FUZZ_FUZZ_TOKENIZER_H
#define GRAFT_TESTS_FUZZ_FUZZ_TOKENIZER_H

#include "tests/datasets/tiny_tokenizers.h"
#include "tests/fuzz/fuzz_file.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

static inline const struct tokenizer *fuzz_tokenizer(bool ends)
{
    static struct tokenizer *tokenizer[2];
    static struct arena *arena;
    struct error err = { 0 };
    char path[64];
    if (!arena)
        arena = arena_create(NULL);
    if (tokenizer[ends])
        return tokenizer[ends];
    const char *json = byte_tokenizer_json(arena, ends);
    int file = fuzz_file(json, strlen(json), path);
    CHECK(tokenizer_open(&tokenizer[ends], arena, path, &err) == OK);
    close(file);
    return tokenizer[ends];
}

#endif
