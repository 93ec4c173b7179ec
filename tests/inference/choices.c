/* Sequences of one batch that choose among sets of adapters: each gets, bit for bit, what it gets where there is nothing but its own set.
 *
 * The batch is the same both times: with another number of rows products may take other paths, whatever is attached.
 */
#include "inference/generate.h"
#include "tests/inference/small.h"

static const char *const kinds[] = {
    "{peft_type: LORA, r: 4, target_modules: all-linear, init_lora_weights: false}",
    "{peft_type: LORA, r: 3, target_modules: [q_proj, down_proj], use_rslora: true}",
    "{peft_type: LORA, r: 2, target_modules: [v_proj, up_proj], use_dora: true}",
    "{peft_type: LORA, r: 2, target_modules: [k_proj, o_proj], lora_bias: true}",
    "{peft_type: LORA, r: 2, target_modules: [q_proj], bias: all}",
    "{peft_type: LORA, r: 2, target_modules: [q_proj], modules_to_save: [lm_head, norm, input_layernorm]}",
    "{peft_type: LORA, r: 2, target_modules: [q_proj], modules_to_save: [embed_tokens]}",
    "{peft_type: LORA, r: 3, target_modules: [q_proj, embed_tokens]}",
    "{peft_type: LORA, r: 2, target_modules: [q_proj], trainable_token_indices: [3, 5, 9, 12, 17, 20, 25, 30]}",
    "{peft_type: LORA, r: 3, target_modules: [q_proj, lm_head]}",
    "{peft_type: LORA, r: 2, target_modules: [v_proj, lm_head], init_lora_weights: gaussian}",
};

/* Adapters of the sets: the base alone, every adapter alone, and some together. */
static const int members[][2] = { { -1, -1 }, { 0, -1 }, { 1, -1 }, { 2, -1 }, { 3, -1 }, { 4, -1 }, { 5, -1 },  { 6, -1 }, { 7, -1 }, { 8, -1 },
                                  { 0, 1 },   { 2, 0 },  { 0, 2 },  { 5, 3 },  { 8, 4 },  { 9, -1 }, { 10, -1 }, { 2, 10 }, { 9, 6 } };

/* Rows in front of some sequences, not the same ones or as many of them; and beside another adapter. */
static const char *const kinds_in_front[] = {
    "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}",
    "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}",
    "{peft_type: LORA, r: 3, target_modules: [q_proj, embed_tokens, lm_head], init_lora_weights: false}",
    "{peft_type: P_TUNING, num_virtual_tokens: 2, encoder_hidden_size: 9}",
    "{peft_type: PREFIX_TUNING, num_virtual_tokens: 3}",
    "{peft_type: PROMPT_TUNING, num_virtual_tokens: 1}",
    "{peft_type: LORA, r: 2, target_modules: [v_proj], trainable_token_indices: [3, 5, 9, 12], modules_to_save: [norm], init_lora_weights: false}",
};
static const int members_in_front[][2] = {
    { 0, -1 }, { -1, -1 }, { 1, -1 }, { 3, -1 }, { 4, -1 }, { 5, -1 }, { 2, -1 }, { 1, 2 }, { 2, 4 }, { 6, 0 }, { 6, 5 }
};

enum { SETS = COUNT(members), SEQUENCES_HERE = 2 * SETS, NEW = 5 };

struct mixture {
    struct tiny_run run;
    struct adapter *adapter[COUNT(kinds)];
    struct seam_set set[SETS];
    struct session session;
};

/* Every value differs from where it starts, copies of frozen tensors too. */
static void disturb(struct mixture *m, const struct adapter *adapter, uint64_t seed)
{
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        struct tensor *t = adapter->parameters->tensor[i];
        float *values = NEW_ARRAY(m->run.arena, t->rows * t->cols, float);
        tensor_download(&m->run.device, t, values);
        for (int64_t k = 0; k < t->rows * t->cols; k++)
            values[k] += 0.1f * random_normal(seed, (uint64_t)i, (uint64_t)k);
        tensor_upload(&m->run.device, t, values);
    }
}

