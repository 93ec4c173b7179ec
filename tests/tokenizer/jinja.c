/* Small templates of every part of the language, against what jinja2 makes of them as transformers sets it up (records/jinja.jsonl, made by
 * tests/reference/make_jinja.py; another file of that kind can be given as argument).
 */
#include "recorded.h"
#include "tokenizer/jinja.h"

static const char *records = TESTS_FOLDER "/tokenizer/records/jinja.jsonl";

enum { MOST_VARIABLES = 40 };

static bool same_spans(const struct jinja_rendering *rendering, const json_t *spans)
{
    bool same = rendering->generations == json_array_size(spans);
    for (size_t i = 0; i < rendering->generations && same; i++) {
        const json_t *span = json_array_get(spans, i);
        same = rendering->generation[i].begin == (size_t)json_integer_value(json_array_get(span, 0)) &&
               rendering->generation[i].end == (size_t)json_integer_value(json_array_get(span, 1));
    }
    return same;
}

static void compare_record(struct tally *tally, const json_t *record, const struct jinja_variable *variable, size_t variables)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct jinja *jinja;
    struct jinja_rendering rendering = { 0 };
    const json_t *rendered = json_object_get(record, "rendered"), *text = json_object_get(record, "template");
    enum status status = jinja_parse(&jinja, arena, "template", json_string_value(text), json_string_length(text), &err);
    if (status == OK)
        status = jinja_render(jinja, arena, variable, variables, 0, &rendering, &err);
    if (status != OK)
        assert_true(err.cure[0] && strncmp(err.what, "template:", 9) == 0);
    const bool same = status == OK && json_is_string(rendered) && rendering.length == json_string_length(rendered) &&
                      memcmp(rendering.text, json_string_value(rendered), rendering.length) == 0 &&
                      same_spans(&rendering, json_object_get(record, "generation"));
    count_comparison(tally, json_is_string(rendered) ? same : status != OK, "rendering", json_string_value(text),
                     json_is_string(rendered) ? json_string_value(rendered) : "a refusal", status == OK ? rendering.text : err.what);
    arena_destroy(arena);
}

static void every_template_gives_the_recorded_text_and_spans(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct json_lines *lines;
    struct jinja_variable variable[MOST_VARIABLES] = { 0 };
    struct tally tally = { .name = "jinja" };
    json_t *head, *record, *value;
    const char *name;
    size_t variables = 0;
    int64_t line;
    assert_int_equal(json_lines_open(&lines, arena, records, &err), OK);
    assert_int_equal(json_lines_next(lines, &head, &line, &err), OK);
    json_object_foreach(json_object_get(head, "variables"), name, value)
    {
        assert_true(variables < MOST_VARIABLES);
        variable[variables++] = (struct jinja_variable){ .name = name, .json = value };
    }
    while (json_lines_next(lines, &record, &line, &err) == OK && record) {
        compare_record(&tally, record, variable, variables);
        json_decref(record);
    }
    json_lines_close(lines);
    json_decref(head);
    arena_destroy(arena);
    printf("%d templates, %d different\n", (int)tally.compared, (int)tally.different);
    assert_int_equal(err.code, OK);
    assert_true(tally.compared > 500);
    assert_int_equal(tally.different, 0);
}

int main(int count, char **argument)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_template_gives_the_recorded_text_and_spans) };
    if (count > 1)
        records = argument[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
