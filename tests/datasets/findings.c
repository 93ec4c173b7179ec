/* Findings: what is no error but would spoil a run is counted with its first places and stops at the gate; then the split of a dataset. */
#include "tests/datasets/world.h"

static void seven_of_each(struct world *w, const char *format, const char *record)
{
    struct text lines = text_new(w->scratch->arena);
    text_add_string(&lines, "{\"ids\": [3, 4, 5], \"text\": \"fine\", \"instruction\": \"i\", \"response\": \"r\"}\n");
    for (int i = 0; i < 7; i++)
        text_print(&lines, "%s\n", record);
    w->settings.over_length = OVER_LENGTH_DROP;
    assert_fine(w->scratch, read_text(w, format, lines.bytes));
}

static void assert_seven(struct world *w, enum finding_kind kind, const char *detail)
{
    const struct finding *finding = &w->dataset.finding[kind];
    assert_int_equal(finding->count, 7);
    for (int i = 0; i < 5; i++) {
        char place[40];
        snprintf(place, sizeof place, "data.jsonl:%d: ", i + 2);
        assert_holds(finding->first[i], place);
        assert_holds(finding->first[i], detail);
    }
}

static void the_first_five_places_are_kept(void **state)
{
    struct world w = world_new(*state);
    w.settings.max_length = 300;
    seven_of_each(&w, "text", "{\"text\": \"\"}");
    assert_seven(&w, EMPTY_RESPONSE, "the response is empty");
    assert_int_equal(w.dataset.count, 8); /* they train EOS */
    seven_of_each(&w, "text", "{\"text\": \" \\n\"}");
    assert_seven(&w, EMPTY_RESPONSE, "empty");
    seven_of_each(&w, "tokens", "{\"ids\": [5, 6], \"labels\": [5, -100]}");
    assert_seven(&w, NOTHING_TRAINED, "2 tokens, none of them trained");
    assert_int_equal(w.dataset.count, 1);
    assert_int_equal(w.dataset.records, 8);
    seven_of_each(&w, "tokens", "{\"ids\": [5]}");
    assert_seven(&w, NOTHING_TRAINED, "1 tokens");
    w.settings.max_length = 6;
    seven_of_each(&w, "text", "{\"text\": \"too long\"}");
    assert_seven(&w, OVER_LENGTH, "10 tokens");
    tokenizer_close(w.tokenizer);
}

static void unknown_fields_are_findings(void **state)
{
    struct world w = world_new(*state);
    assert_fine(*state, read_text(&w, "dolly", "{\"instruction\": \"i\", \"contxt\": {\"deep\": [1]}, \"response\": \"r\", \"id\": 4}"));
    assert_int_equal(w.dataset.count, 1);
    assert_int_equal(w.dataset.finding[UNKNOWN_FIELD].count, 2);
    assert_holds(w.dataset.finding[UNKNOWN_FIELD].first[0], "data.jsonl:1: 'contxt' is no field of format dolly");
    assert_failed(*state, dataset_gate(&w.dataset, &w.settings, &w.scratch->err), BAD_DATA, "2 unknown_field (");
    tokenizer_close(w.tokenizer);
}

static void the_gate_stops_what_is_not_accepted(void **state)
{
    struct world w = world_new(*state);
    struct scratch *s = *state;
    assert_fine(s, read_text(&w, "text", "{\"text\": \"fine\"}"));
    assert_fine(s, dataset_gate(&w.dataset, &w.settings, &s->err));
    assert_fine(s, read_text(&w, "text", "{\"text\": \"\"}\n{\"text\": \"a\", \"x\": 1}"));
    enum status status = dataset_gate(&w.dataset, &w.settings, &s->err);
    assert_holds(s->err.what, "1 unknown_field (");
    assert_holds(s->err.cure, "[empty_response, unknown_field]");
    assert_failed(s, status, BAD_DATA, "1 empty_response (");
    w.settings.accept = (const char *[]){ "empty_response", "unknown_field" };
    w.settings.accepts = 1;
    status = dataset_gate(&w.dataset, &w.settings, &s->err);
    assert_holds(s->err.cure, "[unknown_field]");
    assert_failed(s, status, BAD_DATA, "findings in the data: 1 unknown_field");
    w.settings.accepts = 2;
    assert_fine(s, dataset_gate(&w.dataset, &w.settings, &s->err));
    tokenizer_close(w.tokenizer);
}

