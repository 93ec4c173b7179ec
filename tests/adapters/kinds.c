/* What holds for every method: a walk through a cache says what one walk says, sequences do not see each other, planning changes no bit of a gradient, and an
 * adapter comes back from its folder as it was, for use and for training. */
#include "models/family.h"
#include "tests/adapters/records.h"
#include "tests/adapters/walk.h"

#include <math.h>

static const char *const kinds[] = {
    "{peft_type: LORA, init_lora_weights: false, target_modules: all-linear, lora_dropout: 0.2}",
    "{peft_type: LORA, init_lora_weights: false, target_modules: all-linear, use_dora: true, use_rslora: true}",
    "{peft_type: LORA, init_lora_weights: false, target_modules: [embed_tokens, v_proj]}",
    "{peft_type: LORA, init_lora_weights: false, target_modules: [q_proj, down_proj], trainable_token_indices: [5, 17, 33]}",
    "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}",
    "{peft_type: PREFIX_TUNING, num_virtual_tokens: 9, init_weights: zero}",
    "{peft_type: PREFIX_TUNING, num_virtual_tokens: 3, prefix_projection: true, encoder_hidden_size: 11}",
    "{peft_type: PROMPT_TUNING, num_virtual_tokens: 4}",
    "{peft_type: PROMPT_TUNING, num_virtual_tokens: 6, prompt_tuning_init: SAMPLE_VOCAB}",
    "{peft_type: P_TUNING, num_virtual_tokens: 3, encoder_hidden_size: 10}",
    "{peft_type: P_TUNING, num_virtual_tokens: 5, encoder_reparameterization_type: LSTM, encoder_hidden_size: 6, encoder_dropout: 0.3}",
};

/* MHA; GQA with a sliding window; biases, tied; GQA in bf16, tied; then every other way to place positions, heads and fused layers. */
static const struct {
    const char *name;
    enum dtype dtype;
    double tolerance;
} models[] = {
    { "llama_mha", F32, 1e-5 },
    { "mistral_window", F32, 1e-5 },
    { "qwen2_tied", F32, 1e-5 },
    { "llama_gqa_tied", BF16, 0x1p-6 },
    { "gpt_neox_parallel", F32, 1e-5 },
    { "gpt2_plain", F32, 1e-5 },
    { "bloom_heads_3", F32, 1e-5 },
    { "falcon_multi_query", F32, 1e-5 },
    { "falcon_new", F32, 1e-5 },
    { "falcon_rw", F32, 1e-5 },
    { "gpt_bigcode_multi_query", F32, 1e-5 },
    { "mpt_heads_3", F32, 1e-5 },
    { "codegen_heads_4", F32, 1e-5 },
    { "gptj_plain", F32, 1e-5 },
};

/* A kind that names Llama's layers is for models that have them; some models have no keys that a prefix would fit. */
static bool fits(const struct model *model, const char *yaml)
{
    const bool named = strstr(yaml, "q_proj") || strstr(yaml, "v_proj"), prefix = strstr(yaml, "PREFIX");
    return !(named && !text_starts(model->tensor[0]->name, "model.")) && !(prefix && model->config.shape.keys_spread);
}

static const int32_t ids[] = { 3, 17, 42, 5, 5, 60, 33, 8, 21, 2, 54, 9, 30 };
static const int32_t labels[] = { 3, 17, -100, 5, 5, 60, 33, -100, 21, 2, 54, -100, 30 };
static const struct batch shown = { .sequences = 2, .ids = { ids, ids + 4 }, .length = { 13, 7 } };
static const struct batch trained = { .sequences = 2, .ids = { ids, ids + 4 }, .labels = { labels, labels + 4 }, .length = { 13, 7 } };

static struct adapter *started(struct scratch *s, const struct model *model, struct device *device, const char *yaml)
{
    struct adapter *adapter;
    assert_fine(s, small_adapter(s, &adapter, model, yaml));
    assert_fine(s, adapter_start(adapter, s->arena, model, device, true, 7, &s->err));
    return adapter;
}

