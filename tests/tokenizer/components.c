/* Tiny tokenizers written here: what is refused and how it is said, where tokens come from, what a stream holds back. Ids against the
 * Python package are in synthetic.c and published.c.
 */
#include "common/files.h"
#include "tiny.h"

static const struct refused {
    const char *json, *says;
} refused[] = {
    { "", "tokenizer.json" },
    { "[]", "not an object" },
    { "{\"model\":{}}", "model: type 'null'" },
    { "{\"version\":\"2.0\"," MODEL "}", "version '2.0'" },
    { "{\"surprise\":1," MODEL "}", "unknown key 'surprise'" },
    { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "model: type 'WordPiece'" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "'merges' is missing" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}", "dropout 0.1" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "token id" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.0},\"merges\":[]}}", "token id" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16777216},\"merges\":[]}}", "token id" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999999999999},\"merges\":[]}}", "token id" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "id 0 to 'a' and to 'b'" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}", "'a' twice" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", "merge 0 needs the token 'b'" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}", "merge 0 needs the token 'ab'" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b c\"]}}", "not two tokens" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "',' expected" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":0},\"merges\":[]}}", "escape" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"new\":1}}", "unknown key 'new'" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"voc\\u0061b\":{\"b\":0},\"merges\":[]}}", "tokenizer.json" },
    { "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}," MODEL "}", "precompiled_charsmap of 0 bytes" },
    { "{\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true}," MODEL "}", "normalizer Strip: 'strip_right' is missing" },
    { "{\"normalizer\":{\"type\":\"NFC\",\"form\":1}," MODEL "}", "normalizer NFC: unknown key 'form'" },
    { "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Glob\":\"*\"},\"content\":\"\"}," MODEL "}", "neither {\"String\"" },
    { "{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL "}", "pre_tokenizer: type 'UnicodeScripts'" },
    { "{\"pre_tokenizer\":{\"type\":\"Digits\",\"individual_digits\":1}," MODEL "}", "individual_digits" },
    { "{\"pre_tokenizer\":{\"type\":\"Punctuation\",\"behavior\":\"Torn\"}," MODEL "}", "behavior 'Torn'" },
    { "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"__\"}," MODEL "}", "replacement '__'" },
    { "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}," MODEL "}", "prepend_scheme 'last'" },
    { "{\"post_processor\":{\"type\":\"Unheard\"}," MODEL "}", "post_processor: type 'Unheard'" },
    { "{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",10],\"cls\":[\"x\",0]}," MODEL "}", "id 10 is no token's" },
    { "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\"}}],\"pair\":[]}," MODEL "}", "single[0]" },
    { "{\"decoder\":{\"type\":\"CTC\"}," MODEL "}", "decoder: type 'CTC'" },
    { "{\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}," MODEL "}", "start" },
    { "{\"added_tokens\":[{\"id\":10}]," MODEL "}", "added_tokens[0]: 'content' is missing" },
    { "{\"added_tokens\":[{\"id\":10,\"content\":\"x\"},{\"id\":10,\"content\":\"x\",\"lstrip\":true}]," MODEL "}", "'x' is there twice" },
    { "{\"normalizer\":{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true},\"added_tokens\":[{\"id\":10,\"content\":\"\\n\"}]," MODEL "}",
      "is nothing once normalized" },
};

static void unknown_and_malformed_parts_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        if (open_text(arena, refused[i].json, &err) || err.code != BAD_FILE || !strstr(err.what, refused[i].says))
            fail_msg("%s: '%s' does not say '%s'", refused[i].json, err.what, refused[i].says);
        arena_destroy(arena);
    }
}

