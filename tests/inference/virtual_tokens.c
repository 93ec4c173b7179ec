/* Rows in front of every sequence: scores, losses and answers with them, in any company; and what they take of positions and memory. */
#include "inference/evaluate.h"
#include "tests/inference/small.h"

static const struct {
    const char *yaml;
    int64_t rows; /* in front */
} kinds[] = {
    { "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}", 0 },
    { "{peft_type: PREFIX_TUNING, num_virtual_tokens: 3, prefix_projection: true}", 0 },
    { "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}", 6 },
    { "{peft_type: P_TUNING, num_virtual_tokens: 2, encoder_reparameterization_type: LSTM}", 2 },
};

enum { COUNT_HERE = 12, NEW = 9 };

/* A session of the run's model with another adapter. */
static struct session session_with(struct tiny_run *t, const char *yaml, struct adapter **adapter)
{
    struct yaml *section;
    assert_fine(t, yaml_parse(t->arena, "run.yaml", yaml, strlen(yaml), &section, &t->err));
    assert_fine(t, adapter_new(adapter, t->arena, section, t->folder, &t->run.model, &t->err));
    assert_fine(t, adapter_start(*adapter, t->arena, &t->run.model, &t->device, false, 9, &t->err));
    return session_new(t->arena, &t->device, &t->run.model, adapter, 1);
}

static void for_each_kind(void (*check)(struct tiny_run *t, struct session *session, size_t kind))
{
    for (size_t m = 0; m < COUNT(small_models); m++)
        for (size_t k = 0; k < COUNT(kinds); k++) {
            struct tiny_run t;
            struct adapter *adapter;
            tiny_run_open(&t, &small_models[m].model, NULL);
            struct session session = session_with(&t, kinds[k].yaml, &adapter);
            check(&t, &session, k);
            session_release(&session);
            adapter_release(adapter);
            tiny_run_close(&t);
        }
}

static double log_softmax(const float *logits, int64_t vocab, int32_t id)
{
    double largest = (double)logits[argmax(logits, vocab)], sum = 0;
    for (int64_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - largest);
    return (double)logits[id] - largest - log(sum);
}

static void check_scores(struct tiny_run *t, struct session *session, size_t kind)
{
    const int64_t vocab = t->run.model.config.vocab;
    struct sequence sequence[COUNT_HERE];
    struct score score[COUNT_HERE];
    (void)kind;
    for (int i = 0; i < COUNT_HERE; i++)
        sequence[i] = random_sequence(t, 300 + (uint64_t)i, 1 + 3 * i);
    assert_fine(t, score_sequences(session, t->arena, sequence, COUNT_HERE, score, &t->err));
    for (int i = 0; i < COUNT_HERE; i++) {
        float *logits;
        assert_fine(t, score_logits(session, t->arena, &sequence[i], &logits, &t->err));
        for (int64_t r = 0; r + 1 < sequence[i].count; r++) {
            assert_true(fabs((double)score[i].logprob[r] - log_softmax(logits + r * vocab, vocab, sequence[i].ids[r + 1])) <= 2e-5);
            assert_int_equal(score[i].greedy[r], argmax(logits + r * vocab, vocab));
        }
    }
}

static void check_answers(struct tiny_run *t, struct session *session, size_t kind)
{
    const int64_t vocab = t->run.model.config.vocab;
    const struct generation generation = { .sampling = { .top_p = 1, .repetition_penalty = 1 }, .lanes = 3 };
    struct prompt prompt[COUNT_HERE];
    struct answer answer[COUNT_HERE];
    struct sequence sequence[COUNT_HERE];
    (void)kind;
    for (int i = 0; i < COUNT_HERE; i++) {
        const struct sequence s = random_sequence(t, 400 + (uint64_t)i, 1 + (5 * i) % 12 + NEW); /* the last NEW ids are written over */
        sequence[i] = s;
        prompt[i] = (struct prompt){ .ids = s.ids, .count = s.count - NEW, .max_new = NEW };
    }
    assert_fine(t, generate(session, t->arena, &generation, prompt, COUNT_HERE, answer, &t->err));
    for (int i = 0; i < COUNT_HERE; i++) {
        assert_int_equal(answer[i].count, NEW);
        for (int64_t count = prompt[i].count; count < sequence[i].count; count++) {
            float *logits;
            struct sequence so_far = sequence[i];
            so_far.count = count;
            assert_fine(t, score_logits(session, t->arena, &so_far, &logits, &t->err));
            sequence[i].ids[count] = argmax(logits + (count - 1) * vocab, vocab);
            assert_int_equal(answer[i].ids[count - prompt[i].count], sequence[i].ids[count]);
        }
    }
}

