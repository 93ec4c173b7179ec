/* Generation is nothing but repeated scoring: greedy answers are the argmax of the logits again and again, however the prompts share the lanes. */
#include "inference/generate.h"
#include "tests/inference/small.h"

enum { PROMPTS = 9, LONGEST_ANSWER = 12 };

/* Prompts of different lengths and different bounds of their answers. */
static struct prompt *make_prompts(struct tiny_run *t)
{
    struct prompt *prompt = NEW_ARRAY(t->arena, PROMPTS, struct prompt);
    for (int i = 0; i < PROMPTS; i++) {
        const struct sequence s = random_sequence(t, 200 + (uint64_t)i, 1 + (5 * i) % 12);
        prompt[i] = (struct prompt){ .ids = s.ids, .count = s.count, .max_new = LONGEST_ANSWER - i % 4 };
    }
    return prompt;
}

static struct generation greedy(int64_t lanes)
{
    return (struct generation){ .sampling = { .top_p = 1, .repetition_penalty = 1 }, .lanes = lanes };
}

/* What greedy answers are by definition. */
static void argmax_of_logits(struct tiny_run *t, const struct prompt *prompt, struct answer *answer)
{
    const int64_t vocab = t->run.model.config.vocab;
    struct sequence s = { .ids = NEW_ARRAY(t->arena, prompt->count + prompt->max_new, int32_t), .count = prompt->count };
    memcpy(s.ids, prompt->ids, (size_t)prompt->count * sizeof *prompt->ids);
    while (s.count < prompt->count + prompt->max_new) {
        float *logits;
        assert_fine(t, score_logits(&t->run.session, t->arena, &s, &logits, &t->err));
        int32_t id = argmax(logits + (s.count - 1) * vocab, vocab);
        s.ids[s.count++] = id;
    }
    *answer = (struct answer){ .ids = s.ids + prompt->count, .count = prompt->max_new };
}

static void assert_same_answers(const struct answer *a, const struct answer *b)
{
    for (int i = 0; i < PROMPTS; i++) {
        assert_int_equal(a[i].count, b[i].count);
        assert_int_equal(a[i].stopped, b[i].stopped);
        assert_memory_equal(a[i].ids, b[i].ids, (size_t)a[i].count * sizeof *a[i].ids);
    }
}

static void greedy_is_the_argmax_of_the_logits_again_and_again(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(small_models); m++) {
        struct tiny_run t;
        tiny_run_open(&t, &small_models[m].model, NULL);
        const struct prompt *prompt = make_prompts(&t);
        struct answer expected[PROMPTS], answer[PROMPTS];
        const struct generation generation = greedy(4);
        for (int i = 0; i < PROMPTS; i++)
            argmax_of_logits(&t, &prompt[i], &expected[i]);
        assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, answer, &t.err));
        assert_same_answers(answer, expected);
        tiny_run_close(&t);
    }
}

static void any_number_of_lanes_gives_the_same_answers(void **state)
{
    (void)state;
    static const int64_t lanes[] = { 1, 2, 5, PROMPTS, 100 };
    struct tiny_run t;
    tiny_run_open(&t, &small_models[1].model, NULL);
    const struct prompt *prompt = make_prompts(&t);
    for (int drawn = 0; drawn < 2; drawn++) {
        struct answer first[PROMPTS], answer[PROMPTS];
        for (size_t i = 0; i < COUNT(lanes); i++) {
            struct generation generation = greedy(lanes[i]);
            generation.sampling = (struct sampling){ .temperature = drawn ? 1.5 : 0, .top_p = 1, .repetition_penalty = 1.2, .seed = 6 };
            assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, i ? answer : first, &t.err));
            if (i)
                assert_same_answers(answer, first);
        }
    }
    tiny_run_close(&t);
}

static void drawn_answers_follow_seed_and_prompt(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &small_models[1].model, NULL);
    struct prompt prompt[PROMPTS];
    struct answer answer[3][PROMPTS];
    for (int i = 0; i < PROMPTS; i++)
        prompt[i] = make_prompts(&t)[3];
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct generation generation = greedy(4);
        generation.sampling = (struct sampling){ .temperature = 2, .top_p = 1, .repetition_penalty = 1, .seed = seed / 2 };
        assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, answer[seed], &t.err));
    }
    assert_same_answers(answer[0], answer[1]);
    size_t bytes = (size_t)prompt[0].max_new * sizeof(int32_t);
    assert_memory_not_equal(answer[0][0].ids, answer[2][0].ids, bytes);
    assert_memory_not_equal(answer[0][0].ids, answer[0][1].ids, bytes); /* equal prompts, but another number */
    tiny_run_close(&t);
}

