/* Words: a text comes out the same whether it is cut into words and they are remembered, or neither.
 *
 * ignore_merges looks a whole piece up first, so a model that says it has no words; for a text longer than any token and than any word that is remembered it
 * changes nothing else. So every made-up tokenizer is its own reference.
 */
#include "tiny.h"

enum { TOKENIZERS = 400, TEXTS = 20, CHARACTERS = 60, MERGES_EACH = 10, MOST_TOKENS = 32 };

static const char *const character[] = { "a", "b", ".", "\xE2\x96\x81", "\xC3\xA9", "\xE2\x80\xA6" };

/* Numbers without order, the same in every run. */
static uint32_t next(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

/* What a tokenizer is made of; those of the byte alphabet are ordinary tokens, too. */
struct made {
    const char *token[MOST_TOKENS];
    int tokens;
    struct text merges;
    const char *options;
};

static void add_token(struct made *made, const char *token)
{
    for (int i = 0; i < made->tokens; i++)
        if (strcmp(made->token[i], token) == 0)
            return;
    assert_true(made->tokens < MOST_TOKENS);
    made->token[made->tokens++] = token;
}

/* Some characters are unknown, some bytes are missing, and any two tokens may merge: byte tokens and the unknown one, too. */
static struct made make(struct arena *arena, uint64_t *chance)
{
    static const char *const options[] = { "", "\"unk_token\":\"?\",", "\"unk_token\":\"?\",\"fuse_unk\":true,", "\"byte_fallback\":true,",
                                           "\"unk_token\":\"?\",\"fuse_unk\":true,\"byte_fallback\":true," };
    static const char *const bytes[] = { "<0xC3>", "<0xA9>", "<0x61>", "<0xE2>", "<0x96>", "<0x81>" };
    struct made made = { .merges = text_new(arena), .options = options[next(chance, COUNT(options))] };
    const bool special = next(chance, 4) == 0;
    add_token(&made, "b");
    for (size_t i = 0; i < COUNT(character); i++)
        if (next(chance, 4) > 0)
            add_token(&made, character[i]);
    const int ordinary = made.tokens;
    add_token(&made, "?");
    for (size_t i = 0; i < COUNT(bytes); i++)
        if (next(chance, 4) > 0)
            add_token(&made, bytes[i]);
    const int first = made.tokens;
    for (int i = 0; i < MERGES_EACH; i++) {
        const char *side[2];
        for (int k = 0; k < 2; k++) {
            const int from = special ? made.tokens : ordinary + made.tokens - first, pick = (int)next(chance, (uint32_t)from);
            side[k] = made.token[special || pick < ordinary ? pick : first + pick - ordinary];
        }
        add_token(&made, arena_print(arena, "%s%s", side[0], side[1]));
        text_print(&made.merges, "%s[\"%s\",\"%s\"]", i ? "," : "", side[0], side[1]);
    }
    return made;
}

static struct tokenizer *open_made(struct arena *arena, const struct made *made, const char *options)
{
    struct text json = text_new(arena);
    text_print(&json, "{\"model\":{\"type\":\"BPE\",%s%s\"merges\":[%s],\"vocab\":{", made->options, options, made->merges.bytes);
    for (int i = 0; i < made->tokens; i++)
        text_print(&json, "%s\"%s\":%d", i ? "," : "", made->token[i], i);
    text_add_string(&json, "}}}");
    return open_good(arena, json.bytes);
}

static struct tokens encode(const struct tokenizer *tokenizer, struct arena *arena, const char *text)
{
    struct tokens tokens;
    struct error err = { 0 };
    if (tokenizer_encode(tokenizer, arena, text, strlen(text), true, &tokens, &err) != OK)
        fail_msg("%s: %s", text, err.what);
    return tokens;
}

static bool same(const struct tokens *a, const struct tokens *b)
{
    bool same = a->count == b->count;
    for (int64_t i = 0; same && i < a->count; i++)
        same = a->token[i].id == b->token[i].id && a->token[i].begin == b->token[i].begin && a->token[i].end == b->token[i].end;
    return same;
}

static const char *random_text(struct arena *arena, uint64_t *chance, int characters)
{
    struct text text = text_new(arena);
    for (int i = 0; i < characters; i++)
        text_add_string(&text, character[next(chance, COUNT(character))]);
    return text.bytes;
}

static void a_text_is_encoded_as_if_it_were_one_word(void **state)
{
    (void)state;
    uint64_t chance = 1;
    for (int i = 0; i < TOKENIZERS; i++) {
        struct arena *arena = arena_create(NULL);
        const struct made made = make(arena, &chance);
        struct tokenizer *tokenizer = open_made(arena, &made, ""), *whole = open_made(arena, &made, "\"ignore_merges\":true,");
        for (int k = 0; k < TEXTS; k++) {
            const char *text = random_text(arena, &chance, CHARACTERS);
            const struct tokens ours = encode(tokenizer, arena, text), expected = encode(whole, arena, text);
            if (!same(&ours, &expected))
                fail_msg("tokenizer %d, text %d: '%s' (%s; merges %s)", i, k, text, made.options, made.merges.bytes);
        }
        tokenizer_close(tokenizer);
        tokenizer_close(whole);
        arena_destroy(arena);
    }
}

/* Any two letters merge, so a word is what stands between two spaces. */
static const char *letter_pairs(struct arena *arena)
{
    static const char letters[] = "abcd";
    struct text vocab = text_new(arena), merges = text_new(arena);
    text_add_string(&vocab, "\"\\u2581\":0");
    for (int i = 0; i < 4; i++) {
        text_print(&vocab, ",\"%c\":%d,\"\\u2581%c\":%d", letters[i], 1 + i, letters[i], 5 + i);
        text_print(&merges, "%s[\"\\u2581\",\"%c\"]", i ? "," : "", letters[i]);
        for (int k = 0; k < 4; k++) {
            text_print(&vocab, ",\"%c%c\":%d", letters[i], letters[k], 9 + 4 * i + k);
            text_print(&merges, ",[\"%c\",\"%c\"]", letters[i], letters[k]);
        }
    }
    return arena_print(arena, "{" LLAMA_PARTS "\"model\":{\"type\":\"BPE\",\"vocab\":{%s},\"merges\":[%s]}}", vocab.bytes, merges.bytes);
}

/* More different words than are remembered at once, so that they push each other out; and by several threads at the same time. */
static void what_is_remembered_changes_nothing(void **state)
{
    (void)state;
    enum { ALL = 1000, TIMES = 4, LETTERS = 600 };
    struct arena *arena = arena_create(NULL);
    const char *json = letter_pairs(arena), *text[ALL];
    struct tokenizer *tokenizer = open_good(arena, json);
    struct tokens expected[ALL];
    int different[ALL] = { 0 };
    uint64_t chance = 2;
    for (int i = 0; i < ALL; i++) {
        struct text made = text_new(arena);
        for (int k = 0; k < LETTERS; k++)
            text_print(&made, "%c%s", "abcd"[next(&chance, 4)], next(&chance, 8) ? "" : " ");
        text[i] = made.bytes;
        expected[i] = encode(tokenizer, arena, text[i]);
    }
    for (int i = 0; i < ALL; i += ALL / 50) {
        struct tokenizer *fresh = open_good(arena, json);
        const struct tokens alone = encode(fresh, arena, text[i]);
        assert_true(same(&alone, &expected[i]));
        tokenizer_close(fresh);
    }
#pragma omp parallel for num_threads(4) schedule(dynamic)
    for (int i = 0; i < ALL * TIMES; i++) {
        struct arena *own = arena_create(NULL);
        const struct tokens again = encode(tokenizer, own, text[i % ALL]);
#pragma omp atomic
        different[i % ALL] += !same(&again, &expected[i % ALL]);
        arena_destroy(own);
    }
    for (int i = 0; i < ALL; i++)
        assert_int_equal(different[i], 0);
    tokenizer_close(tokenizer);
    arena_destroy(arena);
}

static const struct bordered {
    const char *name, *model, *text;
    int count;
    int32_t id[6];
} bordered[] = {
    { "the suffix belongs to the last character of a piece, not of a word",
      "\"end_of_word_suffix\":\"_\",\"vocab\":{\"a\":0,\"b\":1,\"a_\":2,\"b_\":3},\"merges\":[]",
      "abab",
      4,
      { 0, 1, 0, 3 } },
    { "the prefix is left out of the first character of a piece only",
      "\"continuing_subword_prefix\":\"_\",\"vocab\":{\"a\":0,\"b\":1,\"_a\":2,\"_b\":3},\"merges\":[]",
      "abab",
      4,
      { 0, 3, 2, 3 } },
    { "a piece that is a token stays one", "\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]", "ab", 1, { 2 } },
    { "what is left out separates nothing", "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[[\"a\",\"b\"]]", "a.b", 1, { 2 } },
    { "unknown neighbours are one", "\"unk_token\":\"?\",\"fuse_unk\":true,\"vocab\":{\"a\":0,\"?\":1},\"merges\":[]", "a..;a", 3, { 0, 1, 0 } },
    { "an unknown character may merge", "\"unk_token\":\"?\",\"vocab\":{\"a\":0,\"?\":1,\"?a\":2},\"merges\":[[\"?\",\"a\"]]", ".a", 1, { 2 } },
};

static void borders_stand_where_neighbours_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bordered); i++) {
        struct arena *arena = arena_create(NULL);
        struct tokenizer *tokenizer = open_good(arena, arena_print(arena, "{\"model\":{\"type\":\"BPE\",%s}}", bordered[i].model));
        const struct tokens tokens = encode(tokenizer, arena, bordered[i].text);
        if (tokens.count != bordered[i].count)
            fail_msg("%s: %d tokens", bordered[i].name, (int)tokens.count);
        for (int k = 0; k < bordered[i].count; k++)
            if (tokens.token[k].id != bordered[i].id[k])
                fail_msg("%s: token %d is %d", bordered[i].name, k, (int)tokens.token[k].id);
        tokenizer_close(tokenizer);
        arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_encoded_as_if_it_were_one_word),
        cmocka_unit_test(borders_stand_where_neighbours_do_not_matter),
        cmocka_unit_test(what_is_remembered_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
