/* DoRA beyond the records: a fresh one multiplies by 1, and dropout reaches what the magnitude changes but not the frozen result itself. */
#include "adapters/lora.h"
#include "tests/adapters/records.h"
#include "tests/adapters/walk.h"

#include <math.h>

static const int32_t some_ids[] = { 3, 17, 42, 5, 5, 60, 33, 8, 21, 2, 54 };
static const struct batch some = { .sequences = 1, .ids = { some_ids }, .labels = { NULL }, .length = { 11 } };

static struct adapter *started(struct scratch *s, struct model *model, struct device *device, const char *yaml)
{
    struct adapter *adapter;
    assert_fine(s, small_adapter(s, &adapter, model, arena_print(s->arena, "{peft_type: LORA, use_dora: true, %s}", yaml)));
    assert_fine(s, adapter_start(adapter, s->arena, model, device, false, 3, &s->err));
    return adapter;
}

/* m / n is 1 to the bit, but x W^T + onto is rounded in another order. */
static void a_fresh_dora_is_the_base_model_but_for_rounding(void **state)
{
    static const char *const yaml[] = { "target_modules: all-linear", "target_modules: all-linear, lora_dropout: 0.3", "init_lora_weights: gaussian, r: 3" };
    struct scratch *s = *state;
    struct model model;
    struct device device;
    record_model(s, &model, &device, "llama_biases", F32);
    const float *base = walk_logits(s, &model, NULL, &some, false);
    for (size_t i = 0; i < COUNT(yaml); i++) {
        struct adapter *adapter = started(s, &model, &device, yaml[i]);
        const float *logits = walk_logits(s, &model, adapter, &some, true);
        for (int64_t k = 0; k < 11 * model.config.vocab; k++)
            assert_true(fabs((double)logits[k] - (double)base[k]) < 2e-6);
        adapter_release(adapter);
    }
    model_release(&model);
    device_close(&device);
}

/* y[row, out] of one layer as PEFT defines it, in double precision. dropped: the input behind dropout. */
static double expected_at(const struct lora_module *m, const struct frozen *f, const float *dropped, int64_t row, int64_t out)
{
    const float *x = (const float *)f->x->data + row * f->x->cols, *w = (const float *)f->w->data + out * f->w->cols, *xd = dropped + row * f->x->cols;
    const float *a = m->a->data, *b = (const float *)m->b->data + out * m->rank;
    double z = 0, z_dropped = 0, update = 0, squares = 0;
    for (int64_t i = 0; i < f->x->cols; i++) {
        double delta = 0;
        for (int64_t k = 0; k < m->rank; k++)
            delta += (double)b[k] * (double)a[k * f->x->cols + i];
        z += (double)x[i] * (double)w[i];
        z_dropped += (double)xd[i] * (double)w[i];
        update += (double)m->scale * delta * (double)xd[i];
        squares += ((double)w[i] + (double)m->scale * delta) * ((double)w[i] + (double)m->scale * delta);
    }
    const double factor = (double)((const float *)m->magnitude->data)[out] / sqrt(squares);
    return (double)((const float *)f->onto->data)[row * f->w->rows + out] + (double)((const float *)f->bias->data)[out] + z + (factor - 1) * z_dropped +
           factor * update;
}

static void fill_random(struct tensor *t, double size)
{
    for (int64_t i = 0; i < t->rows * t->cols; i++)
        ((float *)t->data)[i] = (float)(size * sin((double)(7 * i + 3)));
}

static void dropout_reaches_what_the_magnitude_changes(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    enum { TOKENS = 13 };
    record_model(s, &model, &device, "llama_biases", F32);
    struct adapter *adapter = started(s, &model, &device, "target_modules: [o_proj], init_lora_weights: false, lora_dropout: 0.4");
    const struct site *site = &model.layer[0].site[ATTENTION_OUT];
    const struct lora_module *m = ((const struct lora *)adapter->state)->by_place[lora_place(&model.config, site)];
    fill_random(m->magnitude, 1);
    for (int training = 0; training < 2; training++) {
        struct graph *g = graph_new(s->arena, (int64_t[EXTENTS]){ [ROWS] = TOKENS, [SELECTED] = 1, [SEQUENCES] = 1 }, false);
        struct pass p = pass_new(g, &model, (const struct seams *[]){ &adapter->seams }, 1, NULL, training);
        struct frozen f = { .site = site, .w = model.layer[0].w[ATTENTION_OUT], .bias = model.layer[0].bias[ATTENTION_OUT] };
        f.x = graph_keep(g, graph_input(g, "x", F32, ROWS, 0, site->in));
        f.onto = graph_keep(g, graph_input(g, "onto", F32, ROWS, 0, site->out));
        f.y = linear(g, f.x, f.w, f.bias, f.onto, 1);
        struct tensor *y = graph_keep(g, adapter->seams.linear(adapter->seams.self, &p, &f, f.y)), *dropped = f.x;
        for (int i = 0; i < g->nodes; i++)
            if (g->node[i]->op == &op_dropout)
                dropped = graph_keep(g, g->node[i]->out[0]);
        struct program *program;
        assert_true((dropped != f.x) == training);
        assert_fine(s, plan(&program, g, NULL, (struct plan_options){ .threads = 1 }, &s->err));
        program_bind(program, arena_alloc(s->arena, program->arena_bytes));
        fill_random(f.x, 1), fill_random(f.onto, 1);
        for (int i = 0; training && i < TOKENS; i++)
            ((int32_t *)p.row_key->data)[i] = i;
        if (training)
            tensor_upload(&device, p.draw, (int32_t[]){ 11, 12, 13 });
        assert_fine(s, program_run(program, &device));
        for (int64_t r = 0; r < TOKENS; r++)
            for (int64_t o = 0; o < site->out; o++)
                assert_true(fabs((double)((const float *)y->data)[r * site->out + o] - expected_at(m, &f, dropped->data, r, o)) < 2e-5);
    }
    adapter_release(adapter);
    model_release(&model);
    device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_fresh_dora_is_the_base_model_but_for_rounding),
        SCRATCH_TEST(dropout_reaches_what_the_magnitude_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
