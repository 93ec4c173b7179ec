/* The section `data`: what it reads, what it prints so that it reads back, and which mistakes it finds where. */
#include "tests/datasets/world.h"

#include "common/files.h"

#include <glob.h>

static enum status read_yaml(struct scratch *s, const char *yaml, struct data_settings *settings)
{
    struct yaml *root;
    *settings = (struct data_settings){ 0 };
    assert_fine(s, yaml_parse(s->arena, "run.yaml", yaml, strlen(yaml), &root, &s->err));
    return settings_read(s->arena, data_settings_rows, data_settings_count, yaml_find(root, "data"), "data", "/runs", settings, &s->err);
}

static void a_section_is_read(void **state)
{
    struct data_settings d;
    assert_fine(*state,
                read_yaml(*state,
                          "data:\n  train:\n    - {path: a.jsonl, format: dolly, template: alpaca, limit: 10}\n    - path: /b.json\n      format: alpaca\n"
                          "      template: {prompt: \"{instruction}\\nA:\", response: \" {output}\"}\n  eval:\n    - {path: c.jsonl, format: tokens}\n"
                          "  max_length: 512\n  over_length: truncate\n  accept: [empty_response]\n",
                          &d));
    assert_int_equal(d.trains, 2);
    assert_int_equal(d.evals, 1);
    assert_string_equal(d.train[0].path, "/runs/a.jsonl");
    assert_string_equal(d.train[0].format, "dolly");
    assert_string_equal(d.train[0].template_name, "alpaca");
    assert_holds(d.train[0].where, "run.yaml:3:");
    assert_int_equal(d.train[0].limit, 10);
    assert_null(d.train[0].prompt);
    assert_string_equal(d.train[1].path, "/b.json");
    assert_string_equal(d.train[1].prompt, "{instruction}\nA:");
    assert_string_equal(d.train[1].response, " {output}");
    assert_null(d.train[1].template_name);
    assert_int_equal(d.train[1].limit, 0);
    assert_string_equal(d.eval[0].format, "tokens");
    assert_int_equal(d.max_length, 512);
    assert_int_equal(d.over_length, OVER_LENGTH_TRUNCATE);
    assert_int_equal(d.accepts, 1);
    assert_string_equal(d.accept[0], "empty_response");
}

static void defaults_are_the_documented_ones(void **state)
{
    struct data_settings d;
    assert_fine(*state, read_yaml(*state, "data: {train: [{path: a.jsonl, format: text}], over_length: drop}", &d));
    assert_int_equal(d.max_length, 1024);
    assert_int_equal(d.evals, 0);
    assert_int_equal(d.accepts, 0);
    assert_true(d.eval_fraction == 0);
    assert_int_equal(d.over_length, OVER_LENGTH_DROP);
}

static void what_is_printed_reads_back(void **state)
{
    struct scratch *s = *state;
    struct data_settings d, again;
    assert_fine(
        s, read_yaml(s,
                     "data:\n  train:\n    - {path: 'a, b: #c.jsonl', format: dolly, limit: 3}\n    - {path: b, format: alpaca, template: {prompt: \"{{x}}: "
                     "\\t\\\"{instruction}\\\"\\n\", response: \" {response}\"}}\n  eval: [{path: e, format: dolly, template: plain, train_on: last_assistant, "
                     "weight: 0.25}, {path: t, format: oasst, oasst: "
                     "{mode: top_k, top_k: 2, lang: [en, pt-BR], min_quality: 0.5, review_result: false, deleted: true}}]\n"
                     "  over_length: error\n  accept: [unknown_field, empty_response]\n  added_tokens: [\"a: #b\", {text: <y>, special: false, init: "
                     "\"null\"}]\n",
                     &d));
    struct text first = text_new(s->arena), second = text_new(s->arena);
    text_add_string(&first, "data:\n");
    text_add_string(&second, "data:\n");
    settings_print(&first, data_settings_rows, data_settings_count, &d, 2);
    assert_fine(s, read_yaml(s, first.bytes, &again));
    settings_print(&second, data_settings_rows, data_settings_count, &again, 2);
    assert_string_equal(first.bytes, second.bytes);
    assert_string_equal(again.train[0].path, "/runs/a, b: #c.jsonl");
    assert_string_equal(again.train[1].prompt, d.train[1].prompt);
    assert_string_equal(again.eval[0].template_name, "plain");
    assert_int_equal(again.eval[0].train_on, TRAIN_ON_LAST_ASSISTANT);
    assert_true(again.eval[0].weight == 0.25 && again.train[0].weight == 1);
    const struct thread_settings *threads = again.eval[1].threads;
    assert_true(threads->mode == TOP_K && threads->top_k == 2 && threads->langs == 2 && threads->min_quality == 0.5);
    assert_true(!threads->review_result && threads->deleted && !threads->synthetic);
    assert_string_equal(threads->lang[1], "pt-BR");
    assert_int_equal(again.accepts, 2);
    assert_int_equal(again.addeds, 2);
    assert_string_equal(again.added[0].text, "a: #b");
    assert_string_equal(again.added[1].init, "null");
    assert_true(again.added[0].special && !again.added[0].init && !again.added[1].special);
}

