/* The seams as adapters meet them: every linear layer is offered once, in the order of model.site, every weight is asked for, and what a seam returns is used.
 */
#include "autograd/plan.h"
#include "models/model.h"
#include "tests/harness/tiny_model.h"
#include "tests/unit/scratch.h"

enum { MAX_SEEN = 64 };

/* What a seam saw; and the one weight that it replaces, if any. */
struct spy {
    const struct site *site[MAX_SEEN];
    const struct tensor *weight[MAX_SEEN];
    int sites, weights;
    const struct tensor *replaced;
    struct tensor *replacement;
    bool shapes_fit;
};

static struct tensor *see_linear(void *self, struct pass *p, const struct frozen *frozen, struct tensor *y)
{
    struct spy *spy = self;
    const struct site *site = frozen->site;
    (void)p;
    assert_true(spy->sites < MAX_SEEN);
    spy->site[spy->sites++] = site;
    spy->shapes_fit = spy->shapes_fit && frozen->x->cols == site->in && frozen->w->rows == site->out && y == frozen->y && y->cols == site->out;
    return y;
}

static struct tensor *see_weight(void *self, struct pass *p, struct tensor *w)
{
    struct spy *spy = self;
    (void)p;
    assert_true(spy->weights < MAX_SEEN);
    spy->weight[spy->weights++] = w;
    return w == spy->replaced ? spy->replacement : w;
}

static bool was_asked(const struct spy *spy, const struct tensor *w)
{
    for (int i = 0; i < spy->weights; i++)
        if (spy->weight[i] == w)
            return true;
    return false;
}

static struct model *described(struct scratch *s, bool tied)
{
    struct model *model = NEW(s->arena, struct model);
    struct model_config config;
    tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .members = "\"attention_bias\": true, \"mlp_bias\": true", .tied = tied });
    assert_fine(s, model_config_read(&config, s->arena, s->folder, &s->err));
    assert_fine(s, model_describe(model, s->arena, &config, F32, &s->err));
    return model;
}

static struct graph *new_graph(struct scratch *s, bool gradients)
{
    return graph_new(s->arena, (int64_t[EXTENTS]){ [ROWS] = 16, [SELECTED] = 8, [SEQUENCES] = 2 }, gradients);
}

static void every_linear_layer_and_weight_is_offered_once_in_order(void **state)
{
    struct scratch *s = *state;
    struct model *model = described(s, false);
    struct graph *g = new_graph(s, false);
    struct spy first = { .shapes_fit = true }, second = { .shapes_fit = true };
    const struct seams both[2] = { { .self = &first, .linear = see_linear, .weight = see_weight }, { .self = &second, .linear = see_linear } };
    const struct seams *const list[] = { &both[0], &both[1] };
    struct pass p = pass_new(g, model, list, 2, NULL, true);
    struct tensor *logits = decoder_logits(&p, decoder(&p));
    assert_int_equal(g->error.code, OK);
    assert_true(logits->extent == SELECTED && logits->cols == model->config.vocab && logits->dtype == F32);
    assert_int_equal(first.sites, model->sites - 1); /* the head, which is the last, has a seam of its own */
    assert_int_equal(second.sites, model->sites - 1);
    for (int i = 0; i < model->sites - 1; i++)
        assert_true(first.site[i] == model->site[i] && second.site[i] == model->site[i]);
    assert_true(first.shapes_fit && second.shapes_fit);
    assert_int_equal(first.weights, model->tensors);
    for (int i = 0; i < model->tensors; i++)
        assert_true(was_asked(&first, model->tensor[i]));
}

static void a_tied_embedding_is_asked_for_at_both_ends(void **state)
{
    struct scratch *s = *state;
    struct model *model = described(s, true);
    struct spy spy = { .shapes_fit = true };
    const struct seams seams = { .self = &spy, .weight = see_weight };
    const struct seams *const list[] = { &seams };
    struct graph *g = new_graph(s, false);
    struct pass p = pass_new(g, model, list, 1, NULL, false);
    decoder_logits(&p, decoder(&p));
    assert_ptr_equal(spy.weight[0], model->embed);
    assert_ptr_equal(spy.weight[spy.weights - 1], model->embed);
    assert_int_equal(spy.weights, model->tensors + 1);
}

