/* Cached, chunked and batched walks through the model say what one walk over the whole sequence says, with and without an adapter. */
#include "tests/inference/small.h"

/* Products of other sizes add in another order. float32: a logit has some 40 products, norms and sums behind it, each good for a few units of 2^-24: 1e-5 of
 * the largest. bfloat16: such a unit hardly ever decides how a number is rounded, so most logits are the same to the bit; where it does, the result is one step
 * of 2^-8 away, which the logit's own rounding may double: with room for two such events, 2^-6. */
static const struct {
    const char *setting;
    double tolerance;
} precisions[] = { { "model.dtype=float32", 1e-5 }, { "model.dtype=bfloat16", 0x1p-6 } };

/* An update as large as the weights makes single tokens of a random network amplify rounding forty-fold. */
static const char smaller_update[] = "adapter.lora_alpha=1.5";

static const int64_t lengths[] = { 13, 3, 9, 1, 18 };
enum { SEQUENCES_HERE = COUNT(lengths) };

/* Which of a sequence's ids a round feeds. */
struct feeding {
    const char *name;
    int64_t first, later; /* ids of the first round, and of each round behind it */
};
static const struct feeding feedings[] = {
    { "all at once", 64, 1 }, { "prefill of 9, then one by one", 9, 1 }, { "one by one", 1, 1 }, { "chunks of 5", 5, 5 }
};

/* Sequences of a batch and where their logits are to be: [count, vocab] each. */
struct material {
    struct sequence sequence[SEQUENCES_HERE];
    float *logits[SEQUENCES_HERE];
};

static struct material make_material(struct tiny_run *t)
{
    struct material m = { 0 };
    for (int i = 0; i < SEQUENCES_HERE; i++) {
        m.sequence[i] = random_sequence(t, 40 + (uint64_t)i, lengths[i]);
        m.logits[i] = NEW_ARRAY(t->arena, lengths[i] * t->run.model.config.vocab, float);
    }
    return m;
}

/* What each sequence has not been fed yet, up to `most` ids, laid end to end; every row is selected. fed[] moves on. */
static void gather(struct batch *batch, int32_t *slots, const struct material *m, int64_t *fed, int64_t most, int64_t *of)
{
    int64_t first_slot = 0;
    batch->rows = batch->sequences = 0;
    for (int i = 0; i < SEQUENCES_HERE; first_slot += lengths[i++]) {
        int64_t rows = lengths[i] - fed[i] < most ? lengths[i] - fed[i] : most;
        if (rows == 0)
            continue;
        const int32_t span[4] = { (int32_t)batch->rows, (int32_t)rows, (int32_t)first_slot, (int32_t)(fed[i] + rows) };
        memcpy(batch->spans + 4 * batch->sequences, span, sizeof span);
        of[batch->sequences++] = i;
        for (int64_t end = fed[i] + rows; fed[i] < end; fed[i]++, batch->rows++) {
            batch->ids[batch->rows] = m->sequence[i].ids[fed[i]];
            batch->positions[batch->rows] = (int32_t)fed[i];
            batch->select[batch->rows] = (int32_t)batch->rows;
            slots[batch->rows] = (int32_t)(first_slot + fed[i]);
        }
    }
    batch->selected = batch->rows;
}

static void logits_through_cache(struct tiny_run *t, struct session *session, struct material *m, const struct feeding *feeding)
{
    int64_t total = 0, fed[SEQUENCES_HERE] = { 0 }, of[SEQUENCES_HERE], vocab = t->run.model.config.vocab;
    for (int i = 0; i < SEQUENCES_HERE; i++)
        total += lengths[i];
    struct kv_cache cache;
    struct forward forward;
    struct batch *batch = batch_new(t->arena, total, SEQUENCES_HERE);
    int32_t *slots = NEW_ARRAY(t->arena, total, int32_t);
    float *logits = NEW_ARRAY(t->arena, total * vocab, float);
    assert_fine(t, kv_cache_create(&cache, t->arena, &t->run.model, total, &t->device, &t->err));
    assert_fine(t, forward_new(&forward, t->arena, session, FOR_LOGITS, (struct capacity){ total, total, SEQUENCES_HERE, 0 }, &cache, false, &t->err));
    for (int64_t done = 0, round = 0; done < total; round++) {
        gather(batch, slots, m, fed, round ? feeding->later : feeding->first, of);
        assert_fine(t, forward_run(session, &forward, &(struct feed){ .batch = batch, .slots = slots }, &t->err));
        tensor_download(&t->device, forward.logits, logits);
        for (int64_t s = 0; s < batch->sequences; s++) {
            const int32_t *span = batch->spans + 4 * s;
            memcpy(m->logits[of[s]] + (span[3] - span[1]) * vocab, logits + span[0] * vocab, (size_t)(span[1] * vocab) * sizeof *logits);
        }
        done += batch->rows;
    }
    kv_cache_destroy(&cache);
}

