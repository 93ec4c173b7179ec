/* Every method on models of every sort, and what is fed to them. */
#ifndef GRAFT_TESTS_ADAPTERS_EVERY_H
#define GRAFT_TESTS_ADAPTERS_EVERY_H

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
static const struct batch trained = { .sequences = 2, .ids = { ids, ids + 4 }, .labels = { labels, labels + 4 }, .length = { 13, 7 } };

static inline struct adapter *started(struct scratch *s, const struct model *model, struct device *device, const char *yaml)
{
    struct adapter *adapter;
    assert_fine(s, small_adapter(s, &adapter, model, yaml));
    assert_fine(s, adapter_start(adapter, s->arena, model, device, true, 7, &s->err));
    return adapter;
}

/* Runs check on every model and kind. */
static inline void for_each_kind(void **state,
                                 void (*check)(struct scratch *s, const struct model *model, struct device *device, const char *yaml, double tolerance))
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

static inline void expect_near(const char *yaml, const float *values, const float *expected, int64_t count, double tolerance)
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

#endif
