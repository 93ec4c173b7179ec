/* Formats: a record in, tokens and labels out, for every format; and what hostile files get instead. */
#include "tests/datasets/world.h"

#define INTRO "<s>Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n"
#define PAIRED                                                                                                                                                 \
    "<s>Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the " \
    "request.\n\n### Instruction:\n"

#define VICUNA                                                                                                                                                 \
    "<s>A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's "      \
    "questions. "
#define BAIZE "<s>The conversation between human and AI assistant.\n"
#define CHAT  "[{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Ho'}, "
#define TREE(replies)                                                                                                                                          \
    "{'message_tree_id': 't', 'tree_state': 'ready_for_export', 'prompt': {'message_id': 'p', 'text': 'Hi', 'role': 'prompter', 'review_result': true, "       \
    "'replies': [" replies "]}}"

static const struct {
    const char *format, *template_name, *record, *spelled;
} golden[] = {
    { "dolly", NULL, "{'instruction': 'Why?', 'context': 'It rains.', 'response': 'Rain.', 'category': 'closed_qa'}",
      INTRO "Why?\n\nInput:\nIt rains.\n\n### Response:\n[[Rain.\n\n### End</s>]]" },
    { "dolly", NULL, "{'instruction': 'Why?', 'context': '', 'response': 'So.'}", INTRO "Why?\n\n### Response:\n[[So.\n\n### End</s>]]" },
    { "dolly", NULL, "{'instruction': 'Why?', 'context': null, 'response': 'So.'}", INTRO "Why?\n\n### Response:\n[[So.\n\n### End</s>]]" },
    { "dolly", "alpaca", "{'instruction': 'Why?', 'response': 'So.'}", INTRO "Why?\n\n### Response:[[So.</s>]]" },
    { "dolly", "plain", "{'instruction': 'Why?', 'context': 'It is.', 'response': 'So.'}", "<s>It is.\nWhy?\n[[So.</s>]]" },
    { "dolly", "plain", "{'instruction': 'Why?', 'response': 'So.'}", "<s>Why?\n[[So.</s>]]" },
    { "alpaca", NULL, "{'instruction': 'Add', 'input': '1 2', 'output': '3', 'text': 'Below is'}", PAIRED "Add\n\n### Input:\n1 2\n\n### Response:[[3</s>]]" },
    { "alpaca", NULL, "{'instruction': 'Add', 'input': '', 'output': '3'}", INTRO "Add\n\n### Response:[[3</s>]]" },
    { "alpaca", "dolly", "{'instruction': 'Add', 'input': '1 2', 'output': '3'}", INTRO "Add\n\nInput:\n1 2\n\n### Response:\n[[3\n\n### End</s>]]" },
    { "prompt_completion", NULL, "{'prompt': 'one {two} ', 'completion': 'three'}", "<s>one {two} [[three</s>]]" },
    { "prompt_completion", NULL, "{'prompt': 'Q:', 'response': ' a b'}", "<s>Q:[[ a b</s>]]" },
    { "prompt_completion", "prompt_completion", "{'prompt': '', 'completion': 'x', 'response': null}", "<s>[[x</s>]]" },
    { "text", NULL, "{'text': 'All of it.'}", "<s>[[All of it.</s>]]" },
    { "text", "text", "{'text': '\\u00e9\\ud83d\\ude00'}", "<s>[[\u00e9\U0001F600</s>]]" },
    { "tokens", NULL, "{'ids': [0, 67, 68, 1]}", "<s>[[AB</s>]]" },
    { "tokens", NULL, "{'ids': [67, 68, 69, 70], 'labels': [67, -100, 69, -100]}", "AB[[C]]D" },
    { "tokens", NULL, "{'ids': [67, 68], 'labels': null}", "A[[B]]" },
    { "dolly", "vicuna", "{'instruction': 'Why?', 'context': 'It is.', 'response': 'So.'}", VICUNA "USER: Why?\n\nIt is. ASSISTANT:[[ So.</s>]]" },
    { "alpaca", "guanaco", "{'instruction': 'Why?', 'input': '', 'output': 'So.'}", "<s>### Human: Why?### Assistant:[[ So.</s>]]" },
    { "prompt_completion", "zephyr", "{'prompt': 'Q', 'completion': 'A'}", "<s><|user|>\nQ</s>\n<|assistant|>\n[[A</s>]]\n" },
    { "messages", "vicuna", "{'messages': " CHAT "{'role': 'user', 'content': 'And?'}, {'role': 'assistant', 'content': 'No.'}]}",
      "<s>Be brief. USER: Hi ASSISTANT:[[ Ho</s>]]USER: And? ASSISTANT:[[ No.</s>]]" },
    { "messages", "vicuna", "{'id': 7, 'messages': " CHAT "{'role': 'user', 'content': 'And?'}, {'role': 'assistant', 'content': 'No.', 'train': false}]}",
      "<s>Be brief. USER: Hi ASSISTANT:[[ Ho</s>]]USER: And? ASSISTANT: No.</s>" },
    { "messages", "zephyr", "{'messages': " CHAT "{'role': 'user', 'content': 'And?', 'train': true}]}",
      "<s><|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n[[Ho</s>]]\n[[<|user|>\nAnd?</s>\n]]" },
    { "sharegpt", NULL,
      "{'id': 'a', 'conversations': [{'from': 'gpt', 'value': 'Yes?'}, {'from': 'human', 'value': 'Hi'}, {'from': 'gpt', 'value': 'Ho'}, {'from': 'user', "
      "'value': 'last'}]}",
      VICUNA "USER: Hi ASSISTANT:[[ Ho</s>]]" },
    { "oasst", NULL, TREE("{'message_id': 'a', 'text': 'Ho', 'role': 'assistant', 'replies': [{'message_id': 'q', 'text': '?', 'role': 'prompter'}]}"),
      "<s><|prompter|>Hi</s><|assistant|>[[Ho</s>]]" },
    { "guanaco", NULL, "{'text': '### Human: Hi\\nyou### Assistant: Ho### Human: And?### Assistant: No.'}",
      "<s>### Human: Hi\nyou### Assistant:[[ Ho### Human]]: And?### Assistant:[[ No.</s>]]" },
    { "baize", NULL, "{'topic': 't', 'input': 'The conversation between human and AI assistant.\\n[|Human|] Hi\\n[|AI|] Ho\\n[|Human|] '}",
      BAIZE "[|Human|] Hi\n[|AI|][[ Ho\n</s>]]" },
    { "dolly_hhrlhf", NULL, "{'prompt': 'Do it.\\n\\n### Response:\\n', 'response': 'Done.'}", "<s>Do it.\n\n### Response:\n[[Done.</s>]]" },
    { "gsm8k", NULL, "{'question': '1 + 1?', 'answer': 'It is <<1+1=2>>2.\\n#### 2'}", "<s>Question: 1 + 1?\nAnswer:[[ It is <<1+1=2>>2.\n#### 2</s>]]" },
    { "gsm8k", "guanaco", "{'question': '1 + 1?', 'answer': '2'}", "<s>### Human: 1 + 1?### Assistant:[[ 2</s>]]" },
    { "competition_math", NULL, "{'problem': '$x=1$?', 'level': 'Level 1', 'type': 'Algebra', 'solution': '\\\\boxed{1}'}",
      "<s>Question: $x=1$?\nAnswer:[[ \\boxed{1}</s>]]" },
    { "competition_math", "plain", "{'context': 'x', 'answer': '1', 'chain_of_thought': 'so 1', 'category': 'c'}", "<s>x\n[[so 1</s>]]" },
    { "esnli", NULL, "{'premise': 'Rain falls.', 'hypothesis': 'It is wet.', 'label': 0, 'explanation_1': 'Rain wets.', 'explanation_2': ''}",
      "<s>explain nli premise: Rain falls. hypothesis: It is wet.[[\nentailment explanation: Rain wets.</s>]]" },
    { "esnli", "guanaco", "{'premise': 'P', 'hypothesis': 'H', 'label': 'neutral', 'explanation_1': 'E'}",
      "<s>### Human: Premise: P\nHypothesis: H### Assistant:[[ neutral\nE</s>]]" },
    { "duorc", NULL,
      "{'plot_id': '1', 'plot': 'Ann flies.', 'title': 'T', 'question_id': 'q', 'question': 'Who?', 'answers': ['Ann', 'her'], 'no_answer': false}",
      "<s>Ann flies.\n\nQuestion: Who?\nAnswer:[[ Ann</s>]]" },
    { "duorc", NULL, "{'id': '1', 'plot': 'Ann flies.', 'title': 'T', 'qa': [{'id': 'q', 'question': 'Who?', 'answers': ['Ann'], 'no_answer': false}]}",
      "<s>Ann flies.\n\nQuestion: Who?\nAnswer:[[ Ann</s>]]" },
    { "lambada", NULL, "{'text': 'I do not care about signs'}", "<s>I do not care about[[ signs</s>]]" },
};

