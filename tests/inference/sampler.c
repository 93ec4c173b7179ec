/* What is sampled, by many draws: penalties as transformers computes them, cuts at their borders, and draws that follow the softmax. */
#include "autograd/ops.h"
#include "autograd/ops/sample.h"
#include "autograd/plan.h"
#include "common/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 12, DRAWS = 20000 };

static const float spread[VOCAB] = { 0.5f, -1.25f, 2.0f, 1.75f, -3.0f, 0.0f, 1.0f, -0.5f, 2.25f, 0.25f, -8.0f, 1.5f };
static const struct sampling plain = { .temperature = 1, .top_p = 1, .repetition_penalty = 1 };

static void fine(enum status status, const struct error *err)
{
    if (status != OK)
        fail_msg("%s", err->what);
}

/* ids[0..rows) from the same logits behind the same ids; name: prompt and position of each draw. */
static void draw_behind(const struct sampling *sampling, const float *logits, int64_t vocab, const int32_t *seen, int64_t count, int64_t rows,
                        const int32_t name[][2], int32_t *ids)
{
    struct error err = { 0 };
    struct device device;
    struct program *program;
    void *memory;
    struct arena *arena = arena_create(NULL);
    struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ [SELECTED] = rows }, false);
    struct tensor *in = graph_input(g, "logits", F32, SELECTED, 0, vocab), *draws = graph_input(g, "draws", I32, SELECTED, 0, 2);
    struct tensor *behind = count ? graph_input(g, "seen", I32, SELECTED, 0, count) : NULL;
    struct tensor *id = graph_keep(g, sample(g, in, draws, behind, sampling));
    fine(device_open(&device, "cpu", 2, &err), &err);
    fine(plan(&program, g, NULL, (struct plan_options){ .threads = 2 }, &err), &err);
    fine(device_allocate(&device, "memory", program->arena_bytes, &memory, &err), &err);
    program_bind(program, memory);
    for (int64_t r = 0; r < rows; r++) {
        memcpy((float *)in->data + r * vocab, logits, (size_t)vocab * sizeof *logits);
        if (count)
            memcpy((int32_t *)behind->data + r * count, seen, (size_t)count * sizeof *seen);
    }
    tensor_upload(&device, draws, name);
    fine(program_run(program, &device), &err);
    tensor_download(&device, id, ids);
    device_release(&device, memory, program->arena_bytes);
    device_close(&device);
    arena_destroy(arena);
}

static int32_t draw(struct sampling sampling, const float *logits, int64_t vocab, uint64_t prompt, uint64_t position)
{
    int32_t id;
    draw_behind(&sampling, logits, vocab, NULL, 0, 1, (const int32_t[][2]){ { (int32_t)prompt, (int32_t)position } }, &id);
    return id;
}

