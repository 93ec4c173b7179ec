/* Templates: what a pair of one's own renders, which named one goes with which format, and where a mistake in one is said to stand. */
#include "datasets/format.h"
#include "tests/datasets/world.h"

static const struct {
    const char *format, *prompt, *response, *record, *spelled;
} own[] = {
    { "dolly", "{context}\nQuestion: {instruction}\nAnswer:", " {response}", "{\"instruction\": \"Who?\", \"context\": \"I did.\", \"response\": \"I\"}",
      "<s>I did.\nQuestion: Who?\nAnswer:[[ I</s>]]" },
    { "dolly", "{context}\nQuestion: {instruction}\nAnswer:", " {response}", "{\"instruction\": \"Who?\", \"response\": \"I\"}",
      "<s>\nQuestion: Who?\nAnswer:[[ I</s>]]" },
    { "alpaca", "{context}+{input}", "{output}={response}", "{\"instruction\": \"\", \"input\": \"i\", \"output\": \"o\"}", "<s>i+i[[o=o</s>]]" },
    { "dolly", "{{{category}}}", "{{}}{response}", "{\"instruction\": \"x\", \"response\": \"y\", \"category\": \"open\"}", "<s>{open}[[{}y</s>]]" },
    { "prompt_completion", "[{prompt}]", "<{completion}>", "{\"prompt\": \"p\", \"response\": \"r\"}", "<s>[p][[<r></s>]]" },
    { "text", "Story: ", "{text}!", "{\"text\": \"{text} 1\"}", "<s>Story: [[{text} 1!</s>]]" },
    { "dolly", "", "{instruction}", "{\"instruction\": \"x\", \"response\": \"y\"}", "<s>[[x</s>]]" },
};

static void ones_own_template_is_filled_with_fields(void **state)
{
    for (size_t i = 0; i < COUNT(own); i++) {
        struct world w = world_new(*state);
        w.source.prompt = own[i].prompt;
        w.source.response = own[i].response;
        assert_fine(*state, read_text(&w, own[i].format, own[i].record));
        assert_string_equal(spelled(&w, &w.dataset.sequence[0]), own[i].spelled);
        tokenizer_close(w.tokenizer);
    }
}

static void named_templates_work_with_every_instruction_format(void **state)
{
    static const struct {
        const char *format, *record;
    } formats[] = {
        { "dolly", "{\"instruction\": \"INSTRUCTION\", \"context\": \"CONTEXT\", \"response\": \"ANSWER\"}" },
        { "alpaca", "{\"instruction\": \"INSTRUCTION\", \"input\": \"CONTEXT\", \"output\": \"ANSWER\"}" },
    };
    static const char *const names[] = { "alpaca", "dolly", "plain" };
    for (size_t n = 0; n < COUNT(names); n++) {
        char hash[65] = "";
        for (size_t f = 0; f < COUNT(formats); f++) {
            struct world w = world_new(*state);
            w.source.template_name = names[n];
            assert_fine(*state, read_text(&w, formats[f].format, formats[f].record));
            assert_holds(w.dataset.sequence[0].prompt, "INSTRUCTION");
            assert_holds(w.dataset.sequence[0].prompt, "CONTEXT");
            assert_holds(w.dataset.sequence[0].response, "ANSWER");
            assert_true(f == 0 || strcmp(hash, w.dataset.hash) == 0);
            strcpy(hash, w.dataset.hash);
            tokenizer_close(w.tokenizer);
        }
    }
}

static void names_of_templates_are_listed(void **state)
{
    (void)state;
    static const char *const wordings[] = { "alpaca", "dolly", "plain", "question_answer", "nli", "prompt_completion", "text" };
    size_t count = 0, layouts = 0;
    for (; count < COUNT(wordings); count++)
        assert_string_equal(template_names()[count], wordings[count]);
    for (; layout_names()[layouts]; layouts++)
        assert_string_equal(layout_find(layout_names()[layouts])->name, layout_names()[layouts]);
    for (; count < COUNT(wordings) + layouts; count++)
        assert_non_null(layout_find(template_names()[count]));
    assert_string_equal(template_names()[count++], CHAT_TEMPLATE);
    assert_null(template_names()[count]);
}

static const struct {
    const char *format, *name, *prompt, *response, *what, *cure;
} refused[] = {
    { "dolly", NULL, "Question: {instrution}", "{response}", "the template's prompt, character 11: {instrution} is no field of format dolly",
      "did you mean 'instruction'?" },
    { "dolly", NULL, "\u00e9{x}", "{response}", "character 2: {x} is no field of format dolly", "instruction, context, response, category" },
    { "alpaca", NULL, "{text}", "{response}", "{text} is no field of format alpaca", "context, input, response, output" },
    { "dolly", NULL, "{}", "{response}", "character 1: {} is no field", "fields of this format" },
    { "dolly", NULL, "a {instruction", "{response}", "character 3: '{' opens a field that is not closed", "{{" },
    { "dolly", NULL, "{a{instruction}", "{response}", "character 1: '{' opens a field that is not closed", "{{" },
    { "dolly", NULL, "{", "{response}", "character 1: '{' opens", "{{" },
    { "dolly", NULL, "{instruction}", "{response}}", "the template's response, character 11: '}' closes no field", "}}" },
    { "text", "alpaca", NULL, NULL, "{instruction} is no field of format text", "text" },
    { "dolly", "text", NULL, NULL, "template text's response, character 1: {text} is no field of format dolly", "" },
    { "dolly", "alpacca", NULL, NULL, "run.yaml:3:5: there is no template 'alpacca'", "did you mean 'alpaca'?" },
    { "dolly", "koala-chat", NULL, NULL, "there is no template 'koala-chat'", "alpaca, dolly, plain" },
    { "messages", NULL, NULL, NULL, "template chat_template is the model's own, and this model has none", "vicuna, llama2-chat" },
    { "messages", "alpaca", NULL, NULL, "template alpaca fills fields of a record, and format messages has turns", "chat_template (the model's own), vicuna" },
    { "sharegpt", NULL, "{value}", "{value}", "a pair of prompt and response fills fields of a record, and format sharegpt has turns", "by name" },
    { "text", "chat_template", NULL, NULL, "template chat_template needs a question and an answer, and format text has neither", "remove the template" },
    { "text", "chatml", NULL, NULL, "template chatml needs a question and an answer, and format text has neither", "remove the template" },
    { "gsm8k", "nli", NULL, NULL, "{premise} is no field of format gsm8k", "fields of this format" },
    { "tokens", "alpaca", NULL, NULL, "format tokens takes no template", "remove" },
    { "tokens", NULL, "a", "b", "format tokens takes no template", "remove" },
};

static void a_mistake_in_a_template_is_placed_and_cured(void **state)
{
    struct world w = world_new(*state);
    for (size_t i = 0; i < COUNT(refused); i++) {
        w.source.template_name = refused[i].name;
        w.source.prompt = refused[i].prompt;
        w.source.response = refused[i].response;
        enum status status = read_text(&w, refused[i].format, "{}");
        assert_holds(w.scratch->err.what, "run.yaml:3:5: ");
        assert_holds(w.scratch->err.cure, refused[i].cure);
        assert_failed(*state, status, BAD_CONFIG, refused[i].what);
    }
    tokenizer_close(w.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(ones_own_template_is_filled_with_fields),
        SCRATCH_TEST(named_templates_work_with_every_instruction_format),
        SCRATCH_TEST(names_of_templates_are_listed),
        SCRATCH_TEST(a_mistake_in_a_template_is_placed_and_cured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