static const struct place {
    const char *name, *json, *text;
    int count;
    struct token token[8];
} places[] = {
    { "Llama: the prefix is empty, a space is the token's", "{" LLAMA_PARTS MODEL "}", "a ac", 3, { { 5, 0, 1 }, { 5, 1, 3 }, { 4, 3, 4 } } },
    { "an inserted mark alone is empty", "{" LLAMA_PARTS MODEL "}", "c", 2, { { 3, 0, 0 }, { 4, 0, 1 } } },
    { "byte fallback: each byte has the whole character",
      "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0,\"<0xC3>\":1,\"<0xA8>\":2},\"merges\":[]}}",
      "a\xC3\xA8"
      "a",
      4,
      { { 0, 0, 1 }, { 1, 1, 3 }, { 2, 1, 3 }, { 0, 3, 4 } } },
    { "byte level: each byte has the whole character",
      "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\\u00c3\":1,\"\\u00a8\":2,"
      "\"\\u0120\":3,"
      "\"\\u0120a\":4},\"merges\":[\"\\u0120 a\"]}}",
      "a\xC3\xA8 a",
      4,
      { { 4, 0, 1 }, { 1, 1, 3 }, { 2, 1, 3 }, { 4, 3, 5 } } },
    { "Unicode forms: the cluster",
      "{\"normalizer\":{\"type\":\"NFC\"}," MODEL "}",
      "ae\xCC\x81"
      "b",
      3,
      { { 0, 0, 1 }, { 9, 1, 4 }, { 1, 4, 5 } } },
    { "added tokens cover the space they strip",
      "{\"added_tokens\":[{\"id\":10,\"content\":\"<s>\",\"normalized\":false,\"lstrip\":true,\"rstrip\":true}]," MODEL "}",
      "a  <s> b",
      3,
      { { 0, 0, 1 }, { 10, 1, 7 }, { 1, 7, 8 } } },
    { "the template's tokens are empty, in front and behind",
      "{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"c\",4],\"cls\":[\"b\",1]}," MODEL "}",
      "ab",
      3,
      { { 1, 0, 0 }, { 2, 0, 2 }, { 4, 2, 2 } } },
    { "a replacement has what it replaced; removed text is nobody's",
      "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},{\"type\":\"Replace\",\"pattern\":"
      "{\"Regex\":\"x+\"},\"content\":\"ab\"}]}," MODEL "}",
      " cxxxb ",
      3,
      { { 4, 1, 2 }, { 2, 2, 5 }, { 1, 5, 6 } } },
    { "an empty text", "{" LLAMA_PARTS MODEL "}", "", 0, { { 0, 0, 0 } } },
};

static void tokens_know_where_they_came_from(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(places); i++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        struct tokens tokens;
        struct tokenizer *tokenizer = open_good(arena, places[i].json);
        assert_int_equal(tokenizer_encode(tokenizer, arena, places[i].text, strlen(places[i].text), true, &tokens, &err), OK);
        bool same = true;
        for (int64_t k = 0; k < tokens.count && k < 8; k++) {
            const struct token *want = &places[i].token[k], *got = &tokens.token[k];
            same = same && want->id == got->id && want->begin == got->begin && want->end == got->end;
            if (!same)
                fprintf(stderr, "token %d: id %d [%d, %d), expected id %d [%d, %d)\n", (int)k, got->id, (int)got->begin, (int)got->end, want->id,
                        (int)want->begin, (int)want->end);
        }
        if (!same || tokens.count != places[i].count)
            fail_msg("%s: %d tokens", places[i].name, (int)tokens.count);
        tokenizer_close(tokenizer);
        arena_destroy(arena);
    }
}

#define BYTES_PARTS "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"},"
#define BYTES_MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\\u00e2\":1,\"\\u0124\":2,\"\\u00ac\":3,\"\\u0143\":4},\"merges\":[]}"

/* The token ids, and what is out after each of them; "|" stands for the end. */
static const struct streamed {
    const char *name, *json;
    int32_t id[8];
    int count;
    const char *out[9];
} streamed[] = {
    { "half a character waits",
      "{" BYTES_PARTS BYTES_MODEL "}",
      { 0, 1, 2, 3, 0 },
      5,
      { "a", "a", "a", "a\xE2\x82\xAC",
        "a\xE2\x82\xAC"
        "a",
        "a\xE2\x82\xAC"
        "a" } },
    { "a broken character is one replacement, as soon as it is known",
      "{" BYTES_PARTS BYTES_MODEL "}",
      { 1, 2, 0, 3 },
      4,
      { "", "",
        "\xEF\xBF\xBD"
        "a",
        "\xEF\xBF\xBD"
        "a\xEF\xBF\xBD",
        "\xEF\xBF\xBD"
        "a\xEF\xBF\xBD" } },
    { "the end shows what is left", "{" BYTES_PARTS BYTES_MODEL "}", { 1, 2 }, 2, { "", "", "\xEF\xBF\xBD" } },
    { "a run of byte tokens waits for its end",
      "{" LLAMA_PARTS MODEL "}",
      { 5, 6, 7, 3, 4 },
      5,
      { "a", "a", "a", "a\xC3\xA9 ", "a\xC3\xA9 c", "a\xC3\xA9 c" } },
    { "an invalid run is one replacement a byte",
      "{" LLAMA_PARTS MODEL "}",
      { 6, 6, 7, 0 },
      4,
      { "", "", "",
        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
        "a",
        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
        "a" } },
    { "characters that might be the last wait",
      "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":0,\"stop\":1}]}," MODEL "}",
      { 0, 8, 8, 1, 8 },
      5,
      { "a", "a", "a ", "a  b", "a  b", "a  b" } },
    { "without a decoder a space stands between", "{" MODEL "}", { 0, 1 }, 2, { "a", "a b", "a b" } },
};