static void open_mixture(struct mixture *m, size_t model)
{
    tiny_run_open(&m->run, &small_models[model].model, NULL);
    struct tiny_run *t = &m->run;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct yaml *section;
        assert_fine(t, yaml_parse(t->arena, "run.yaml", kinds[i], strlen(kinds[i]), &section, &t->err));
        assert_fine(t, adapter_new(&m->adapter[i], t->arena, section, t->folder, &t->run.model, &t->err));
        assert_fine(t, adapter_start(m->adapter[i], t->arena, &t->run.model, &t->device, false, 40 + i, &t->err));
        disturb(m, m->adapter[i], 60 + i);
    }
    for (size_t s = 0; s < SETS; s++) {
        const struct seams **seams = NEW_ARRAY(t->arena, 2, const struct seams *);
        for (int k = 0; k < 2 && members[s][k] >= 0; k++)
            seams[m->set[s].count++] = &m->adapter[members[s][k]]->seams;
        m->set[s].seams = seams;
    }
    m->session = session_of_base(t);
    session_choose(&m->session, m->set, SETS);
}

static void close_mixture(struct mixture *m)
{
    session_release(&m->session);
    for (size_t i = 0; i < COUNT(kinds); i++)
        adapter_release(m->adapter[i]);
    tiny_run_close(&m->run);
}

static struct session session_of_set(struct mixture *m, int set)
{
    struct session session = session_of_base(&m->run);
    session_choose(&session, &m->set[set], 1);
    return session;
}

static void check_scores(struct mixture *m)
{
    struct tiny_run *t = &m->run;
    struct sequence sequence[SEQUENCES_HERE];
    struct score mixed[SEQUENCES_HERE], own[SEQUENCES_HERE];
    for (int i = 0; i < SEQUENCES_HERE; i++) {
        sequence[i] = random_sequence(t, 300 + (uint64_t)i, 2 + (7 * i) % 31);
        sequence[i].choice = i % SETS;
    }
    assert_fine(t, score_sequences(&m->session, t->arena, sequence, SEQUENCES_HERE, mixed, &t->err));
    for (int i = 0; i < SEQUENCES_HERE; i++) {
        struct session session = session_of_set(m, sequence[i].choice);
        const size_t bytes = (size_t)(sequence[i].count - 1) * 4;
        float *logits, *mixed_logits;
        assert_fine(t, score_sequences(&session, t->arena, sequence, SEQUENCES_HERE, own, &t->err));
        assert_memory_equal(mixed[i].logprob, own[i].logprob, bytes);
        assert_memory_equal(mixed[i].greedy, own[i].greedy, bytes);
        assert_fine(t, score_logits(&session, t->arena, &sequence[i], &logits, &t->err));
        assert_fine(t, score_logits(&m->session, t->arena, &sequence[i], &mixed_logits, &t->err));
        assert_memory_equal(mixed_logits, logits, (size_t)(sequence[i].count * t->run.model.config.vocab) * sizeof *logits);
        session_release(&session);
    }
}

