/* Masks: which tokens are trained, decided by byte offsets on two kinds of tokenizers; where EOS stands; what over-long sequences become. */
#include "tests/datasets/world.h"

static const struct {
    const char *what, *prompt, *response, *spelled;
} byte_level[] = {
    { "the blank belongs to the response", "Q:", " b.", "<s>Q:[[ b.</s>]]" },
    { "a token that begins in the prompt is not trained", "Q: ", "b.", "<s>Q: b[[.</s>]]" },
    { "merges do not cross what the pre-tokenizer cuts", "a", "b", "<s>ab[[</s>]]" },
    { "a character of several tokens is trained as a whole", "\u00e9", "\u00e9\u20ac", "<s>\u00e9[[\u00e9\u20ac</s>]]" },
    { "an empty prompt: all but the first token", "", "ab b", "<s>[[ab b</s>]]" },
    { "special tokens in the prompt stay there", "</s>", "x", "<s></s>[[x</s>]]" },
    { "EOS in words is not doubled", "x", "y</s>", "<s>x[[y</s>]]" },
};

static void byte_level_masks_follow_offsets(void **state)
{
    for (size_t i = 0; i < COUNT(byte_level); i++) {
        struct world w = world_new(*state);
        struct text json = text_new(w.scratch->arena);
        text_add_string(&json, "{\"prompt\": ");
        text_add_json(&json, byte_level[i].prompt, strlen(byte_level[i].prompt));
        text_add_string(&json, ", \"completion\": ");
        text_add_json(&json, byte_level[i].response, strlen(byte_level[i].response));
        text_add_string(&json, "}");
        assert_fine(*state, read_text(&w, "prompt_completion", json.bytes));
        const struct sequence *s = &w.dataset.sequence[0];
        if (strcmp(spelled(&w, s), byte_level[i].spelled) != 0)
            print_error("%s\n", byte_level[i].what);
        assert_string_equal(spelled(&w, s), byte_level[i].spelled);
        assert_string_equal(s->prompt, byte_level[i].prompt);
        assert_string_equal(s->response, byte_level[i].response);
        assert_counts_fit(s);
        tokenizer_close(w.tokenizer);
    }
}

#define L(letter) (L_FIRST_LETTER + (letter) - 'a')
enum { COLON = L_FIRST_LETTER + 26, X = NOT_TRAINED };

static const struct {
    const char *prompt, *response;
    int32_t count, ids[12], labels[12];
} llama[] = {
    { "q:", " b", 6, { L_BOS, L_BLANK, L('q'), COLON, L_BLANK_B, L_EOS }, { X, X, X, X, L_BLANK_B, L_EOS } },
    { "q: ", "b", 6, { L_BOS, L_BLANK, L('q'), COLON, L_BLANK_B, L_EOS }, { X, X, X, X, X, L_EOS } },
    { "q", "b", 5, { L_BOS, L_BLANK, L('q'), L('b'), L_EOS }, { X, X, X, L('b'), L_EOS } },
    { "q", "\u00e9", 6, { L_BOS, L_BLANK, L('q'), L_BYTE + 0xC3, L_BYTE + 0xA9, L_EOS }, { X, X, X, L_BYTE + 0xC3, L_BYTE + 0xA9, L_EOS } },
    { "\u00e9", "q", 6, { L_BOS, L_BLANK, L_BYTE + 0xC3, L_BYTE + 0xA9, L('q'), L_EOS }, { X, X, X, X, L('q'), L_EOS } },
    { "", "a", 4, { L_BOS, L_BLANK, L('a'), L_EOS }, { X, L_BLANK, L('a'), L_EOS } },
    { "q", "\n a", 7, { L_BOS, L_BLANK, L('q'), L_BYTE + '\n', L_BLANK, L('a'), L_EOS }, { X, X, X, L_BYTE + '\n', L_BLANK, L('a'), L_EOS } },
};

static void llama_masks_follow_offsets(void **state)
{
    for (size_t i = 0; i < COUNT(llama); i++) {
        struct world w = llama_world(*state);
        struct text json = text_new(w.scratch->arena);
        text_add_string(&json, "{\"prompt\": ");
        text_add_json(&json, llama[i].prompt, strlen(llama[i].prompt));
        text_add_string(&json, ", \"completion\": ");
        text_add_json(&json, llama[i].response, strlen(llama[i].response));
        text_add_string(&json, "}");
        assert_fine(*state, read_text(&w, "prompt_completion", json.bytes));
        const struct sequence *s = &w.dataset.sequence[0];
        assert_ids(s->ids, s->count, llama[i].ids, llama[i].count);
        assert_ids(s->labels, s->count, llama[i].labels, llama[i].count);
        assert_counts_fit(s);
        tokenizer_close(w.tokenizer);
    }
}