static void a_stream_gives_only_what_is_final(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(streamed); i++) {
        struct arena *arena = arena_create(NULL);
        struct error err = { 0 };
        struct tokenizer *tokenizer = open_good(arena, streamed[i].json);
        struct token_stream *stream = token_stream_new(tokenizer, arena, false);
        struct text out = text_new(arena);
        text_add(&out, "", 0);
        for (int k = 0; k <= streamed[i].count; k++) {
            if (k < streamed[i].count)
                assert_int_equal(token_stream_add(stream, streamed[i].id[k], &out, &err), OK);
            else
                assert_int_equal(token_stream_end(stream, &out, &err), OK);
            if (strcmp(out.bytes, streamed[i].out[k]) != 0)
                fail_msg("%s, after %d: '%s', expected '%s'", streamed[i].name, k + 1, out.bytes, streamed[i].out[k]);
        }
        tokenizer_close(tokenizer);
        arena_destroy(arena);
    }
}

static void bad_texts_and_ids_are_errors_that_leave_no_output(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokens tokens;
    struct text out = text_new(arena);
    struct tokenizer *tokenizer = open_good(arena, "{" MODEL "}");
    assert_int_equal(tokenizer_encode(tokenizer, arena, "ab\xFF", 3, true, &tokens, &err), BAD_DATA);
    assert_non_null(strstr(err.what, "byte 2"));
    assert_int_equal(tokens.count, 0);
    text_add_string(&out, "kept");
    err = (struct error){ 0 };
    assert_int_equal(tokenizer_decode(tokenizer, (int32_t[]){ 0, 10 }, 2, false, &out, &err), BAD_DATA);
    assert_non_null(strstr(err.what, "id 10"));
    assert_string_equal(out.bytes, "kept");
    err = (struct error){ 0 };
    assert_int_equal(tokenizer_decode(tokenizer, (int32_t[]){ -1 }, 1, false, &out, &err), BAD_DATA);
    tokenizer_close(tokenizer);
    arena_destroy(arena);
}

static void names_and_sizes_and_special_ids_are_told(void **state)
{
    (void)state;
    static const char json[] =
        "{\"added_tokens\":[{\"id\":10,\"content\":\"<s>\",\"special\":true,\"normalized\":false}],\"post_processor\":{\"type\":"
        "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
        "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[10],\"tokens\":[\"<s>\"]}}}," MODEL "}";
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokenizer *tokenizer = open_beside(arena, json, strlen(json),
                                              "{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"c\",\"pad_token\":null,"
                                              "\"model_max_length\":1000000000000000019884624838656}",
                                              &err);
    assert_non_null(tokenizer);
    assert_int_equal(tokenizer_size(tokenizer), 11);
    assert_string_equal(tokenizer_token(tokenizer, 10), "<s>");
    assert_string_equal(tokenizer_token(tokenizer, 5), "\xE2\x96\x81"
                                                       "a");
    assert_null(tokenizer_token(tokenizer, 11));
    assert_null(tokenizer_token(tokenizer, -1));
    assert_int_equal(tokenizer_id(tokenizer, "<s>"), 10);
    assert_int_equal(tokenizer_id(tokenizer, "nothing"), -1);
    assert_int_equal(tokenizer_bos(tokenizer), 10);
    assert_int_equal(tokenizer_eos(tokenizer), 4);
    assert_int_equal(tokenizer_pad(tokenizer), -1);
    assert_true(tokenizer_adds_bos(tokenizer));
    assert_false(tokenizer_adds_eos(tokenizer));
    char hex[65];
    hash_bytes(json, strlen(json), hex);
    assert_string_equal(tokenizer_hash(tokenizer), hex);
    tokenizer_close(tokenizer);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_and_malformed_parts_are_refused_by_name),
        cmocka_unit_test(tokens_know_where_they_came_from),
        cmocka_unit_test(a_stream_gives_only_what_is_final),
        cmocka_unit_test(bad_texts_and_ids_are_errors_that_leave_no_output),
        cmocka_unit_test(names_and_sizes_and_special_ids_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