static void no_new_ids_wanted_gives_empty_answers(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &small_models[1].model, NULL);
    struct prompt *prompt = make_prompts(&t);
    struct answer expected[PROMPTS], answer[PROMPTS];
    const struct generation generation = greedy(2);
    prompt[0].max_new = prompt[3].max_new = prompt[4].max_new = prompt[PROMPTS - 1].max_new = 0;
    for (int i = 0; i < PROMPTS; i++)
        argmax_of_logits(&t, &prompt[i], &expected[i]);
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, answer, &t.err));
    assert_same_answers(answer, expected);
    for (int i = 0; i < PROMPTS; i++)
        prompt[i].max_new = 0;
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, answer, &t.err));
    for (int i = 0; i < PROMPTS; i++)
        assert_true(answer[i].count == 0 && !answer[i].stopped);
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, 0, answer, &t.err));
    tiny_run_close(&t);
}

/* Cuts behind the first id that is one of eos. */
static void cut(struct answer *answer, const int32_t *eos, int eos_count)
{
    for (int64_t i = 0; i < answer->count; i++)
        for (int e = 0; e < eos_count; e++)
            if (answer->ids[i] == eos[e]) {
                answer->count = i + 1;
                answer->stopped = true;
                return;
            }
}

static void an_end_of_sequence_ends_an_answer_and_belongs_to_it(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &small_models[1].model, NULL);
    const struct prompt *prompt = make_prompts(&t);
    struct answer free[PROMPTS], answer[PROMPTS];
    struct generation generation = greedy(3);
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, free, &t.err));
    const int32_t eos[2] = { free[2].ids[3], free[6].ids[0] };
    generation.eos = eos;
    generation.eos_count = 2;
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, answer, &t.err));
    for (int i = 0; i < PROMPTS; i++)
        cut(&free[i], eos, 2);
    assert_true(free[2].stopped && free[6].count == 1);
    assert_same_answers(answer, free);
    tiny_run_close(&t);
}

/* Ends prompt i after i + 1 ids, and sees every id once, in order. */
struct watcher {
    int64_t seen[PROMPTS];
    bool in_order;
};

static bool watch(void *self, int64_t prompt, const struct answer *answer)
{
    struct watcher *watcher = self;
    watcher->in_order &= ++watcher->seen[prompt] == answer->count;
    return answer->count < prompt + 1;
}

static void a_watch_sees_every_id_and_may_end_an_answer(void **state)
{
    (void)state;
    struct tiny_run t;
    tiny_run_open(&t, &small_models[1].model, NULL);
    const struct prompt *prompt = make_prompts(&t);
    struct answer expected[PROMPTS], answer[PROMPTS];
    struct watcher watcher = { .in_order = true };
    struct generation generation = greedy(2);
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, expected, &t.err));
    generation.watch = watch;
    generation.self = &watcher;
    assert_fine(&t, generate(&t.run.session, t.arena, &generation, prompt, PROMPTS, answer, &t.err));
    for (int i = 0; i < PROMPTS; i++) {
        expected[i].stopped = expected[i].count >= i + 1;
        if (expected[i].stopped)
            expected[i].count = i + 1;
        assert_int_equal(watcher.seen[i], answer[i].count);
    }
    assert_true(watcher.in_order);
    assert_same_answers(answer, expected);
    tiny_run_close(&t);
}

static void prompts_that_cannot_be_fed_are_errors(void **state)
{
    (void)state;
    static const int32_t ids[68] = { 3, 31, 4 }, negative = -1;
    static const struct {
        struct prompt prompt;
        const char *what;
    } cases[] = {
        { { .ids = ids, .count = 0, .max_new = 4 }, "prompt 2 has no ids" },
        { { .ids = ids, .count = 2, .max_new = 4 }, "prompt 2: id 31 at 1 is outside the vocabulary of 31" },
        { { .ids = &negative, .count = 1, .max_new = 4 }, "prompt 2: id -1 at 0 is outside the vocabulary of 31" },
        { { .ids = ids + 3, .count = 65, .max_new = 4 }, "prompt 2 has 65 ids, the model has 64 positions" },
    };
    struct tiny_run t;
    tiny_run_open(&t, &small_models[1].model, NULL);
    const struct generation generation = greedy(2);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct prompt prompt[2] = { { .ids = ids, .count = 1, .max_new = 4 }, cases[i].prompt };
        struct answer answer[2];
        struct error err = { 0 };
        assert_int_equal(generate(&t.run.session, t.arena, &generation, prompt, 2, answer, &err), BAD_DATA);
        assert_string_equal(err.what, cases[i].what);
        assert_true(err.cure[0]);
    }
    tiny_run_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_is_the_argmax_of_the_logits_again_and_again),
        cmocka_unit_test(any_number_of_lanes_gives_the_same_answers),
        cmocka_unit_test(drawn_answers_follow_seed_and_prompt),
        cmocka_unit_test(no_new_ids_wanted_gives_empty_answers),
        cmocka_unit_test(an_end_of_sequence_ends_an_answer_and_belongs_to_it),
        cmocka_unit_test(a_watch_sees_every_id_and_may_end_an_answer),
        cmocka_unit_test(prompts_that_cannot_be_fed_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