/* All sequences in one batch, no cache. */
static void logits_of_batch(struct tiny_run *t, struct session *session, struct material *m)
{
    const struct sequence *pointer[SEQUENCES_HERE];
    int64_t total = 0, vocab = t->run.model.config.vocab;
    for (int i = 0; i < SEQUENCES_HERE; i++) {
        pointer[i] = &m->sequence[i];
        total += lengths[i];
    }
    struct forward forward;
    struct batch *batch = batch_new(t->arena, total, SEQUENCES_HERE);
    float *logits = NEW_ARRAY(t->arena, total * vocab, float);
    batch_fill(batch, pointer, SEQUENCES_HERE, NULL);
    for (int64_t r = 0; r < total; r++)
        batch->select[r] = (int32_t)r;
    batch->selected = total;
    assert_fine(t, forward_new(&forward, t->arena, session, FOR_LOGITS, (struct capacity){ total, total, SEQUENCES_HERE, 0 }, NULL, false, &t->err));
    assert_fine(t, forward_run(session, &forward, &(struct feed){ .batch = batch }, &t->err));
    tensor_download(&t->device, forward.logits, logits);
    for (int i = 0; i < SEQUENCES_HERE; i++)
        memcpy(m->logits[i], logits + batch->spans[4 * i] * vocab, (size_t)(lengths[i] * vocab) * sizeof *logits);
}

static void assert_agrees(struct tiny_run *t, struct session *session, const struct material *m, double tolerance, const char *who, const char *how)
{
    double worst = 0;
    for (int i = 0; i < SEQUENCES_HERE; i++) {
        float *whole;
        assert_fine(t, score_logits(session, t->arena, &m->sequence[i], &whole, &t->err));
        double difference = relative_difference(whole, m->logits[i], lengths[i] * t->run.model.config.vocab);
        worst = difference > worst || isnan(difference) ? difference : worst;
    }
    if (!(worst <= tolerance))
        fail_msg("%s, %s: %g, allowed %g", who, how, worst, tolerance);
}

static void for_every_model(void (*check)(struct tiny_run *t, struct session *session, double tolerance, const char *who))
{
    for (size_t p = 0; p < COUNT(precisions); p++)
        for (size_t i = 0; i < COUNT(small_models); i++) {
            struct tiny_run t;
            tiny_run_open(&t, &small_models[i].model, (const char *const[]){ precisions[p].setting, smaller_update, NULL });
            struct session base = session_of_base(&t);
            check(&t, &t.run.session, precisions[p].tolerance, arena_print(t.arena, "%s, %s, with LoRA", small_models[i].name, precisions[p].setting));
            check(&t, &base, precisions[p].tolerance, arena_print(t.arena, "%s, %s", small_models[i].name, precisions[p].setting));
            session_release(&base);
            tiny_run_close(&t);
        }
}

static void check_cache(struct tiny_run *t, struct session *session, double tolerance, const char *who)
{
    struct material m = make_material(t);
    for (size_t f = 0; f < COUNT(feedings); f++) {
        logits_through_cache(t, session, &m, &feedings[f]);
        assert_agrees(t, session, &m, tolerance, who, feedings[f].name);
    }
}

static void prefill_and_decoding_agree_with_the_whole_sequence(void **state)
{
    (void)state;
    for_every_model(check_cache);
}

static void check_batch(struct tiny_run *t, struct session *session, double tolerance, const char *who)
{
    struct material m = make_material(t);
    logits_of_batch(t, session, &m);
    assert_agrees(t, session, &m, tolerance, who, "one batch");
}

static void sequences_of_a_batch_do_not_see_each_other(void **state)
{
    (void)state;
    for_every_model(check_batch);
}

/* What the agreement is worth: the window and the adapter do change these logits, from the row on where they can. */
static void window_and_adapter_change_the_logits(void **state)
{
    (void)state;
    struct tiny_run t;
    float *logits[3];
    for (int window = 0; window < 2; window++) {
        tiny_run_open(&t, &(struct tiny_model){ .model_type = "mistral", .members = window ? "\"sliding_window\": 4" : "\"sliding_window\": null" }, NULL);
        struct session base = session_of_base(&t);
        const struct sequence s = random_sequence(&t, 40, 17);
        const int64_t vocab = t.run.model.config.vocab;
        float *whole;
        assert_fine(&t, score_logits(&base, t.arena, &s, &whole, &t.err));
        logits[window] = test_malloc((size_t)(17 * vocab) * sizeof *whole);
        memcpy(logits[window], whole, (size_t)(17 * vocab) * sizeof *whole);
        assert_fine(&t, score_logits(&t.run.session, t.arena, &s, &logits[2], &t.err));
        assert_true(relative_difference(whole, logits[2], 17 * vocab) > 0.05);
        if (window) {
            assert_true(relative_difference(logits[0], logits[1], 4 * vocab) < 2e-6);
            assert_true(relative_difference(logits[0] + 4 * vocab, logits[1] + 4 * vocab, vocab) > 0.01); /* the first row whose window ends */
        }
        session_release(&base);
        tiny_run_close(&t);
    }
    test_free(logits[0]);
    test_free(logits[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefill_and_decoding_agree_with_the_whole_sequence),
        cmocka_unit_test(sequences_of_a_batch_do_not_see_each_other),
        cmocka_unit_test(window_and_adapter_change_the_logits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