static void a_tokenizer_that_ends_texts_itself_ends_them_once(void **state)
{
    struct world w = world_new(*state);
    tokenizer_close(w.tokenizer);
    open_tokenizer(&w, byte_tokenizer_json(w.scratch->arena, true));
    assert_fine(*state, read_text(&w, "prompt_completion", "{\"prompt\": \"p\", \"completion\": \"c\"}\n{\"prompt\": \"p\", \"completion\": \"\"}"));
    assert_string_equal(spelled(&w, &w.dataset.sequence[0]), "<s>p[[c</s>]]");
    assert_string_equal(spelled(&w, &w.dataset.sequence[1]), "<s>p[[</s>]]");
    tokenizer_close(w.tokenizer);
}

static const char three[] =
    "{\"prompt\": \"pppp\", \"completion\": \"cc\"}\n{\"prompt\": \"pppppppppp\", \"completion\": \"c\"}\n{\"prompt\": \"ppp\", \"completion\": "
    "\"cccccccc\"}";

static void over_length_error_names_place_length_and_limit(void **state)
{
    struct world w = world_new(*state);
    w.settings.max_length = 8;
    assert_failed(*state, read_text(&w, "prompt_completion", three), BAD_DATA, "data.jsonl:2: 13 tokens, max_length is 8");
    tokenizer_close(w.tokenizer);
}

static void over_length_drop_leaves_out_and_counts(void **state)
{
    struct world w = world_new(*state);
    w.settings.max_length = 8;
    w.settings.over_length = OVER_LENGTH_DROP;
    assert_fine(*state, read_text(&w, "prompt_completion", three));
    assert_int_equal(w.dataset.count, 1);
    assert_int_equal(w.dataset.records, 3);
    assert_string_equal(spelled(&w, &w.dataset.sequence[0]), "<s>pppp[[cc</s>]]");
    assert_int_equal(w.dataset.finding[OVER_LENGTH].count, 2);
    assert_int_equal(w.dataset.finding[NOTHING_TRAINED].count, 0);
    assert_holds(w.dataset.finding[OVER_LENGTH].first[0], "data.jsonl:2: 13 tokens");
    assert_fine(*state, dataset_gate(&w.dataset, &w.settings, &w.scratch->err));
    tokenizer_close(w.tokenizer);
}

static void over_length_truncate_cuts_and_leaves_out_what_trains_nothing(void **state)
{
    struct world w = world_new(*state);
    w.settings.max_length = 8;
    w.settings.over_length = OVER_LENGTH_TRUNCATE;
    assert_fine(*state, read_text(&w, "prompt_completion", three));
    assert_int_equal(w.dataset.count, 2);
    assert_string_equal(spelled(&w, &w.dataset.sequence[1]), "<s>ppp[[cccc]]");
    assert_counts_fit(&w.dataset.sequence[1]);
    assert_int_equal(w.dataset.finding[OVER_LENGTH].count, 2);
    assert_int_equal(w.dataset.finding[NOTHING_TRAINED].count, 1);
    assert_holds(w.dataset.finding[NOTHING_TRAINED].first[0], "data.jsonl:2:");
    assert_int_equal(w.dataset.tokens, 16);
    assert_fine(*state, read_text(&w, "tokens", "{\"ids\": [2, 3, 4, 5, 6, 7, 8, 9, 10], \"labels\": [2, 3, 4, -100, -100, -100, -100, -100, 10]}"));
    assert_int_equal(w.dataset.sequence[0].count, 8);
    assert_int_equal(w.dataset.sequence[0].trained, 2);
    tokenizer_close(w.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(byte_level_masks_follow_offsets),
        SCRATCH_TEST(llama_masks_follow_offsets),
        SCRATCH_TEST(a_tokenizer_that_ends_texts_itself_ends_them_once),
        SCRATCH_TEST(over_length_error_names_place_length_and_limit),
        SCRATCH_TEST(over_length_drop_leaves_out_and_counts),
        SCRATCH_TEST(over_length_truncate_cuts_and_leaves_out_what_trains_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
