/* What must hold for every tokenizer that was opened: encoded ids decode again, one at a time or all at once. */
#ifndef GRAFT_TESTS_FUZZ_FUZZ_IDS_H
#define GRAFT_TESTS_FUZZ_FUZZ_IDS_H

#include "common/json.h"
#include "tests/fuzz/fuzz_file.h"
#include "tokenizer/tokenizer.h"

/* Ids decoded one at a time give the text of all at once. */
static inline void fuzz_check_stream(const struct tokenizer *tokenizer, struct arena *arena, const int32_t *id, int64_t count, bool skip)
{
    struct error err = { 0 }, ignored = { 0 };
    struct text out = text_new(arena), whole = text_new(arena);
    struct token_stream *stream = token_stream_new(tokenizer, arena, skip);
    enum status status = OK;
    for (int64_t i = 0; status == OK && i < count; i++)
        status = token_stream_add(stream, id[i], &out, &err);
    if (status == OK)
        status = token_stream_end(stream, &out, &err);
    fuzz_check(status, &err);
    if (tokenizer_decode(tokenizer, id, count, skip, &whole, &ignored) != OK || status != OK)
        return;
    CHECK(utf8_valid(out.length ? out.bytes : "", out.length, NULL));
    CHECK(out.length == whole.length && (out.length == 0 || memcmp(out.bytes, whole.bytes, out.length) == 0));
}

static inline void fuzz_use(const struct tokenizer *tokenizer, struct arena *arena, struct part text)
{
    struct error err = { 0 };
    struct tokens tokens;
    struct text out = text_new(arena);
    fuzz_check(tokenizer_encode(tokenizer, arena, text.bytes, text.size, true, &tokens, &err), &err);
    int32_t *id = NEW_ARRAY(arena, tokens.count, int32_t);
    for (int64_t i = 0; i < tokens.count; i++) {
        const struct token *token = &tokens.token[i];
        CHECK(token->begin >= 0 && token->begin <= token->end && token->end <= (int64_t)text.size);
        CHECK(token->id >= 0 && token->id < tokenizer_size(tokenizer));
        id[i] = token->id;
    }
    enum status status = tokenizer_decode(tokenizer, id, tokens.count, false, &out, &err);
    CHECK(status == OK || status == BAD_DATA); /* a pattern of the decoder may give up */
    fuzz_check_stream(tokenizer, arena, id, tokens.count, false);
}

/* Ids that no text gives: one for each byte of it. */
static inline void fuzz_decode_any(const struct tokenizer *tokenizer, struct arena *arena, struct part text)
{
    struct error err = { 0 };
    struct text out = text_new(arena), spelled = text_new(arena);
    const int64_t size = tokenizer_size(tokenizer);
    int32_t *id = NEW_ARRAY(arena, text.size, int32_t);
    for (size_t i = 0; i < text.size; i++) {
        id[i] = (int32_t)((unsigned char)text.bytes[i] % (size < 255 ? size + 1 : 256)); /* now and then one too many */
        const char *token = tokenizer_token(tokenizer, id[i]);
        if (token)
            text_add_json(&spelled, token, strlen(token));
    }
    enum status status = tokenizer_decode(tokenizer, id, (int64_t)text.size, true, &out, &err);
    fuzz_check(status, &err);
    CHECK(status != OK || utf8_valid(out.length ? out.bytes : "", out.length, NULL));
    fuzz_check_stream(tokenizer, arena, id, (int64_t)text.size, true);
}

static inline void fuzz_use_tokenizer(const struct tokenizer *tokenizer, struct arena *arena, struct part text)
{
    const int64_t ids = tokenizer_size(tokenizer);
    CHECK(tokenizer_bos(tokenizer) < ids && tokenizer_eos(tokenizer) < ids && tokenizer_pad(tokenizer) < ids);
    CHECK(!tokenizer_adds_bos(tokenizer) || tokenizer_bos(tokenizer) >= 0);
    CHECK(!tokenizer_adds_eos(tokenizer) || tokenizer_eos(tokenizer) >= 0);
    if (text.bytes) {
        fuzz_use(tokenizer, arena, text);
        fuzz_decode_any(tokenizer, arena, text);
    }
}

#endif