static void temperature_0_is_greedy_and_ties_go_to_the_lower_id(void **state)
{
    (void)state;
    static const struct {
        float logits[4];
        int32_t id;
    } cases[] = {
        { { 1, 2, 3, 2.5f }, 2 }, { { 7, 7, 7, 7 }, 0 }, { { -1, 4, 0, 4 }, 1 }, { { -5, -4, -3, -INFINITY }, 2 }, { { -INFINITY, -2, -2, -9 }, 1 },
    };
    static const struct sampling greedy[] = {
        { .temperature = 0, .top_p = 1, .repetition_penalty = 1 },
        { .temperature = 0, .top_k = 3, .top_p = 0.1, .repetition_penalty = 1 },
        { .temperature = 1, .top_k = 1, .top_p = 1, .repetition_penalty = 1 },
        { .temperature = 50, .top_k = 1, .top_p = 1, .repetition_penalty = 1 },
        { .temperature = 1, .top_p = 0, .repetition_penalty = 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t g = 0; g < COUNT(greedy); g++)
            for (uint64_t position = 0; position < 20; position++)
                assert_int_equal(draw(greedy[g], cases[i].logits, 4, 0, position), cases[i].id);
}

static void a_temperature_near_0_is_nearly_greedy(void **state)
{
    (void)state;
    static const double temperatures[] = { 1e-3, 1e-30, 1e-300, 5e-324 };
    for (size_t i = 0; i < COUNT(temperatures); i++)
        for (uint64_t position = 0; position < 100; position++) {
            struct sampling sampling = plain;
            sampling.temperature = temperatures[i];
            assert_int_equal(draw(sampling, spread, VOCAB, 0, position), 8);
        }
}

/* Which ids are ever drawn, as a bit mask. */
static uint32_t drawn_ids(struct sampling sampling, const float *logits, int64_t vocab)
{
    uint32_t ids = 0;
    for (uint64_t position = 0; position < 400; position++)
        ids |= 1U << draw(sampling, logits, vocab, 3, position);
    return ids;
}

static void top_p_keeps_the_fewest_ids_that_reach_it(void **state)
{
    (void)state;
    static const float quarters[4] = { 1, 1, 1, 1 };
    static const struct {
        int64_t top_k;
        double top_p;
        uint32_t ids;
    } cases[] = {
        { 0, 0, 1 }, { 0, 0.2, 1 }, { 0, 0.25, 1 }, { 0, 0.2500001, 3 }, { 0, 0.5, 3 }, { 0, 0.5000001, 7 }, { 0, 0.75, 7 }, { 0, 0.76, 15 }, { 0, 1, 15 },
        { 2, 1, 3 }, { 3, 1, 7 },   { 4, 1, 15 },   { 9, 1, 15 },        { 2, 0.5, 1 }, { 2, 0.51, 3 },      { 3, 0.5, 3 }, /* of what top-k left */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sampling sampling = plain;
        sampling.top_k = cases[i].top_k;
        sampling.top_p = cases[i].top_p;
        assert_int_equal(drawn_ids(sampling, quarters, 4), cases[i].ids);
    }
}

/* What RepetitionPenaltyLogitsProcessor of transformers 5 makes of { 1.5, -2, 0, 3.25, -0.125, 7 } behind the ids 0, 1, 1, 2, 4, 0. */
static void the_repetition_penalty_is_that_of_transformers(void **state)
{
    (void)state;
    static const float logits[6] = { 1.5f, -2.0f, 0.0f, 3.25f, -0.125f, 7.0f };
    static const int32_t seen[] = { 0, 1, 1, 2, 4, 0 };
    static const struct {
        double penalty;
        float expected[6];
    } cases[] = {
        { 1.3, { 1.1538461446762085f, -2.5999999046325684f, 0.0f, 3.25f, -0.16249999403953552f, 7.0f } },
        { 0.8, { 1.875f, -1.600000023841858f, 0.0f, 3.25f, -0.10000000149011612f, 7.0f } },
        { 1.0, { 1.5f, -2.0f, 0.0f, 3.25f, -0.125f, 7.0f } },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t k = 0; k < COUNT(seen); k++) {
            const int32_t j = seen[k];
            assert_true(fabsf(penalized(logits[j], cases[i].penalty) - cases[i].expected[j]) <= 2e-7f * fabsf(cases[i].expected[j]));
        }
    }
}

static void an_id_is_penalized_however_long_ago_it_was_seen(void **state)
{
    (void)state;
    int32_t seen[5 * VOCAB] = { 8 };
    for (size_t i = 1; i < COUNT(seen); i++)
        seen[i] = 4;
    for (size_t count = 0; count <= COUNT(seen); count++) {
        int32_t id; /* 2.25 / 1.2 is less than 2, which is the next */
        const struct sampling sampling = { .top_p = 1, .repetition_penalty = 1.2 };
        draw_behind(&sampling, spread, VOCAB, seen, (int64_t)count, 1, (const int32_t[][2]){ { 0, 0 } }, &id);
        assert_int_equal(id, count ? 2 : 8);
    }
}

/* Probabilities by definition: sort, cut, normalise. */
static void expected_probabilities(const struct sampling *sampling, double p[VOCAB])
{
    int order[VOCAB];
    double total = 0, kept = 0;
    for (int i = 0; i < VOCAB; i++) {
        order[i] = i;
        p[i] = exp((double)spread[i] / sampling->temperature);
    }
    for (int i = 0; i < VOCAB; i++)
        for (int j = i + 1; j < VOCAB; j++)
            if (p[order[j]] > p[order[i]]) {
                int swap = order[i];
                order[i] = order[j], order[j] = swap;
            }
    for (int i = 0; i < VOCAB; i++) {
        if (sampling->top_k && i >= sampling->top_k)
            p[order[i]] = 0;
        total += p[order[i]];
    }
    for (int i = 0; i < VOCAB; i++) {
        if (kept >= sampling->top_p * total)
            p[order[i]] = 0;
        kept += p[order[i]];
    }
    for (int i = 0; i < VOCAB; i++)
        p[i] /= kept;
}

