/* The model's own chat template as a template of data: invented templates, with and without blocks of what the assistant generates, give golden texts with
 * golden masks; what they refuse is placed at its record.
 */
#include "tests/datasets/world.h"

/* A role in brackets before each turn, EOS behind it. */
#define ROLES                                                                                                                                                  \
    "{{ bos_token }}{% for m in messages %}{{ '[' + m.role + ']' + m.content + eos_token + '\n' }}{% endfor %}"                                                \
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
/* The same with the assistant's part marked, and two parts an answer. */
#define BLOCKS(generated)                                                                                                                                      \
    "{{ bos_token }}{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.role == 'assistant' %}" generated                                                   \
    "{% else %}{{ m.content + eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
#define ONE_BLOCK  BLOCKS("{% generation %}{{ m.content + eos_token }}{% endgeneration %}")
#define TWO_BLOCKS BLOCKS("{% generation %}!{% endgeneration %}{{ m.content }}{% generation %}{{ eos_token }}{% endgeneration %}")
/* Answers that others follow are left out, questions in capitals. */
#define FORGETS                                                                                                                                                \
    "{% for m in messages %}{% if m.role == 'user' %}{{ m.content | upper }}{% elif loop.last %}>{{ m.content + eos_token }}{% endif %}{% endfor %}"           \
    "{% if add_generation_prompt %}>{% endif %}"

#define SAYS(role, content) "{\"role\": \"" role "\", \"content\": \"" content "\"}"
#define CHAT(messages)      "{\"messages\": [" messages "]}"
#define HI_HO               SAYS("user", "Hi") ", " SAYS("assistant", "Ho")
#define TALK                CHAT(HI_HO ", " SAYS("user", "And?") ", " SAYS("assistant", "No."))
#define FIRST_LEFT_OUT                                                                                                                                         \
    CHAT(SAYS("user", "Hi") ", {\"role\": \"assistant\", \"content\": \"Ho\", \"train\": false}, " SAYS("user", "And?") ", " SAYS("assistant", "No."))

static const struct {
    const char *format, *jinja;
    int train_on;
    const char *record, *spelled, *response;
} golden[] = {
    { "messages", ROLES, TRAIN_ON_ALL_ASSISTANT, TALK, "<s>[user]Hi</s>\n[assistant][[Ho</s>]]\n[user]And?</s>\n[assistant][[No.</s>]]\n", "No." },
    { "messages", ROLES, TRAIN_ON_LAST_ASSISTANT, TALK, "<s>[user]Hi</s>\n[assistant]Ho</s>\n[user]And?</s>\n[assistant][[No.</s>]]\n", "No." },
    { "messages", ROLES, TRAIN_ON_ALL, TALK, "<s>[[[user]Hi</s>\n[assistant]Ho</s>\n[user]And?</s>\n[assistant]No.</s>\n]]", "No." },
    { "messages", ROLES, TRAIN_ON_ALL_ASSISTANT, FIRST_LEFT_OUT, "<s>[user]Hi</s>\n[assistant]Ho</s>\n[user]And?</s>\n[assistant][[No.</s>]]\n", "No." },
    { "messages", ROLES, TRAIN_ON_ALL, FIRST_LEFT_OUT, "<s>[[[user]Hi</s>\n[assistant]]]Ho</s>[[\n[user]And?</s>\n[assistant]No.</s>\n]]", "No." },
    { "messages", ROLES, TRAIN_ON_ALL_ASSISTANT, CHAT(SAYS("system", "So.") ", " HI_HO), "<s>[system]So.</s>\n[user]Hi</s>\n[assistant][[Ho</s>]]\n", "Ho" },
    { "messages", ROLES, TRAIN_ON_ALL_ASSISTANT, CHAT(HI_HO ", " SAYS("user", "And?")), "<s>[user]Hi</s>\n[assistant][[Ho</s>]]\n", "Ho" },
    { "messages", ONE_BLOCK, TRAIN_ON_ALL_ASSISTANT, TALK, "<s>[user]Hi</s>\n[assistant][[Ho</s>]]\n[user]And?</s>\n[assistant][[No.</s>]]\n", "No." },
    { "messages", ONE_BLOCK, TRAIN_ON_LAST_ASSISTANT, TALK, "<s>[user]Hi</s>\n[assistant]Ho</s>\n[user]And?</s>\n[assistant][[No.</s>]]\n", "No." },
    { "messages", ONE_BLOCK, TRAIN_ON_ALL, FIRST_LEFT_OUT, "<s>[[[user]Hi</s>\n[assistant]]]Ho</s>[[\n[user]And?</s>\n[assistant]No.</s>\n]]", "No." },
    { "messages", TWO_BLOCKS, TRAIN_ON_ALL_ASSISTANT, TALK, "<s>[user]Hi</s>\n[assistant][[!]]Ho[[</s>]]\n[user]And?</s>\n[assistant][[!]]No.[[</s>]]\n",
      "No." },
    { "messages", FORGETS, TRAIN_ON_ALL, TALK, "H[[IAND?>No.</s>]]", "No." },
    { "prompt_completion", ROLES, TRAIN_ON_ALL_ASSISTANT, "{\"prompt\": \"Hi\", \"completion\": \"Ho\"}", "<s>[user]Hi</s>\n[assistant][[Ho</s>]]\n", "Ho" },
    { "dolly", ONE_BLOCK, TRAIN_ON_ALL_ASSISTANT, "{\"instruction\": \"Hi\", \"context\": \"So.\", \"response\": \"Ho\"}",
      "<s>[user]Hi\n\nSo.</s>\n[assistant][[Ho</s>]]\n", "Ho" },
};

