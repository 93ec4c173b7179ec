/* What the tests that replay records share: opening, comparing ids, counting and printing mismatches. */
#ifndef GRAFT_TESTS_TOKENIZER_RECORDED_H
#define GRAFT_TESTS_TOKENIZER_RECORDED_H

#include "common/json.h"
#include "tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SHOWN = 5 };

struct tally {
    const char *name;
    int64_t compared, different;
    int64_t backward; /* tokens that begin before the one before them */
};

static inline void count_comparison(struct tally *tally, bool same, const char *what, const char *text, const char *expected, const char *got)
{
    tally->compared++;
    if (same)
        return;
    if (tally->different++ < SHOWN)
        fprintf(stderr, "%s: %s of '%.200s':\n  expected %.600s\n  got      %.600s\n", tally->name, what, text, expected, got);
}

static inline const char *ids_text(struct arena *arena, const struct tokens *tokens)
{
    struct text text = text_new(arena);
    text_add(&text, "", 0);
    for (int64_t i = 0; i < tokens->count; i++)
        text_print(&text, "%s%d", i ? "," : "", tokens->token[i].id);
    return text.bytes;
}

static inline const char *json_ids_text(struct arena *arena, const json_t *ids)
{
    struct text text = text_new(arena);
    text_add(&text, "", 0);
    for (size_t i = 0; i < json_array_size(ids); i++)
        text_print(&text, "%s%d", i ? "," : "", (int)json_integer_value(json_array_get(ids, i)));
    return text.bytes;
}

static inline int32_t *json_ids(struct arena *arena, const json_t *ids, int64_t *count)
{
    *count = (int64_t)json_array_size(ids);
    int32_t *id = NEW_ARRAY(arena, *count, int32_t);
    for (int64_t i = 0; i < *count; i++)
        id[i] = (int32_t)json_integer_value(json_array_get(ids, (size_t)i));
    return id;
}

/* Encodes and compares; also checks that ranges lie inside the text, and counts those out of order. */
static inline void compare_ids(struct tally *tally, const struct tokenizer *tokenizer, const json_t *text, bool special, const json_t *expected)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokens tokens;
    size_t length = json_string_length(text);
    if (tokenizer_encode(tokenizer, arena, json_string_value(text), length, special, &tokens, &err) != OK)
        fail_msg("%s: %s", tally->name, err.what);
    const char *want = json_ids_text(arena, expected), *got = ids_text(arena, &tokens);
    count_comparison(tally, strcmp(want, got) == 0, special ? "ids_special" : "ids", json_string_value(text), want, got);
    int64_t before = 0;
    for (int64_t i = 0; i < tokens.count; i++) {
        assert_true(tokens.token[i].begin >= 0 && tokens.token[i].end >= tokens.token[i].begin && tokens.token[i].end <= (int64_t)length);
        tally->backward += tokens.token[i].begin < before;
        before = tokens.token[i].begin;
    }
    arena_destroy(arena);
}

/* Decodes at once and token by token, and compares both with the record. */
static inline void compare_text(struct tally *tally, const struct tokenizer *tokenizer, const json_t *ids, bool skip, const json_t *expected)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct text whole = text_new(arena), stream_text = text_new(arena);
    int64_t count;
    const int32_t *id = json_ids(arena, ids, &count);
    text_add(&whole, "", 0);
    text_add(&stream_text, "", 0);
    if (tokenizer_decode(tokenizer, id, count, skip, &whole, &err) != OK)
        fail_msg("%s: %s", tally->name, err.what);
    struct token_stream *stream = token_stream_new(tokenizer, arena, skip);
    for (int64_t i = 0; i < count; i++) {
        size_t before = stream_text.length;
        assert_int_equal(token_stream_add(stream, id[i], &stream_text, &err), OK);
        assert_true(utf8_valid(stream_text.bytes + before, stream_text.length - before, NULL));
    }
    assert_int_equal(token_stream_end(stream, &stream_text, &err), OK);
    bool same = whole.length == json_string_length(expected) && memcmp(whole.bytes, json_string_value(expected), whole.length) == 0;
    count_comparison(tally, same, skip ? "decoded_skip" : "decoded", json_ids_text(arena, ids), json_string_value(expected), whole.bytes);
    assert_int_equal(stream_text.length, whole.length);
    assert_memory_equal(stream_text.bytes, whole.bytes, whole.length);
    arena_destroy(arena);
}

#endif