/* JSON with ' for ", so that tables stay readable. */
static char *quoted(struct arena *arena, const char *json)
{
    char *text = arena_print(arena, "%s", json);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return text;
}

static void every_format_gives_its_golden_tokens_and_labels(void **state)
{
    for (size_t i = 0; i < COUNT(golden); i++) {
        struct world w = world_new(*state);
        w.source.template_name = golden[i].template_name;
        assert_fine(*state, read_text(&w, golden[i].format, quoted(w.scratch->arena, golden[i].record)));
        assert_int_equal(w.dataset.count, 1);
        const struct sequence *s = &w.dataset.sequence[0];
        assert_string_equal(spelled(&w, s), golden[i].spelled);
        assert_counts_fit(s);
        assert_int_equal(w.dataset.tokens, s->count);
        assert_int_equal(w.dataset.trained, s->trained);
        assert_holds(s->where, "data.jsonl:1");
        assert_true(!s->prompt == !strcmp(golden[i].format, "tokens"));
        for (int kind = 0; kind < FINDINGS; kind++)
            assert_true(w.dataset.finding[kind].count == 0 || kind == SPLIT_MARKER); /* this tokenizer has no markers */
        tokenizer_close(w.tokenizer);
    }
}

static void every_format_has_a_golden_record(void **state)
{
    (void)state;
    int count = 0;
    for (const char *const *name = format_names(); *name; name++, count++) {
        bool found = false;
        for (size_t i = 0; i < COUNT(golden); i++)
            found |= strcmp(golden[i].format, *name) == 0;
        assert_true(found);
    }
    assert_int_equal(count, 16);
}