/* Only what follows a trained weight can carry a gradient, so wants_grad shows that the replacement was used. */
static void a_trained_copy_of_any_weight_takes_its_place(void **state)
{
    struct scratch *s = *state;
    struct model *model = described(s, false);
    for (int i = 0; i < model->tensors; i++) {
        struct spy spy = { .replaced = model->tensor[i] };
        struct tensor *w = model->tensor[i];
        spy.replacement = tensor_new(s->arena, "copy", F32, PARAMETER, w->rows, w->cols, NULL);
        spy.replacement->wants_grad = true;
        const struct seams seams = { .self = &spy, .weight = see_weight };
        const struct seams *const list[] = { &seams };
        struct graph *g = new_graph(s, true);
        struct pass p = pass_new(g, model, list, 1, NULL, true);
        struct tensor *hidden = decoder(&p);
        struct head_loss loss = decoder_loss(&p, hidden, graph_input(g, "labels", I32, SELECTED, 0, 1), graph_input(g, "weight", F32, FIXED, 1, 1));
        assert_int_equal(g->error.code, OK);
        assert_true(loss.loss->wants_grad);
        assert_true(hidden->wants_grad == (w != model->head));
    }
}

static struct low_rank add_to_the_head(void *self, struct pass *p, struct tensor *hidden)
{
    struct low_rank *update = self;
    (void)p;
    update->u = linear(p->g, hidden, update->u, NULL, NULL, 1);
    return *update;
}

static struct low_rank factors(struct scratch *s, const struct model *model)
{
    struct low_rank f = { tensor_new(s->arena, "a", F32, PARAMETER, 3, model->config.width, NULL),
                          tensor_new(s->arena, "b", F32, PARAMETER, model->config.vocab, 3, NULL) };
    f.u->wants_grad = f.v->wants_grad = true;
    return f;
}

static void an_update_of_the_head_is_part_of_logits_and_loss(void **state)
{
    struct scratch *s = *state;
    struct model *model = described(s, false);
    for (int fused = 0; fused < 2; fused++) {
        struct low_rank update = factors(s, model);
        const struct seams seams = { .self = &update, .head = add_to_the_head };
        const struct seams *const list[] = { &seams };
        struct graph *g = new_graph(s, true);
        struct pass p = pass_new(g, model, list, 1, NULL, true);
        struct tensor *hidden = decoder(&p), *labels = graph_input(g, "labels", I32, SELECTED, 0, 1), *weight = graph_input(g, "weight", F32, FIXED, 1, 1);
        struct tensor *result = fused ? decoder_loss(&p, hidden, labels, weight).loss : decoder_logits(&p, hidden);
        assert_int_equal(g->error.code, OK);
        assert_true(!hidden->wants_grad && result->wants_grad);
    }
}

static void two_updates_of_the_head_are_refused(void **state)
{
    struct scratch *s = *state;
    struct model *model = described(s, false);
    struct low_rank one = factors(s, model), other = factors(s, model);
    const struct seams both[2] = { { .self = &one, .head = add_to_the_head }, { .self = &other, .head = add_to_the_head } };
    const struct seams *const list[] = { &both[0], &both[1] };
    struct graph *g = new_graph(s, true);
    struct pass p = pass_new(g, model, list, 2, NULL, true);
    decoder_logits(&p, decoder(&p));
    assert_int_not_equal(g->error.code, OK);
    assert_holds(g->error.what, "two adapters add to the output of lm_head");
}

static void a_frozen_model_wants_no_gradient(void **state)
{
    struct scratch *s = *state;
    struct model *model = described(s, false);
    struct graph *g = new_graph(s, true);
    struct pass p = pass_new(g, model, NULL, 0, NULL, true);
    struct tensor *hidden = decoder(&p);
    assert_int_equal(g->error.code, OK);
    assert_false(hidden->wants_grad);
}

static void each_block_is_one_segment_and_the_rest_is_none(void **state)
{
    struct scratch *s = *state;
    struct model *model = described(s, false);
    struct graph *g = new_graph(s, true);
    struct pass p = pass_new(g, model, NULL, 0, NULL, true);
    decoder_logits(&p, decoder(&p));
    int before = 0, highest = 0;
    for (int i = 0; i < g->nodes; i++) {
        int segment = g->node[i]->segment;
        assert_true(segment == before || segment == before + 1 || segment == 0);
        highest = segment > highest ? segment : highest;
        before = segment;
    }
    assert_int_equal(g->node[0]->segment, 0);
    assert_int_equal(g->node[g->nodes - 1]->segment, 0);
    assert_int_equal(highest, model->config.layers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(every_linear_layer_and_weight_is_offered_once_in_order),
        SCRATCH_TEST(a_tied_embedding_is_asked_for_at_both_ends),
        SCRATCH_TEST(a_trained_copy_of_any_weight_takes_its_place),
        SCRATCH_TEST(an_update_of_the_head_is_part_of_logits_and_loss),
        SCRATCH_TEST(two_updates_of_the_head_are_refused),
        SCRATCH_TEST(a_frozen_model_wants_no_gradient),
        SCRATCH_TEST(each_block_is_one_segment_and_the_rest_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
