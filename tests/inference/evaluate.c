/* Evaluation on records whose answers are known because the model gave them. */
#include "inference/evaluate.h"
#include "tests/inference/small.h"

enum { RECORDS = 6, ANSWERED = 5, CANDIDATES = 60 };

/* Prompts whose greedy answers end by themselves, behind three ids or more, when a suitable id counts as the end of sequence. */
static int32_t find_answers(struct tiny_run *t, struct prompt *found, struct answer *found_answer)
{
    struct prompt prompt[CANDIDATES];
    struct answer answer[CANDIDATES];
    int32_t eos;
    int count = 0;
    struct generation generation = { .sampling = { .top_p = 1, .repetition_penalty = 1 }, .lanes = 16 };
    for (int i = 0; i < CANDIDATES; i++) {
        const struct sequence s = random_sequence(t, 300 + (uint64_t)i, 4 + i % 3);
        prompt[i] = (struct prompt){ .ids = s.ids, .count = s.count, .max_new = 8 };
    }
    assert_fine(t, generate(&t->run.session, t->arena, &generation, prompt, CANDIDATES, answer, &t->err));
    eos = answer[0].ids[5];
    generation.eos = &eos;
    generation.eos_count = 1;
    assert_fine(t, generate(&t->run.session, t->arena, &generation, prompt, CANDIDATES, answer, &t->err));
    for (int i = 0; i < CANDIDATES && count < ANSWERED; i++)
        if (answer[i].stopped && answer[i].count >= 3) {
            found[count] = prompt[i];
            found_answer[count++] = answer[i];
        }
    assert_int_equal(count, ANSWERED);
    return eos;
}

/* Six records made from the model's own answers, each ended by an end of sequence:
 *   0 the answer      1 the answer without the end      2 its first id changed      3 one id more      4 cut short      5 no prompt
 * So 0 and 1 are right, 2 to 4 wrong, and 5 is for the loss only. */
static struct dataset make_records(struct tiny_run *t, struct answer *answer, int32_t *eos)
{
    static const int64_t more[RECORDS] = { 0, -1, 0, 1, -2, 0 };
    struct dataset data = { .sequence = NEW_ARRAY(t->arena, RECORDS, struct sequence), .count = RECORDS };
    struct prompt prompt[RECORDS] = { 0 };
    *eos = find_answers(t, prompt, answer);
    for (int i = 0; i < RECORDS; i++) {
        struct sequence *s = &data.sequence[i];
        const int64_t begin = prompt[i].count, length = i < ANSWERED ? answer[i].count : 7;
        *s = random_sequence(t, 400, begin + length + 1);
        s->labels = NEW_ARRAY(t->arena, s->count, int32_t);
        s->count = begin + length + more[i];
        s->prompt_count = begin;
        if (i < ANSWERED) {
            memcpy(s->ids, prompt[i].ids, (size_t)begin * sizeof *s->ids);
            memcpy(s->ids + begin, answer[i].ids, (size_t)length * sizeof *s->ids);
        }
        if (i == 2)
            s->ids[begin] ^= 1;
        if (i == 3) {
            s->ids[s->count - 1] = *eos;
            s->ids[s->count - 2] = *eos ^ 1;
        }
        for (int64_t r = 0; r < s->count; r++) {
            s->labels[r] = r && r >= begin ? s->ids[r] : NOT_TRAINED;
            s->trained += s->labels[r] != NOT_TRAINED;
        }
    }
    return data;
}

static void right_and_wrong_answers_are_told_apart(void **state)
{
    (void)state;
    static const bool expected[RECORDS] = { true, true, false, false, false, false };
    struct tiny_run t;
    struct evaluation e;
    struct answer answer[ANSWERED];
    int32_t eos;
    tiny_run_open(&t, &small_models[0].model, NULL);
    const struct dataset data = make_records(&t, answer, &eos);
    assert_fine(&t, evaluate(&t.run.session, t.arena, &data, NULL, &eos, 1, &e, &t.err));
    assert_memory_equal(e.correct, expected, sizeof expected);
    for (int i = 0; i < ANSWERED; i++) {
        struct text ids = text_new(t.arena);
        for (int64_t j = 0; j + 1 < answer[i].count; j++) /* without the end of sequence */
            text_print(&ids, "%s%d", j ? " " : "", answer[i].ids[j]);
        assert_string_equal(e.answer[i], ids.bytes);
    }
    assert_null(e.answer[5]);
    assert_int_equal(e.exact_match.count, ANSWERED);
    assert_true(fabs(e.exact_match.mean - 0.4) < 1e-12);
    assert_true(fabs(e.exact_match.error - sqrt(0.4 * 0.6 / 4)) < 1e-12);
    tiny_run_close(&t);
}

static void the_loss_is_that_of_the_trained_tokens_of_all_records(void **state)
{
    (void)state;
    struct tiny_run t;
    struct evaluation e;
    struct answer answer[ANSWERED];
    struct score score[RECORDS];
    int32_t eos;
    double sum = 0, squares = 0;
    int64_t count = 0;
    tiny_run_open(&t, &small_models[0].model, NULL);
    const struct dataset data = make_records(&t, answer, &eos);
    assert_fine(&t, evaluate(&t.run.session, t.arena, &data, NULL, &eos, 1, &e, &t.err));
    assert_fine(&t, score_sequences(&t.run.session, t.arena, data.sequence, RECORDS, score, &t.err));
    for (int i = 0; i < RECORDS; i++)
        for (int64_t r = 1; r < data.sequence[i].count; r++)
            if (data.sequence[i].labels[r] != NOT_TRAINED) {
                sum -= (double)score[i].logprob[r - 1];
                squares += (double)score[i].logprob[r - 1] * (double)score[i].logprob[r - 1];
                count++;
            }
    double mean = sum / (double)count, error = sqrt((squares / (double)count - mean * mean) / (double)(count - 1));
    assert_int_equal(e.loss.count, count);
    assert_true(fabs(e.loss.mean - mean) <= 1e-6 * mean);
    assert_true(fabs(e.loss.error - error) <= 1e-5 * error);
    tiny_run_close(&t);
}

static void records_without_prompts_have_no_exact_match(void **state)
{
    (void)state;
    struct tiny_run t;
    struct evaluation e;
    struct answer answer[ANSWERED];
    int32_t eos;
    tiny_run_open(&t, &small_models[0].model, NULL);
    struct dataset data = make_records(&t, answer, &eos);
    data.sequence += 5;
    data.count = 1;
    assert_fine(&t, evaluate(&t.run.session, t.arena, &data, NULL, &eos, 1, &e, &t.err));
    assert_int_equal(e.exact_match.count, 0);
    assert_int_equal(e.loss.count, 6);
    tiny_run_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_and_wrong_answers_are_told_apart),
        cmocka_unit_test(the_loss_is_that_of_the_trained_tokens_of_all_records),
        cmocka_unit_test(records_without_prompts_have_no_exact_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