static void lines_and_arrays_give_the_same(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"one\"}\r\n\n{\"text\": \"two\"}"));
    char lines[65];
    strcpy(lines, w.dataset.hash);
    assert_int_equal(w.dataset.count, 2);
    assert_holds(w.dataset.sequence[1].where, "data.jsonl:3");
    assert_fine(*state, read_text(&w, "text", "\xEF\xBB\xBF[{\"text\":\n\"one\"},\n{\"text\": \"two\"}]\n"));
    assert_string_equal(lines, w.dataset.hash);
    assert_int_equal(w.dataset.records, 2);
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"onetwo\"}\n{\"text\": \"\"}"));
    assert_string_not_equal(lines, w.dataset.hash);
    tokenizer_close(w.tokenizer);
}

static void a_limit_takes_the_first_records(void **state)
{
    struct world w = world_new(*state);
    w.source.limit = 2;
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"1\"}\n{\"text\": \"2\"}\n{\"text\": 3}"));
    assert_int_equal(w.dataset.records, 2);
    assert_string_equal(spelled(&w, &w.dataset.sequence[1]), "<s>[[2</s>]]");
    tokenizer_close(w.tokenizer);
}

static void sources_follow_each_other(void **state)
{
    struct world w = world_new(*state);
    struct scratch *s = *state;
    struct source source[2] = {
        { .path = scratch_write(s, "a.jsonl", "{\"text\": \"a\"}", 13), .format = "text", .where = "run.yaml:1:1" },
        { .path = scratch_write(s, "b.jsonl", "{\"ids\": [67, 68]}", 17), .format = "tokens", .where = "run.yaml:2:1" },
    };
    assert_fine(s, dataset_read(&w.dataset, s->arena, source, 2, &w.settings, w.tokenizer, EOS, BYTE_VOCAB, &s->err));
    assert_int_equal(w.dataset.count, 2);
    assert_holds(w.dataset.sequence[0].where, "a.jsonl:1");
    assert_holds(w.dataset.sequence[1].where, "b.jsonl:1");
    tokenizer_close(w.tokenizer);
}