/* The sets are not all the same, or the claims above would say nothing: no two of them score the same ids alike. */
static void check_difference(struct mixture *m)
{
    struct tiny_run *t = &m->run;
    struct sequence sequence[SETS];
    struct score score[SETS];
    for (int i = 0; i < SETS; i++) {
        sequence[i] = random_sequence(t, 7, 30);
        sequence[i].choice = i;
    }
    assert_fine(t, score_sequences(&m->session, t->arena, sequence, SETS, score, &t->err));
    for (int i = 0; i < SETS; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(score[i].logprob, score[k].logprob, 29 * sizeof(float));
}

static void check_answers(struct mixture *m)
{
    struct tiny_run *t = &m->run;
    const struct generation generation = { .sampling = { .top_p = 1, .repetition_penalty = 1 }, .lanes = 4 };
    struct prompt prompt[SETS];
    struct answer mixed[SETS], alone;
    for (int i = 0; i < SETS; i++) {
        const struct sequence s = random_sequence(t, 400 + (uint64_t)i, 1 + (5 * i) % 12);
        prompt[i] = (struct prompt){ .ids = s.ids, .count = s.count, .max_new = NEW, .choice = SETS - 1 - i };
    }
    assert_fine(t, generate(&m->session, t->arena, &generation, prompt, SETS, mixed, &t->err));
    for (int i = 0; i < SETS; i++) {
        struct session session = session_of_set(m, prompt[i].choice);
        assert_fine(t, generate(&session, t->arena, &generation, &prompt[i], 1, &alone, &t->err));
        assert_int_equal(mixed[i].count, alone.count);
        assert_memory_equal(mixed[i].ids, alone.ids, (size_t)alone.count * sizeof *alone.ids);
        session_release(&session);
    }
}

static void for_each_model(void (*check)(struct mixture *m))
{
    for (size_t model = 0; model < COUNT(small_models); model++) {
        struct mixture m = { 0 };
        open_mixture(&m, model);
        check(&m);
        close_mixture(&m);
    }
}

static void scores_in_a_mixture_are_those_alone(void **state)
{
    (void)state;
    for_each_model(check_scores);
}
static void the_sets_differ(void **state)
{
    (void)state;
    for_each_model(check_difference);
}
static void answers_in_a_mixture_are_those_alone(void **state)
{
    (void)state;
    for_each_model(check_answers);
}

/* ---- rows in front ---- */

enum { FRONTS = COUNT(members_in_front) };

static void open_fronts(struct mixture *m, size_t model)
{
    tiny_run_open(&m->run, &small_models[model].model, NULL);
    struct tiny_run *t = &m->run;
    for (size_t i = 0; i < COUNT(kinds_in_front); i++) {
        struct yaml *section;
        assert_fine(t, yaml_parse(t->arena, "run.yaml", kinds_in_front[i], strlen(kinds_in_front[i]), &section, &t->err));
        assert_fine(t, adapter_new_for_use(&m->adapter[i], t->arena, section, t->folder, &t->run.model, &t->err));
        assert_fine(t, adapter_start(m->adapter[i], t->arena, &t->run.model, &t->device, false, 40 + i, &t->err));
    }
    for (size_t s = 0; s < FRONTS; s++) {
        const struct seams **seams = NEW_ARRAY(t->arena, 2, const struct seams *);
        for (int k = 0; k < 2 && members_in_front[s][k] >= 0; k++)
            seams[m->set[s].count++] = &m->adapter[members_in_front[s][k]]->seams;
        m->set[s].seams = seams;
    }
    m->session = session_of_base(t);
    session_choose(&m->session, m->set, FRONTS);
}

/* One sequence alone is the same batch in a mixture: equal to the bit. Many are laid out in other batches, where products may take other paths. */
static void check_fronts(struct mixture *m)
{
    struct tiny_run *t = &m->run;
    const struct generation generation = { .sampling = { .top_p = 1, .repetition_penalty = 1 }, .lanes = 4 };
    struct sequence sequence[FRONTS];
    struct prompt prompt[FRONTS];
    struct score mixed[FRONTS], own;
    struct answer answers[FRONTS], alone;
    for (int i = 0; i < FRONTS; i++) {
        sequence[i] = random_sequence(t, 500 + (uint64_t)i, 3 + (7 * i) % 23);
        sequence[i].choice = FRONTS - 1 - i;
        prompt[i] = (struct prompt){ .ids = sequence[i].ids, .count = sequence[i].count, .max_new = NEW, .choice = sequence[i].choice };
    }
    assert_fine(t, score_sequences(&m->session, t->arena, sequence, FRONTS, mixed, &t->err));
    assert_fine(t, generate(&m->session, t->arena, &generation, prompt, FRONTS, answers, &t->err));
    for (int i = 0; i < FRONTS; i++) {
        struct session session = session_of_set(m, sequence[i].choice);
        float *logits, *mixed_logits;
        assert_fine(t, score_logits(&session, t->arena, &sequence[i], &logits, &t->err));
        assert_fine(t, score_logits(&m->session, t->arena, &sequence[i], &mixed_logits, &t->err));
        assert_memory_equal(mixed_logits, logits, (size_t)(sequence[i].count * t->run.model.config.vocab) * sizeof *logits);
        assert_fine(t, score_sequences(&session, t->arena, &sequence[i], 1, &own, &t->err));
        for (int64_t k = 0; k + 1 < sequence[i].count; k++)
            assert_true(fabsf(mixed[i].logprob[k] - own.logprob[k]) <= 1e-5f * (1 + fabsf(own.logprob[k])));
        assert_fine(t, generate(&session, t->arena, &generation, &prompt[i], 1, &alone, &t->err));
        assert_int_equal(answers[i].count, alone.count);
        assert_memory_equal(answers[i].ids, alone.ids, (size_t)alone.count * sizeof *alone.ids);
        session_release(&session);
    }
}

/* No two sets score the same ids alike. */
static void check_that_fronts_differ(struct mixture *m)
{
    struct tiny_run *t = &m->run;
    struct sequence sequence[FRONTS];
    struct score score[FRONTS];
    for (int i = 0; i < FRONTS; i++) {
        sequence[i] = random_sequence(t, 7, 30);
        sequence[i].choice = i;
    }
    assert_fine(t, score_sequences(&m->session, t->arena, sequence, FRONTS, score, &t->err));
    for (int i = 0; i < FRONTS; i++)
        for (int k = 0; k < i; k++)
            assert_true(fabsf(score[i].logprob[0] - score[k].logprob[0]) > 1e-4f);
}

static void rows_in_front_are_those_of_each_sequence(void **state)
{
    (void)state;
    for (size_t model = 0; model < COUNT(small_models); model++) {
        struct mixture m = { 0 };
        open_fronts(&m, model);
        check_fronts(&m);
        check_that_fronts_differ(&m);
        session_release(&m.session);
        for (size_t i = 0; i < COUNT(kinds_in_front); i++)
            adapter_release(m.adapter[i]);
        tiny_run_close(&m.run);
    }
}

/* Ids behind the vocabulary look up nothing in a LoRA of the embedding: both together score, and the update reaches the text. */
static void a_lora_on_the_embedding_stands_beside_a_prompt(void **state)
{
    (void)state;
    struct mixture m = { 0 };
    struct adapter *prompt;
    struct yaml *section;
    struct tiny_run *t = &m.run;
    const char *text = "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6}";
    open_mixture(&m, 0);
    assert_fine(t, yaml_parse(t->arena, "run.yaml", text, strlen(text), &section, &t->err));
    assert_fine(t, adapter_new(&prompt, t->arena, section, t->folder, &t->run.model, &t->err));
    assert_fine(t, adapter_start(prompt, t->arena, &t->run.model, &t->device, false, 3, &t->err));
    const struct sequence sequence = random_sequence(t, 9, 12);
    struct score score[3];
    struct adapter *both[] = { prompt, m.adapter[7] }, *turned[] = { m.adapter[7], prompt };
    struct session session[] = { session_new(t->arena, &t->device, &t->run.model, both, 2), session_new(t->arena, &t->device, &t->run.model, turned, 2),
                                 session_new(t->arena, &t->device, &t->run.model, both, 1) };
    for (int i = 0; i < 3; i++) {
        assert_fine(t, score_sequences(&session[i], t->arena, &sequence, 1, &score[i], &t->err));
        session_release(&session[i]);
    }
    assert_memory_equal(score[0].logprob, score[1].logprob, 11 * sizeof(float));
    assert_memory_not_equal(score[0].logprob, score[2].logprob, 11 * sizeof(float));
    adapter_release(prompt);
    close_mixture(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(scores_in_a_mixture_are_those_alone), cmocka_unit_test(the_sets_differ),
                                        cmocka_unit_test(answers_in_a_mixture_are_those_alone), cmocka_unit_test(rows_in_front_are_those_of_each_sequence),
                                        cmocka_unit_test(a_lora_on_the_embedding_stands_beside_a_prompt) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