/* Pearson's chi-square; ids whose count is expected below 5 are taken together. The bounds are exceeded once in ten thousand tries by chance, and the draws are
 * always the same ones. */
static void draws_follow_the_softmax(void **state)
{
    (void)state;
    static const double bound[VOCAB] = { 0, 15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88, 31.83, 33.72, 35.56, 37.37 }; /* by degrees of freedom */
    static const struct sampling cases[] = {
        { .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 1 },
        { .temperature = 0.5, .top_p = 1, .repetition_penalty = 1, .seed = 2 },
        { .temperature = 3, .top_p = 1, .repetition_penalty = 1, .seed = 3 },
        { .temperature = 1, .top_k = 4, .top_p = 1, .repetition_penalty = 1, .seed = 4 },
        { .temperature = 1, .top_p = 0.8, .repetition_penalty = 1, .seed = 5 },
        { .temperature = 0.8, .top_k = 6, .top_p = 0.7, .repetition_penalty = 1, .seed = 6 },
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        double p[VOCAB], rare = 0, square = 0;
        static int32_t name[DRAWS][2], id[DRAWS];
        int count[VOCAB] = { 0 }, rarely = 0, cells = 0;
        expected_probabilities(&cases[c], p);
        for (int i = 0; i < DRAWS; i++)
            name[i][0] = i % 50, name[i][1] = i / 50;
        draw_behind(&cases[c], spread, VOCAB, NULL, 0, DRAWS, (const int32_t(*)[2])name, id);
        for (int i = 0; i < DRAWS; i++)
            count[id[i]]++;
        for (int i = 0; i < VOCAB; i++) {
            double expected = p[i] * DRAWS;
            if (expected == 0)
                assert_int_equal(count[i], 0);
            if (expected < 5) {
                rare += expected;
                rarely += count[i];
                continue;
            }
            square += (count[i] - expected) * (count[i] - expected) / expected;
            cells++;
        }
        if (rare >= 5)
            square += (rarely - rare) * (rarely - rare) / rare, cells++;
        assert_true(cells > 1);
        if (!(square < bound[cells - 1]))
            fail_msg("case %zu: chi-square %g with %d degrees of freedom", c, square, cells - 1);
    }
}

static void a_draw_depends_on_seed_prompt_and_position_alone(void **state)
{
    (void)state;
    int equal[3] = { 0 };
    for (uint64_t i = 0; i < 300; i++) {
        struct sampling seed5 = plain, seed6 = plain;
        seed5.seed = 5, seed6.seed = 6;
        int32_t id = draw(seed5, spread, VOCAB, 7, i);
        for (uint64_t other = 0; other < 3; other++) {
            draw(seed6, spread, VOCAB, other, other); /* what was drawn before does not matter */
            assert_int_equal(draw(seed5, spread, VOCAB, 7, i), id);
        }
        equal[0] += draw(seed6, spread, VOCAB, 7, i) == id;
        equal[1] += draw(seed5, spread, VOCAB, 8, i) == id;
        equal[2] += draw(seed5, spread, VOCAB, 7, i + 1) == id;
    }
    for (int i = 0; i < 3; i++)
        assert_true(equal[i] < 120); /* a fifth, by chance */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_0_is_greedy_and_ties_go_to_the_lower_id),
        cmocka_unit_test(a_temperature_near_0_is_nearly_greedy),
        cmocka_unit_test(top_p_keeps_the_fewest_ids_that_reach_it),
        cmocka_unit_test(the_repetition_penalty_is_that_of_transformers),
        cmocka_unit_test(an_id_is_penalized_however_long_ago_it_was_seen),
        cmocka_unit_test(draws_follow_the_softmax),
        cmocka_unit_test(a_draw_depends_on_seed_prompt_and_position_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