static struct world world_with(struct scratch *s, const char *jinja)
{
    static const char tokens[] = "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}}";
    struct world w = world_new(s);
    scratch_write(s, "tokenizer_config.json", tokens, strlen(tokens));
    scratch_write(s, "chat_template.jinja", jinja, strlen(jinja));
    w.settings.model_folder = s->folder;
    return w;
}

static void templates_give_their_golden_text_and_mask(void **state)
{
    for (size_t i = 0; i < COUNT(golden); i++) {
        struct world w = world_with(*state, golden[i].jinja);
        w.source.train_on = golden[i].train_on;
        w.source.template_name = strcmp(golden[i].format, "messages") == 0 ? NULL : "chat_template"; /* of messages it is the default */
        assert_fine(*state, read_text(&w, golden[i].format, golden[i].record));
        assert_int_equal(w.dataset.count, 1);
        assert_string_equal(spelled(&w, w.dataset.sequence), golden[i].spelled);
        assert_string_equal(w.dataset.sequence->response, golden[i].response);
        assert_counts_fit(w.dataset.sequence);
        for (size_t kind = 0; kind < FINDINGS; kind++)
            assert_int_equal(w.dataset.finding[kind].count, 0);
        tokenizer_close(w.tokenizer);
    }
}

#define NO_SYSTEM "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}" ROLES
#define ASKED_TOO CHAT("{\"role\": \"user\", \"content\": \"Hi\", \"train\": true}, " SAYS("assistant", "Ho"))

/* Each record stands behind a good one. */
static const struct {
    const char *jinja, *record;
    int train_on;
    const char *what, *cure;
} refused[] = {
    { NO_SYSTEM, CHAT(SAYS("system", "So.") ", " HI_HO), TRAIN_ON_ALL_ASSISTANT, "no system here", "" },
    { FORGETS, TALK, TRAIN_ON_ALL_ASSISTANT, "messages[1]: the template writes this turn otherwise", "{% generation %}" },
    { ROLES, ASKED_TOO, TRAIN_ON_ALL_ASSISTANT, "turn 1 is no answer and has \"train\": true", "remove \"train\"" },
    { TWO_BLOCKS, TALK, TRAIN_ON_LAST_ASSISTANT, "4 parts of the assistant for 2 answers", "one {% generation %} of each answer" },
    { TWO_BLOCKS, FIRST_LEFT_OUT, TRAIN_ON_ALL, "4 parts of the assistant for 2 answers", "all_assistant" },
};

static void what_a_template_refuses_is_placed_at_its_record(void **state)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct world w = world_with(*state, refused[i].jinja);
        w.source.train_on = refused[i].train_on;
        const enum status status = read_text(&w, "messages", arena_print(w.scratch->arena, CHAT(HI_HO) "\n%s\n", refused[i].record));
        assert_holds(w.scratch->err.what, "data.jsonl:2: ");
        assert_holds(w.scratch->err.cure, refused[i].cure);
        assert_failed(*state, status, BAD_DATA, refused[i].what);
        tokenizer_close(w.tokenizer);
    }
}

static void a_model_without_a_template_names_the_choices(void **state)
{
    struct scratch *s = *state;
    struct world w = world_new(s);
    const char *const folders[] = { NULL, s->folder };
    for (size_t i = 0; i < COUNT(folders); i++) {
        w.settings.model_folder = folders[i];
        const enum status status = read_text(&w, "messages", TALK);
        assert_holds(s->err.what, "run.yaml:3:5: ");
        assert_holds(s->err.cure, "vicuna, llama2-chat, llama3, chatml");
        assert_failed(s, status, BAD_CONFIG, "template chat_template is the model's own, and ");
    }
    tokenizer_close(w.tokenizer);
    w = world_with(s, "{% if %}");
    assert_failed(s, read_text(&w, "messages", TALK), BAD_FILE, "chat_template.jinja");
    tokenizer_close(w.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(templates_give_their_golden_text_and_mask),
        SCRATCH_TEST(what_a_template_refuses_is_placed_at_its_record),
        SCRATCH_TEST(a_model_without_a_template_names_the_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