static void nothing_left_to_train_on_stops_too(void **state)
{
    struct world w = world_new(*state);
    w.settings.accept = (const char *[]){ "nothing_trained" };
    w.settings.accepts = 1;
    assert_fine(*state, read_text(&w, "tokens", "{\"ids\": [5]}"));
    assert_failed(*state, dataset_gate(&w.dataset, &w.settings, &w.scratch->err), BAD_DATA, "none of 1 records can be trained on");
    tokenizer_close(w.tokenizer);
}

static void many_findings_fit_the_message(void **state)
{
    struct world w = world_new(*state);
    struct text lines = text_new(w.scratch->arena);
    for (int i = 0; i < 10; i++)
        text_print(&lines, "{\"text\": \"\", \"%0200d\": 1}\n{\"text\": \" \", \"b\": 1}\n", i);
    assert_fine(*state, read_text(&w, "text", lines.bytes));
    assert_failed(*state, dataset_gate(&w.dataset, &w.settings, &w.scratch->err), BAD_DATA, "20 empty_response");
    tokenizer_close(w.tokenizer);
}

static void read_hundred(struct world *w)
{
    struct text lines = text_new(w->scratch->arena);
    for (int i = 0; i < 100; i++)
        text_print(&lines, "{\"ids\": [0, %d]}\n", i);
    assert_fine(w->scratch, read_text(w, "tokens", lines.bytes));
}

static void a_split_is_complete_ordered_and_repeatable(void **state)
{
    struct world w = world_new(*state);
    struct scratch *s = *state;
    struct dataset eval, again;
    read_hundred(&w);
    struct dataset all = w.dataset, train = all, other = all;
    assert_fine(s, dataset_split(&train, &eval, s->arena, 0.2, 7, &s->err));
    assert_int_equal(train.count, 80);
    assert_int_equal(eval.count, 20);
    assert_int_equal(train.records + eval.records, 100);
    assert_int_equal(train.tokens, 160);
    assert_int_equal(eval.trained, 20);
    assert_string_not_equal(train.hash, all.hash);
    for (int64_t i = 0, t = 0, e = 0; i < 100; i++)
        if (t < 80 && train.sequence[t].ids[1] == i)
            t++;
        else
            assert_int_equal(eval.sequence[e++].ids[1], i);
    assert_fine(s, dataset_split(&other, &again, s->arena, 0.2, 7, &s->err));
    assert_string_equal(again.hash, eval.hash);
    assert_string_equal(other.hash, train.hash);
    other = all;
    assert_fine(s, dataset_split(&other, &again, s->arena, 0.2, 8, &s->err));
    assert_string_not_equal(again.hash, eval.hash);
    tokenizer_close(w.tokenizer);
}

static void a_split_leaves_each_side_something(void **state)
{
    struct world w = world_new(*state);
    struct scratch *s = *state;
    struct dataset eval;
    read_hundred(&w);
    struct dataset train = w.dataset;
    assert_fine(s, dataset_split(&train, &eval, s->arena, 0.001, 1, &s->err));
    assert_int_equal(eval.count, 1);
    train = w.dataset;
    assert_fine(s, dataset_split(&train, &eval, s->arena, 0.999, 1, &s->err));
    assert_int_equal(train.count, 1);
    assert_failed(s, dataset_split(&train, &eval, s->arena, 0.5, 1, &s->err), BAD_DATA, "1 sequences cannot be split");
    tokenizer_close(w.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(the_first_five_places_are_kept),     SCRATCH_TEST(unknown_fields_are_findings),   SCRATCH_TEST(the_gate_stops_what_is_not_accepted),
        SCRATCH_TEST(nothing_left_to_train_on_stops_too), SCRATCH_TEST(many_findings_fit_the_message), SCRATCH_TEST(a_split_is_complete_ordered_and_repeatable),
        SCRATCH_TEST(a_split_leaves_each_side_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
