/* Layouts: every row renders a conversation as published, with the trained spans where a model's own words stand; and, where they are, the recorded renderings
 * of published chat templates.
 */
#include "datasets/format.h"
#include "tests/datasets/world.h"

static struct turn said(enum turn_role role, const char *text)
{
    return (struct turn){ .role = role, .text = text, .length = strlen(text) };
}

/* A rendering with its spans in [[ ]]. */
static const char *marked(struct scratch *s, const struct rendering *rendering)
{
    struct text out = text_new(s->arena);
    size_t at = 0;
    text_add(&out, "", 0);
    for (int i = 0; i < rendering->spans; i++) {
        assert_true(rendering->span[i].begin >= at && rendering->span[i].end >= rendering->span[i].begin);
        text_add(&out, rendering->text.bytes + at, rendering->span[i].begin - at);
        text_add_string(&out, "[[");
        text_add(&out, rendering->text.bytes + rendering->span[i].begin, rendering->span[i].end - rendering->span[i].begin);
        text_add_string(&out, "]]");
        at = rendering->span[i].end;
    }
    text_add(&out, rendering->text.bytes + at, rendering->text.length - at);
    return out.bytes;
}

static const char *render(struct scratch *s, const char *name, struct turn *turn, int turns, int train_on)
{
    struct rendering rendering;
    const struct conversation conversation = { .turn = turn, .turns = turns };
    assert_non_null(layout_find(name));
    layout_render(layout_find(name), &conversation, train_on, true, "<s>", "</s>", s->arena, &rendering);
    return marked(s, &rendering);
}

#define BULLETS                                                                                                                                                \
    "- You are a helpful assistant chatbot trained by MosaicML.\n- You answer questions.\n- You are excited to be able to help the user, but will refuse to "  \
    "do anything that could be considered harmful to the user.\n- You are more than just an information source, you are also able to write poetry, short "     \
    "stories, and make jokes."
#define CURIOUS                                                                                                                                                \
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's "         \
    "questions. "
#define CHATML_REST                                                                                                                                            \
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n[[Ho<|im_end|>]]\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n[[No.<|im_end|>]]\n"

/* user Hi, assistant Ho, user And?, assistant No.; the same behind a system message. */
static const struct {
    const char *name, *plain, *system;
} golden[] = {
    { "vicuna", "<s>" CURIOUS "USER: Hi ASSISTANT:[[ Ho</s>]]USER: And? ASSISTANT:[[ No.</s>]]",
      "<s>Be brief. USER: Hi ASSISTANT:[[ Ho</s>]]USER: And? ASSISTANT:[[ No.</s>]]" },
    { "llama2-chat", "<s>[INST] Hi [/INST][[ Ho </s>]]<s>[INST] And? [/INST][[ No. </s>]]",
      "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST][[ Ho </s>]]<s>[INST] And? [/INST][[ No. </s>]]" },
    { "llama3",
      "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n[[Ho<|eot_id|>]]<|start_header_id|>user"
      "<|end_header_id|>\n\nAnd?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n[[No.<|eot_id|>]]",
      "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant"
      "<|end_header_id|>\n\n[[Ho<|eot_id|>]]<|start_header_id|>user<|end_header_id|>\n\nAnd?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
      "[[No.<|eot_id|>]]" },
    { "chatml", CHATML_REST, "<|im_start|>system\nBe brief.<|im_end|>\n" CHATML_REST },
    { "zephyr", "<|user|>\nHi</s>\n<|assistant|>\n[[Ho</s>]]\n<|user|>\nAnd?</s>\n<|assistant|>\n[[No.</s>]]\n",
      "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n[[Ho</s>]]\n<|user|>\nAnd?</s>\n<|assistant|>\n[[No.</s>]]\n" },
    { "starchat", "<|system|>\n<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n[[Ho<|end|>]]\n<|user|>\nAnd?<|end|>\n<|assistant|>\n[[No.<|end|>]]\n",
      "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n[[Ho<|end|>]]\n<|user|>\nAnd?<|end|>\n<|assistant|>\n[[No.<|end|>]]\n" },
    { "openassistant", "<|prompter|>Hi</s><|assistant|>[[Ho</s>]]<|prompter|>And?</s><|assistant|>[[No.</s>]]",
      "<|system|>Be brief.</s><|prompter|>Hi</s><|assistant|>[[Ho</s>]]<|prompter|>And?</s><|assistant|>[[No.</s>]]" },
    { "falcon-instruct", "\n\nUser: Hi\n\nAssistant:[[ Ho\n\nUser]]: And?\n\nAssistant:[[ No.]]",
      "Be brief.\n\nUser: Hi\n\nAssistant:[[ Ho\n\nUser]]: And?\n\nAssistant:[[ No.]]" },
    { "mpt-chat", "<|im_start|>system\n" BULLETS "<|im_end|>\n" CHATML_REST, "<|im_start|>system\nBe brief.<|im_end|>\n" CHATML_REST },
    { "mpt-30b-chat",
      "<|im_start|>system\nA conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest "
      "answers.<|im_end|>\n" CHATML_REST,
      "<|im_start|>system\nBe brief.<|im_end|>\n" CHATML_REST },
    { "guanaco", "### Human: Hi### Assistant:[[ Ho### Human]]: And?### Assistant:[[ No.]]",
      "Be brief.\n### Human: Hi### Assistant:[[ Ho### Human]]: And?### Assistant:[[ No.]]" },
    { "baize", "The conversation between human and AI assistant.\n[|Human|] Hi\n[|AI|][[ Ho\n[|Human|]]] And?\n[|AI|][[ No.\n]]",
      "Be brief.\n[|Human|] Hi\n[|AI|][[ Ho\n[|Human|]]] And?\n[|AI|][[ No.\n]]" },
};

