/* What holds for every method: a walk through a cache says what one walk says, sequences do not see each other, planning changes no bit of a gradient, and an
 * adapter comes back from its folder as it was, for use and for training. */
#include "tests/adapters/every.h"

static const struct batch shown = { .sequences = 2, .ids = { ids, ids + 4 }, .length = { 13, 7 } };

/* Rows [from, from + count) of the first sequence, virtual tokens included, through a cache; logits of them all. */
static const float *feed(struct scratch *s, struct program *program, const struct pass *p, const struct tensor *logits, const struct laid_out *l, int32_t from,
                         int32_t count)
{
    struct device *device = p->model->device;
    int32_t *numbers = NEW_ARRAY(s->arena, from + count, int32_t);
    for (int32_t i = 0; i < from + count; i++)
        numbers[i] = i;
    program_resize(program, ROWS, count);
    program_resize(program, SELECTED, count);
    tensor_upload(device, p->ids, l->ids + from);
    tensor_upload(device, p->positions, l->positions + from);
    tensor_upload(device, p->slots, numbers + from);
    tensor_upload(device, p->selected, numbers);
    tensor_upload(device, p->spans, (int32_t[]){ 0, count, 0, from + count });
    assert_fine(s, program_run(program, device));
    float *values = arena_alloc(s->arena, tensor_bytes(logits));
    tensor_download(device, logits, values);
    return values;
}

static void check_cache(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    static const struct batch one = { .sequences = 1, .ids = { ids }, .length = { COUNT(ids) } };
    struct adapter *adapter = started(s, model, device, yaml);
    const struct laid_out l = lay_out(s->arena, &one, model, adapter);
    const int32_t in_front = (int32_t)adapter->seams.virtual_tokens, rows = (int32_t)l.rows, first = in_front + 6;
    const int64_t vocab = model->config.vocab;
    const float *expected = walk_logits(s, model, adapter, &one, false);
    struct kv_cache cache;
    struct program *program;
    assert_fine(s, kv_cache_create(&cache, s->arena, model, rows, device, &s->err));
    struct graph *g = graph_new(s->arena, (int64_t[EXTENTS]){ [ROWS] = rows, [SELECTED] = rows, [SEQUENCES] = 1 }, false);
    struct pass p = pass_new(g, model, (const struct seams *[]){ &adapter->seams }, 1, &cache, false);
    struct tensor *logits = graph_keep(g, decoder_logits(&p, decoder(&p)));
    assert_fine(s, plan(&program, g, NULL, (struct plan_options){ .threads = 1 }, &s->err));
    program_bind(program, arena_alloc(s->arena, program->arena_bytes));
    expect_near(yaml, feed(s, program, &p, logits, &l, 0, first) + in_front * vocab, expected, 6 * vocab, tolerance);
    for (int32_t row = first; row < rows; row++)
        expect_near(yaml, feed(s, program, &p, logits, &l, row, 1), expected + (row - in_front) * vocab, vocab, tolerance);
    kv_cache_destroy(&cache);
    adapter_release(adapter);
}

static void check_neighbours(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    struct adapter *adapter = started(s, model, device, yaml);
    const float *together = walk_logits(s, model, adapter, &shown, false);
    for (int i = 0; i < shown.sequences; i++) {
        const struct batch alone = { .sequences = 1, .ids = { shown.ids[i] }, .length = { shown.length[i] } };
        const int64_t count = shown.length[i] * model->config.vocab;
        expect_near(yaml, together, walk_logits(s, model, adapter, &alone, false), count, tolerance);
        together += count;
    }
    adapter_release(adapter);
}

static void check_planning(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    static const struct plan_options plans[] = {
        { .threads = 1, .keep = true }, { .threads = 1 }, { .threads = 1, .recompute = true }, { .threads = 1, .separate = true }
    };
    struct adapter *adapter = started(s, model, device, yaml);
    const size_t bytes = tensor_bytes(adapter->parameters->grad);
    void *expected = arena_alloc(s->arena, bytes);
    (void)tolerance;
    for (size_t i = 0; i < COUNT(plans); i++) {
        assert_true(isfinite(walk_loss_with(s, model, adapter, &trained, plans[i])));
        if (i == 0)
            memcpy(expected, adapter->parameters->grad->data, bytes);
        assert_memory_equal(adapter->parameters->grad->data, expected, bytes);
    }
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        const struct tensor *t = adapter->parameters->tensor[i];
        bool moves = false;
        for (int64_t k = 0; k < t->rows * t->cols; k++)
            moves |= ((const float *)t->grad->data)[k] != 0;
        assert_true(moves);
    }
    adapter_release(adapter);
}

static void check_folder(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    struct adapter *adapter = started(s, model, device, yaml), *used, *further;
    const char *folder = scratch_path(s, "saved");
    const size_t bytes = (size_t)(20 * model->config.vocab) * sizeof(float);
    char before[65], after[65];
    (void)tolerance;
    const float *expected = walk_logits(s, model, adapter, &shown, false);
    assert_fine(s, adapter_save(adapter, s->arena, model, folder, &s->err));
    assert_fine(s, adapter_load(&used, s->arena, folder, model, device, &s->err));
    assert_memory_equal(walk_logits(s, model, used, &shown, false), expected, bytes);
    assert_int_equal(used->encodes, false);
    assert_fine(s, small_adapter(s, &further, model, arena_print(s->arena, "{init_from: %s}", folder)));
    assert_fine(s, adapter_start(further, s->arena, model, device, true, 0, &s->err));
    assert_fine(s, adapter_hash(adapter, before, &s->err));
    assert_fine(s, adapter_hash(further, after, &s->err));
    assert_string_equal(before, after);
    adapter_release(adapter), adapter_release(used), adapter_release(further);
}

static void a_cache_says_what_one_walk_says(void **state)
{
    for_each_kind(state, check_cache);
}
static void sequences_do_not_see_each_other(void **state)
{
    for_each_kind(state, check_neighbours);
}
static void planning_changes_no_bit_of_a_gradient(void **state)
{
    for_each_kind(state, check_planning);
}
static void a_folder_gives_back_what_was_saved(void **state)
{
    for_each_kind(state, check_folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_cache_says_what_one_walk_says),
        SCRATCH_TEST(sequences_do_not_see_each_other),
        SCRATCH_TEST(planning_changes_no_bit_of_a_gradient),
        SCRATCH_TEST(a_folder_gives_back_what_was_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