/* A repeated id counts against an answer; ids behind the vocabulary are none. */
static void check_penalty(struct tiny_run *t, struct session *session, size_t kind)
{
    const struct generation generation = { .sampling = { .top_p = 1, .repetition_penalty = 1.5 }, .lanes = 1 };
    const struct sequence s = random_sequence(t, 77, 4);
    const struct prompt prompt = { .ids = s.ids, .count = s.count, .max_new = 4 };
    struct answer answer;
    (void)kind;
    assert_fine(t, generate(session, t->arena, &generation, &prompt, 1, &answer, &t->err));
    for (int64_t i = 0; i < answer.count; i++)
        assert_true(answer.ids[i] >= 0 && answer.ids[i] < t->run.model.config.vocab);
}

/* What stands in front predicts the first id, where its label says that it is trained. */
static void check_first_label(struct tiny_run *t, struct session *session, size_t kind)
{
    struct loss_sum with, without;
    struct sequence s = random_sequence(t, 55, 8);
    s.labels = NEW_ARRAY(t->arena, s.count, int32_t);
    memcpy(s.labels, s.ids, (size_t)s.count * sizeof *s.ids);
    s.trained = s.count - 1;
    assert_fine(t, loss_of_sequences(session, &s, 1, 64, &with, &t->err));
    s.labels[0] = NOT_TRAINED;
    assert_fine(t, loss_of_sequences(session, &s, 1, 64, &without, &t->err));
    assert_int_equal(without.tokens, 7);
    assert_int_equal(with.tokens, kinds[kind].rows ? 8 : 7);
    assert_true(kinds[kind].rows ? with.loss > without.loss : with.loss == without.loss);
}

/* 64 positions, some of them taken. */
static void check_positions(struct tiny_run *t, struct session *session, size_t kind)
{
    const struct generation generation = { .sampling = { .top_p = 1, .repetition_penalty = 1 }, .lanes = 1 };
    const struct in_front in_front = session_in_front(session, 0);
    const int64_t left = 64 - in_front.tokens - in_front.first_position;
    const struct sequence s = random_sequence(t, 66, left + 1);
    const struct prompt fits = { .ids = s.ids, .count = left, .max_new = 1 }, too_long = { .ids = s.ids, .count = left + 1, .max_new = 1 };
    struct answer answer;
    (void)kind;
    assert_fine(t, generate(session, t->arena, &generation, &fits, 1, &answer, &t->err));
    assert_int_equal(generate(session, t->arena, &generation, &too_long, 1, &answer, &t->err), BAD_DATA);
    assert_non_null(strstr(t->err.what, "beside those that the adapter takes"));
    t->err = (struct error){ 0 };
}

/* The plan of a loss is that of the batches that are run: rows in front are counted. */
static void check_needs(struct tiny_run *t, struct session *session, size_t kind)
{
    struct inference_needs needs;
    struct loss_sum sum;
    struct sequence s = random_sequence(t, 88, 20);
    s.trained = s.count - 1;
    (void)kind;
    assert_fine(t, loss_needs(&needs, session, &s, 1, 64, NULL, &t->err));
    assert_fine(t, loss_of_sequences(session, &s, 1, 64, &sum, &t->err));
    assert_int_equal(needs.activations, session->memory_bytes);
}

static void scores_are_log_probabilities_of_the_logits(void **state)
{
    (void)state;
    for_each_kind(check_scores);
}
static void greedy_is_the_argmax_of_the_logits_again_and_again(void **state)
{
    (void)state;
    for_each_kind(check_answers);
}
static void the_repetition_penalty_knows_real_ids_only(void **state)
{
    (void)state;
    for_each_kind(check_penalty);
}
static void the_first_id_is_trained_behind_virtual_tokens_only(void **state)
{
    (void)state;
    for_each_kind(check_first_label);
}
static void the_adapter_takes_positions_from_the_text(void **state)
{
    (void)state;
    for_each_kind(check_positions);
}
static void rows_in_front_are_planned(void **state)
{
    (void)state;
    for_each_kind(check_needs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_log_probabilities_of_the_logits), cmocka_unit_test(greedy_is_the_argmax_of_the_logits_again_and_again),
        cmocka_unit_test(the_repetition_penalty_knows_real_ids_only), cmocka_unit_test(the_first_id_is_trained_behind_virtual_tokens_only),
        cmocka_unit_test(the_adapter_takes_positions_from_the_text),  cmocka_unit_test(rows_in_front_are_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