static void every_layout_renders_its_golden_text_and_spans(void **state)
{
    struct turn turn[] = { said(SYSTEM, "Be brief."), said(USER, "Hi"), said(ASSISTANT, "Ho"), said(USER, "And?"), said(ASSISTANT, "No.") };
    size_t rows = 0;
    for (; layout_names()[rows]; rows++) {
        assert_string_equal(layout_names()[rows], golden[rows].name);
        assert_string_equal(render(*state, golden[rows].name, turn + 1, 4, TRAIN_ON_ALL_ASSISTANT), golden[rows].plain);
        assert_string_equal(render(*state, golden[rows].name, turn, 5, TRAIN_ON_ALL_ASSISTANT), golden[rows].system);
    }
    assert_int_equal(rows, COUNT(golden));
}

static void what_ends_an_answer_is_the_beginning_of_a_question(void **state)
{
    (void)state;
    for (size_t i = 0; layout_names()[i]; i++) {
        const struct layout *layout = layout_find(layout_names()[i]);
        assert_true(!layout->stop || (text_starts(layout->user, layout->stop) && !*layout->tail));
        /* An answer ends with what is trained: EOS or a marker of its own, or EOS behind all. */
        assert_true(layout->ends || text_ends(layout->assistant, "{eos}") || text_ends(layout->assistant, "|>"));
    }
}

static void which_turns_are_trained_is_chosen(void **state)
{
    struct turn turn[] = { said(USER, "Hi"), said(ASSISTANT, "Ho"), said(USER, "And?"), said(ASSISTANT, "No.") };
    assert_string_equal(render(*state, "zephyr", turn, 4, TRAIN_ON_LAST_ASSISTANT),
                        "<|user|>\nHi</s>\n<|assistant|>\nHo</s>\n<|user|>\nAnd?</s>\n<|assistant|>\n[[No.</s>]]\n");
    assert_string_equal(render(*state, "zephyr", turn, 4, TRAIN_ON_ALL),
                        "[[<|user|>\nHi</s>\n<|assistant|>\nHo</s>\n<|user|>\nAnd?</s>\n<|assistant|>\nNo.</s>\n]]");
    assert_string_equal(render(*state, "baize", turn, 2, TRAIN_ON_ALL), "[[The conversation between human and AI assistant.\n[|Human|] Hi\n[|AI|] Ho\n]]");
    turn[1].training = UNTRAINED;
    assert_string_equal(render(*state, "guanaco", turn, 4, TRAIN_ON_ALL_ASSISTANT), "### Human: Hi### Assistant: Ho### Human: And?### Assistant:[[ No.]]");
    assert_string_equal(render(*state, "guanaco", turn, 4, TRAIN_ON_ALL), "[[### Human: Hi]]### Assistant: Ho[[### Human: And?### Assistant: No.]]");
    turn[0].training = TRAINED;
    assert_string_equal(render(*state, "guanaco", turn, 4, TRAIN_ON_LAST_ASSISTANT), "[[### Human: Hi]]### Assistant: Ho### Human: And?### Assistant:[[ No.]]");
}

