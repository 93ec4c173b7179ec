/* Fuzzing target: bytes up to the first NUL are a tokenizer.json, the rest is text for it. Encoded ids must decode again. */
#include "tests/fuzz/fuzz_file.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

static void use(const struct tokenizer *tokenizer, struct arena *arena, const char *text, size_t length)
{
    struct error err = { 0 };
    struct tokens tokens;
    struct text out = text_new(arena);
    fuzz_check(tokenizer_encode(tokenizer, arena, text, length, true, &tokens, &err), &err);
    int32_t *id = NEW_ARRAY(arena, tokens.count, int32_t);
    for (int64_t i = 0; i < tokens.count; i++) {
        const struct token *token = &tokens.token[i];
        CHECK(token->begin >= 0 && token->begin <= token->end && token->end <= (int64_t)length);
        CHECK(token->id >= 0 && token->id < tokenizer_size(tokenizer));
        id[i] = token->id;
    }
    enum status status = tokenizer_decode(tokenizer, id, tokens.count, false, &out, &err);
    CHECK(status == OK || status == BAD_DATA); /* a pattern of the decoder may give up */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint8_t *nul = size ? memchr(bytes, 0, size) : NULL;
    size_t json = nul ? (size_t)(nul - bytes) : size;
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokenizer *tokenizer;
    char path[64];
    int file = fuzz_file(bytes, json, path);
    fuzz_check(tokenizer_open(&tokenizer, arena, path, &err), &err);
    if (tokenizer && nul)
        use(tokenizer, arena, (const char *)nul + 1, size - json - 1);
    tokenizer_close(tokenizer);
    close(file);
    arena_destroy(arena);
    return 0;
}