/* Runs check on every model and kind. */
static void for_each_kind(void **state, void (*check)(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance))
{
    struct scratch *s = *state;
    for (size_t m = 0; m < COUNT(models); m++) {
        struct model model;
        struct device device;
        record_model(s, &model, &device, models[m].name, models[m].dtype);
        for (size_t k = 0; k < COUNT(kinds); k++)
            if (fits(&model, kinds[k]))
                check(s, &model, &device, kinds[k], models[m].tolerance);
        model_release(&model);
        device_close(&device);
    }
}

static void expect_near(const char *yaml, const float *values, const float *expected, int64_t count, double tolerance)
{
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        assert_true(isfinite(values[i]));
        largest = fmax(largest, fabs((double)expected[i]));
        worst = fmax(worst, fabs((double)values[i] - (double)expected[i]));
    }
    if (!(worst <= tolerance * largest))
        fail_msg("%s: off by %g of the largest", yaml, worst / largest);
}

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

/* A product of other rows is cut into other tiles, so what is packed differs from the sum of its parts by rounding. A sequence alone draws the dropout of its
 * rows in the packed batch. */
static void check_packing(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    struct adapter *adapter = started(s, model, device, yaml);
    const int64_t count = adapter->parameters->count, selected = lay_out(s->arena, &trained, model, adapter).selected;
    float *sum = NEW_ARRAY(s->arena, count, float), loss = 0;
    int32_t row = 0;
    for (int i = 0; i < trained.sequences; i++) {
        const struct batch alone = { 1, { trained.ids[i] }, { trained.labels[i] }, { trained.length[i] }, row, 1 / (float)selected };
        loss += walk_loss(s, model, adapter, &alone, false);
        for (int64_t k = 0; k < count; k++)
            sum[k] += ((const float *)adapter->parameters->grad->data)[k];
        row += (int32_t)(adapter->seams.virtual_tokens + trained.length[i]);
    }
    const float packed = walk_loss(s, model, adapter, &trained, false);
    expect_near(yaml, &packed, &loss, 1, 1e-6);
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        const struct tensor *t = adapter->parameters->tensor[i];
        const float *grad = t->grad->data;
        expect_near(yaml, grad, sum + (grad - (const float *)adapter->parameters->grad->data), t->rows * t->cols, tolerance);
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
/* Measured: 4.6e-6 of the largest value in f32 (falcon_multi_query), 4.3e-7 in bf16. */
static void check_packing_of_kind(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    check_packing(s, model, device, yaml, fmin(tolerance, 1e-5));
}
static void a_packed_batch_is_the_sum_of_its_sequences(void **state)
{
    for_each_kind(state, check_packing_of_kind);
}
/* Every recorded model, of every family, with a method of each sort. Measured: 2.3e-5 of the largest value (gemma_plain, LoRA), 1.4e-5 (llama_yarn_mscale),
 * else 5.0e-6. */
static void in_every_family_a_packed_batch_is_the_sum_of_its_sequences(void **state)
{
    static const char *const sorts[] = { "{peft_type: LORA, init_lora_weights: false, target_modules: all-linear, lora_dropout: 0.2}",
                                         "{peft_type: PREFIX_TUNING, num_virtual_tokens: 5}", "{peft_type: PROMPT_TUNING, num_virtual_tokens: 4}" };
    struct scratch *s = *state;
    bool seen[64] = { false };
    int count;
    const char **name = record_names(s, &count);
    for (int i = 0; i < count; i++) {
        struct model model;
        struct device device;
        if (!folder_exists(arena_print(s->arena, RECORDS "/%s/model", name[i])))
            continue;
        record_model(s, &model, &device, name[i], F32);
        for (size_t k = 0; k < COUNT(sorts); k++)
            if (fits(&model, sorts[k]))
                check_packing(s, &model, &device, sorts[k], 5e-5);
        for (int f = 0; family_names()[f]; f++)
            seen[f] |= strcmp(family_names()[f], model.config.model_type) == 0;
        model_release(&model);
        device_close(&device);
    }
    for (int f = 0; family_names()[f]; f++)
        assert_true(seen[f]);
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
        SCRATCH_TEST(a_packed_batch_is_the_sum_of_its_sequences),
        SCRATCH_TEST(in_every_family_a_packed_batch_is_the_sum_of_its_sequences),
        SCRATCH_TEST(planning_changes_no_bit_of_a_gradient),
        SCRATCH_TEST(a_folder_gives_back_what_was_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