/* Recorded renderings: the layout, the template's name there, what it calls BOS and EOS. */
static const struct {
    const char *layout, *recorded, *bos, *eos;
    bool only_with_system;
} published[] = {
    { "llama2-chat", "llama-2-chat", "<s>", "</s>", false },
    { "llama3", "llama-3-instruct", "<|begin_of_text|>", "<|eot_id|>", false },
    { "chatml", "openhermes-chatml", "", "", false },
    { "zephyr", "zephyr", "<s>", "</s>", false },
    { "starchat", "starchat", "<|endoftext|>", "<|end|>", true }, /* the row keeps the model card's empty block, the recorded template has none */
    { "mpt-chat", "mpt-7b-chat", "<|endoftext|>", "<|im_end|>", false },
    { "mpt-30b-chat", "mpt-30b-chat", "<|endoftext|>", "<|im_end|>", false },
    { "vicuna", "vicuna-v1.1-fastchat", "<s>", "</s>", false },
    { "falcon-instruct", "falcon-instruct", "<|endoftext|>", "<|endoftext|>", false },
};

static int turns_of(const json_t *messages, struct turn turn[16])
{
    const int count = (int)json_array_size(messages);
    assert_true(count <= 16);
    for (int i = 0; i < count; i++) {
        const json_t *message = json_array_get(messages, (size_t)i);
        const char *role = json_string_value(json_object_get(message, "role"));
        turn[i] = said(*role == 's' ? SYSTEM : *role == 'u' ? USER : ASSISTANT, json_string_value(json_object_get(message, "content")));
    }
    return count;
}

static void layouts_render_as_the_published_templates_do(void **state)
{
    struct scratch *s = *state;
    struct json_lines *lines;
    json_t *value;
    int64_t line, compared = 0;
    const char *path = SHARED_FOLDER "/data/chat_templates/expected.jsonl";
    if (access(path, R_OK) != 0) {
        print_message("no %s here\n", path);
        skip();
    }
    assert_fine(s, json_lines_open(&lines, s->arena, path, &s->err));
    while (json_lines_next(lines, &value, &line, &s->err) == OK && value) {
        const char *name = json_string_value(json_object_get(value, "template")), *rendered = json_string_value(json_object_get(value, "rendered"));
        for (size_t i = 0; i < COUNT(published) && rendered && !json_is_true(json_object_get(value, "add_generation_prompt")); i++) {
            struct turn turn[16];
            struct rendering rendering;
            const struct conversation c = { .turn = turn, .turns = turns_of(json_object_get(value, "messages"), turn) };
            if (strcmp(name, published[i].recorded) != 0 || (published[i].only_with_system && turn[0].role != SYSTEM))
                continue;
            layout_render(layout_find(published[i].layout), &c, TRAIN_ON_ALL_ASSISTANT, true, published[i].bos, published[i].eos, s->arena, &rendering);
            assert_string_equal(rendering.text.bytes, rendered);
            compared++;
        }
        json_decref(value);
    }
    json_lines_close(lines);
    assert_true(compared > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(every_layout_renders_its_golden_text_and_spans),
        SCRATCH_TEST(what_ends_an_answer_is_the_beginning_of_a_question),
        SCRATCH_TEST(which_turns_are_trained_is_chosen),
        SCRATCH_TEST(layouts_render_as_the_published_templates_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