#define ONE "data: {over_length: drop, train: [{path: a, format: dolly"

static const struct {
    const char *yaml, *what, *cure;
} refused[] = {
    { "data: {over_length: drop}", "data.train is missing", "" },
    { "data: {train: [{path: a, format: text}]}", "data.over_length is missing", "" },
    { "data: {over_length: drop, train: {path: a, format: dolly}}", "run.yaml:1:34: data.train is a map", "- {path:" },
    { "data: {over_length: drop, train: []}", "data.train is empty", "" },
    { "data: {over_length: drop, train: [a.jsonl]}", "data.train.0 is a single value", "" },
    { "data: {over_length: drop, train: [{format: dolly}]}", "data.train.0.path is missing", "" },
    { "data: {over_length: drop, train: [{path: a}]}", "data.train.0.format is missing", "" },
    { ONE ", pth: b}]}", "run.yaml:1:60: unknown key 'pth' in data.train.0", "path" },
    { ONE ", limit: -1}]}", "run.yaml:1:67: data.train.0.limit: '-1' is out of range", "" },
    { ONE ", template: {prompt: a}}]}", "template.response is missing", "" },
    { ONE ", template: {prompt: a, response: b, eos: c}}]}", "unknown key 'eos'", "" },
    { ONE ", template: [alpaca]}]}", "template is a list", "{prompt:" },
    { ONE ", template: alpacca}]}", "there is no template 'alpacca'", "did you mean 'alpaca'?" },
    { ONE ", template: {prompt: \"x {instrction}\", response: \"{response}\"}}]}", "run.yaml:1:79: the template's prompt, character 3: {instrction}",
      "did you mean 'instruction'?" },
    { ONE ", template: {prompt: x, response: \"{response\"}}]}", "run.yaml:1:92: the template's response, character 1: '{' opens", "{{" },
    { "data: {over_length: drop, train: [{path: a, format: doly}]}", "there is no format 'doly'", "did you mean 'dolly'?" },
    { "data: {over_length: drop, train: [{path: a, format: tokens, template: plain}]}", "format tokens takes no template", "" },
    { ONE "}], accept: [empty]}", "there is no finding 'empty'", "findings: over_length, empty_response" },
    { ONE ", oasst: {mode: best_path}}]}", "'oasst' holds settings of format oasst, and the format is dolly", "format: oasst" },
    { "data: {over_length: drop, train: [{path: a, format: oasst, oasst: {mod: best_path}}]}", "unknown key 'mod'", "did you mean 'mode'?" },
    { "data: {over_length: drop, train: [{path: a, format: oasst, oasst: {mode: top_k}}]}", "oasst.mode is top_k and oasst.top_k is 0", "top_k: N" },
    { ONE "}], accept: empty_response}", "data.accept is no list", "" },
    { ONE "}], added_tokens: <x>}", "data.added_tokens is no list", "[\"<|im_start|>\"" },
    { ONE "}], added_tokens: [[<x>]]}", "run.yaml:1:77: data.added_tokens.0", "" },
    { ONE "}], added_tokens: [{special: true}]}", "data.added_tokens.0.text is missing", "" },
    { ONE "}], added_tokens: [<x>, {text: <y>, special: 1}]}", "data.added_tokens.1.special", "" },
    { ONE "}], added_tokens: [<x>, {text: <x>}]}", "run.yaml:1:82: data.added_tokens: '<x>' is there twice", "" },
    { ONE "}], max_length: 1}", "'1' is out of range", "" },
    { ONE "}], eval_fraction: 1}", "out of range", "" },
};

static void mistakes_are_placed_and_cured(void **state)
{
    struct scratch *s = *state;
    struct data_settings d;
    for (size_t i = 0; i < COUNT(refused); i++) {
        enum status status = read_yaml(s, refused[i].yaml, &d);
        assert_holds(s->err.what, refused[i].what);
        assert_holds(s->err.cure, refused[i].cure);
        assert_failed(s, status, BAD_CONFIG, refused[i].what);
    }
}

static void shipped_configurations_have_a_valid_section(void **state)
{
    struct scratch *s = *state;
    glob_t found;
    assert_int_equal(glob(TESTS_FOLDER "/../configs/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct yaml *root;
        struct data_settings d = { 0 };
        assert_fine(s, yaml_read(s->arena, found.gl_pathv[i], &root, &s->err));
        const char *folder = path_folder(s->arena, found.gl_pathv[i]);
        assert_fine(s, settings_read(s->arena, data_settings_rows, data_settings_count, yaml_find(root, "data"), "data", folder, &d, &s->err));
        assert_true(d.trains > 0);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_section_is_read),
        SCRATCH_TEST(defaults_are_the_documented_ones),
        SCRATCH_TEST(what_is_printed_reads_back),
        SCRATCH_TEST(mistakes_are_placed_and_cured),
        SCRATCH_TEST(shipped_configurations_have_a_valid_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