static void tokens_need_no_tokenizer_and_text_does(void **state)
{
    struct world w = world_new(*state);
    struct tokenizer *tokenizer = w.tokenizer;
    w.tokenizer = NULL;
    w.eos = -1;
    assert_fine(*state, read_text(&w, "tokens", "{\"ids\": [5, 6, 7]}"));
    assert_ids(w.dataset.sequence[0].ids, w.dataset.sequence[0].count, (const int32_t[]){ 5, 6, 7 }, 3);
    assert_failed(*state, read_text(&w, "text", "{\"text\": \"a\"}"), BAD_DATA, "there is no tokenizer");
    w.tokenizer = tokenizer;
    assert_failed(*state, read_text(&w, "text", "{\"text\": \"a\"}"), BAD_DATA, "EOS");
    tokenizer_close(tokenizer);
}

static const struct {
    const char *format, *json;
    enum status status;
    const char *what, *cure;
} refused[] = {
    { "dolly", "{'question': 'q', 'answer': 'a'}", BAD_DATA,
      "data.jsonl:1: field 'instruction' of format dolly is missing; the record has 'question', 'answer'", "set format: gsm8k" },
    { "dolly", "{'query': 'q', 'reply': 'a'}", BAD_DATA, "the record has 'query', 'reply'", "'instruction', 'context', 'response', 'category'" },
    { "dolly", "{'instruction': 'i', 'input': 'c', 'output': 'o'}", BAD_DATA, "field 'response' of format dolly is missing", "set format: alpaca" },
    { "dolly", "{'prompt': 'i', 'completion': 'o'}", BAD_DATA, "is missing", "set format: prompt_completion" },
    { "dolly", "{'instruction': 'i', 'response': null}", BAD_DATA, "'response' (null)", "" },
    { "dolly", "{'instruction': 'i', 'response': 'r'}\n{'instruction': 7, 'response': 'r'}", BAD_DATA, "data.jsonl:2: field 'instruction' is a number",
      "text" },
    { "dolly", "{'instruction': 'i', 'context': ['c'], 'response': 'r'}", BAD_DATA, "field 'context' is a list", "text" },
    { "dolly", "{}", BAD_DATA, "the record has no fields", "" },
    { "alpaca", "{'instruction': 'i', 'input': 'c'}", BAD_DATA, "field 'output' of format alpaca is missing", "" },
    { "prompt_completion", "{'prompt': 'p'}", BAD_DATA, "field 'completion' of format prompt_completion is missing", "" },
    { "prompt_completion", "{'prompt': 'p', 'completion': 'c', 'response': 'r'}", BAD_DATA, "both 'completion' and 'response'", "remove one" },
    { "text", "{'text': true}", BAD_DATA, "field 'text' is true", "" },
    { "text", "['a', 'b']", BAD_DATA, "data.jsonl:1: the record is a text, not an object", "JSON lines" },
    { "text", "17", BAD_DATA, "the record is a number", "" },
    { "text", "just words\nin lines", BAD_FILE, "data.jsonl:1:", "" },
    { "text", "", BAD_DATA, "no records", "" },
    { "text", "[]", BAD_DATA, "no records", "" },
    { "text", "{'text': 'a'", BAD_FILE, "data.jsonl:1:", "" },
    { "text", "{'text': 'a\xFF'}", BAD_FILE, "data.jsonl:1:", "" },
    { "text", "{'text': 'a\\u0000b'}", BAD_FILE, "data.jsonl:1:", "" },
    { "text", "{'text': 'a\\ud800b'}", BAD_FILE, "data.jsonl:1:", "" },
    { "text", "{'text': 'a', 'text': 'b'}", BAD_FILE, "duplicate", "" },
    { "text", "{'text': 'a', 'n': 1e999}", BAD_FILE, "data.jsonl:1:", "" },
    { "tokens", "{'ids': []}", BAD_DATA, "'ids' is missing or empty", "" },
    { "tokens", "{'id': [1, 2]}", BAD_DATA, "'ids' is missing or empty", "" },
    { "tokens", "{'ids': 'abc'}", BAD_DATA, "'ids'", "array" },
    { "tokens", "{'ids': [1, 260]}", BAD_DATA, "ids[1]", "" },
    { "tokens", "{'ids': [1, -1]}", BAD_DATA, "ids[1]", "" },
    { "tokens", "{'ids': [1, 2.0]}", BAD_DATA, "ids[1]", "" },
    { "tokens", "{'ids': [1, 99999999999999999999999]}", BAD_DATA, "ids[1]", "" },
    { "tokens", "{'ids': [1, 4294967297]}", BAD_DATA, "ids[1]", "" },
    { "tokens", "{'ids': [1, 2], 'labels': [1]}", BAD_DATA, "1 labels for 2 ids", "" },
    { "tokens", "{'ids': [1, 2], 'labels': []}", BAD_DATA, "0 labels for 2 ids", "" },
    { "tokens", "{'ids': [1, 2], 'labels': [1, -1]}", BAD_DATA, "labels[1] is -1", "-100" },
    { "tokens", "{'ids': [1, 2], 'labels': [1, -101]}", BAD_DATA, "labels[1]", "-100" },
    { "tokens", "{'ids': [1, 2], 'labels': [1, 260]}", BAD_DATA, "labels[1]", "-100" },
    { "csv", "a,b", BAD_CONFIG, "run.yaml:3:5: there is no format 'csv'", "dolly, alpaca, prompt_completion, text, tokens, messages" },
    { "doly", "{}", BAD_CONFIG, "there is no format 'doly'", "did you mean 'dolly'?" },
};

