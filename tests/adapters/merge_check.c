/* Folding is held against what the adapter computes: it agrees for every option, and an adapter so small that bfloat16 hides it would still be missed. */
#include "adapters/merge.h"
#include "common/random.h"
#include "tests/adapters/records.h"

static const char *const kinds[] = {
    "target_modules: all-linear",
    "target_modules: all-linear, use_rslora: true, r: 3",
    "target_modules: all-linear, use_dora: true",
    "target_modules: [q_proj, k_proj, v_proj], bias: all",
    "target_modules: [q_proj, k_proj, v_proj], lora_bias: true",
    "target_modules: [q_proj, lm_head, embed_tokens]",
    "target_modules: [q_proj], trainable_token_indices: {embed_tokens: [3, 60], lm_head: [5]}",
    "target_modules: [q_proj], trainable_token_indices: [0, 66]",
    "target_modules: [q_proj], modules_to_save: [lm_head, embed_tokens, norm, input_layernorm, up_proj]",
};

/* Moves every value by about `size`, so that updates are of that order too. */
static void disturb(struct scratch *s, struct device *device, const struct adapter *adapter, float size)
{
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        struct tensor *t = adapter->parameters->tensor[i];
        float *values = NEW_ARRAY(s->arena, t->rows * t->cols, float);
        tensor_download(device, t, values);
        for (int64_t k = 0; k < t->rows * t->cols; k++)
            values[k] += size * random_normal(5, (uint64_t)i, (uint64_t)k);
        tensor_upload(device, t, values);
    }
}

static void check_model(struct scratch *s, const char *name)
{
    static const float sizes[] = { 1e-4F, 1e-2F, 1 };
    struct model model;
    struct device device;
    record_model(s, &model, &device, name, F32);
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            struct adapter *adapter;
            assert_fine(s, small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: LORA, lora_alpha: 3, %s}", kinds[k])));
            assert_fine(s, adapter_start(adapter, s->arena, &model, &device, false, 3, &s->err));
            disturb(s, &device, adapter, sizes[i]);
            assert_fine(s, merge_check(adapter, s->arena, &model, &s->err));
            adapter_release(adapter);
        }
    model_release(&model);
    device_close(&device);
}

static void what_is_folded_is_what_the_adapter_computes(void **state)
{
    check_model(*state, "llama_biases");
}

static void a_tied_head_is_folded_apart_from_its_embedding(void **state)
{
    check_model(*state, "qwen2_tied");
}

int main(void)
{
    const struct CMUnitTest tests[] = { SCRATCH_TEST(what_is_folded_is_what_the_adapter_computes),
                                        SCRATCH_TEST(a_tied_head_is_folded_apart_from_its_embedding) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
