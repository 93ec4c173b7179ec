/* A packed batch is the sum of its sequences.
 *
 * The idea to hold: a product of other rows is cut into other tiles, so with fast products the two differ by rounding. This file is therefore built twice: as
 * it is, and with products that sum every element in one order (tests/in_order), where what is left is that one sum over all rows is not two sums added, and
 * where a neighbour that is not trained changes no bit.
 */
#include "models/family.h"
#include "tests/adapters/every.h"

/* Of the largest value of a gradient. */
#ifdef PRODUCTS_IN_ORDER
enum { IN_ORDER = true };
static const double tolerance_of_kinds = 1e-6, tolerance_of_families = 1e-6; /* measured: 8.8e-7, 2.7e-7 */
#else
enum { IN_ORDER = false };
static const double tolerance_of_kinds = 1e-5;    /* measured: 4.6e-6 in f32 (falcon_multi_query), 4.3e-7 in bf16 */
static const double tolerance_of_families = 5e-5; /* measured: 2.3e-5 (gemma_plain, LoRA), 1.4e-5 (llama_yarn_mscale), else 5.0e-6 */
#endif

/* Sequence i of what is trained, as it is when it is alone: it draws the dropout of its rows in the packed batch. */
static struct batch alone(int i, int32_t row, float weight)
{
    return (struct batch){ 1, { trained.ids[i] }, { trained.labels[i] }, { trained.length[i] }, row, weight };
}

static void expect_the_sum(struct scratch *s, const struct model *model, struct adapter *adapter, const char *yaml, double tolerance)
{
    const int64_t count = adapter->parameters->count, selected = lay_out(s->arena, &trained, model, adapter).selected;
    const float *all = adapter->parameters->grad->data;
    float *sum = NEW_ARRAY(s->arena, count, float), loss = 0;
    int32_t row = 0;
    for (int i = 0; i < trained.sequences; i++) {
        const struct batch one = alone(i, row, 1 / (float)selected);
        loss += walk_loss(s, model, adapter, &one, false);
        for (int64_t k = 0; k < count; k++)
            sum[k] += all[k];
        row += (int32_t)(adapter->seams.virtual_tokens + trained.length[i]);
    }
    const float packed = walk_loss(s, model, adapter, &trained, false);
    expect_near(yaml, &packed, &loss, 1, 1e-6);
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        const struct tensor *t = adapter->parameters->tensor[i];
        const float *grad = t->grad->data;
        expect_near(yaml, grad, sum + (grad - all), t->rows * t->cols, tolerance);
    }
}

/* Beside a neighbour without labels, whose gradients are zeros. */
static void expect_the_same_bits(struct scratch *s, const struct model *model, struct adapter *adapter, const char *yaml)
{
    static const int32_t untrained[] = { -100, -100, -100, -100, -100, -100, -100, -100, -100, -100, -100, -100, -100 };
    const int64_t count = adapter->parameters->count;
    const float *gradient = adapter->parameters->grad->data;
    float *packed = NEW_ARRAY(s->arena, count, float);
    int32_t row = 0;
    for (int i = 0; i < trained.sequences; i++) {
        struct batch beside = trained;
        beside.labels[1 - i] = untrained;
        beside.weight = 0.25F;
        const float loss = walk_loss(s, model, adapter, &beside, false);
        memcpy(packed, gradient, (size_t)count * sizeof *packed);
        const struct batch one = alone(i, row, beside.weight);
        assert_true(walk_loss(s, model, adapter, &one, false) == loss);
        for (int64_t k = 0; k < count; k++)
            if (gradient[k] != packed[k])
                fail_msg("%s: a neighbour moves gradient %lld from %.9g to %.9g", yaml, (long long)k, (double)gradient[k], (double)packed[k]);
        row += (int32_t)(adapter->seams.virtual_tokens + trained.length[i]);
    }
}

static void check_packing(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    struct adapter *adapter = started(s, model, device, yaml);
    expect_the_sum(s, model, adapter, yaml, tolerance);
    if (IN_ORDER)
        expect_the_same_bits(s, model, adapter, yaml);
    adapter_release(adapter);
}

static void check_kind(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance)
{
    (void)tolerance;
    check_packing(s, model, device, yaml, tolerance_of_kinds);
}

static void with_every_method_a_packed_batch_is_the_sum_of_its_sequences(void **state)
{
    for_each_kind(state, check_kind);
}

/* Every recorded model, of every family, with a method of each sort. */
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
                check_packing(s, &model, &device, sorts[k], tolerance_of_families);
        for (int f = 0; family_names()[f]; f++)
            seen[f] |= strcmp(family_names()[f], model.config.model_type) == 0;
        model_release(&model);
        device_close(&device);
    }
    for (int f = 0; family_names()[f]; f++)
        assert_true(seen[f]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(with_every_method_a_packed_batch_is_the_sum_of_its_sequences),
        SCRATCH_TEST(in_every_family_a_packed_batch_is_the_sum_of_its_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