static void what_is_no_record_is_refused_with_its_place(void **state)
{
    struct world w = world_new(*state);
    for (size_t i = 0; i < COUNT(refused); i++) {
        enum status status = read_text(&w, refused[i].format, quoted(w.scratch->arena, refused[i].json));
        assert_holds(w.scratch->err.cure, refused[i].cure);
        assert_failed(*state, status, refused[i].status, refused[i].what);
    }
    assert_failed(*state, read_bytes(&w, "text", "{\"text\": \"a\0b\"}", 15), BAD_FILE, "data.jsonl:1:");
    tokenizer_close(w.tokenizer);
}

static void deep_nesting_is_refused(void **state)
{
    struct world w = world_new(*state);
    enum { DEEP = 100000 };
    struct text lines = text_new(w.scratch->arena), array = text_new(w.scratch->arena);
    text_add_string(&lines, "{\"text\": ");
    text_add_string(&array, "[");
    for (int i = 0; i < DEEP; i++) {
        text_add_string(&lines, "[");
        text_add_string(&array, "[");
    }
    assert_failed(*state, read_bytes(&w, "text", lines.bytes, lines.length), BAD_FILE, "data.jsonl:1:");
    assert_failed(*state, read_bytes(&w, "text", array.bytes, array.length), BAD_FILE, "data.jsonl:1:");
    tokenizer_close(w.tokenizer);
}

static void ids_the_model_does_not_have_are_refused(void **state)
{
    struct world w = world_new(*state);
    w.vocab = 100;
    assert_fine(*state, read_text(&w, "text", "{\"text\": \"ABC\"}"));
    assert_failed(*state, read_text(&w, "text", "{\"text\": \"ABCd\"}"), BAD_DATA, "token 4 has id 102, the model's vocabulary has 100 rows");
    w.eos = 200;
    assert_failed(*state, read_text(&w, "text", "{\"text\": \"ABC\"}"), BAD_DATA, "id 200");
    tokenizer_close(w.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(every_format_gives_its_golden_tokens_and_labels),
        SCRATCH_TEST(every_format_has_a_golden_record),
        SCRATCH_TEST(lines_and_arrays_give_the_same),
        SCRATCH_TEST(a_limit_takes_the_first_records),
        SCRATCH_TEST(sources_follow_each_other),
        SCRATCH_TEST(tokens_need_no_tokenizer_and_text_does),
        SCRATCH_TEST(what_is_no_record_is_refused_with_its_place),
        SCRATCH_TEST(deep_nesting_is_refused),
        SCRATCH_TEST(ids_the_model_does_not_have_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
