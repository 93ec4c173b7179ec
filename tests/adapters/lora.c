/* LoRA: sizes, starts, that a fresh adapter is the base model to the bit, and values and gradients against those recorded from transformers and PEFT. */
#include "adapters/lora.h"
#include "common/json.h"
#include "tests/adapters/records.h"
#include "tests/adapters/walk.h"

#include <math.h>

static const struct {
    const char *config, *yaml;
    int64_t values;
} sizes[] = {
#define LLAMA_2_7B                                                                                                                                             \
    "'model_type': 'llama', 'vocab_size': 32000, 'hidden_size': 4096, 'intermediate_size': 11008, 'num_hidden_layers': 32, 'num_attention_heads': 32"
#define LLAMA_3_8B                                                                                                                                             \
    "'model_type': 'llama', 'vocab_size': 128256, 'hidden_size': 4096, 'intermediate_size': 14336, 'num_hidden_layers': 32, 'num_attention_heads': 32, "       \
    "'num_key_value_heads': 8"
#define QWEN2_7B                                                                                                                                               \
    "'model_type': 'qwen2', 'vocab_size': 152064, 'hidden_size': 3584, 'intermediate_size': 18944, 'num_hidden_layers': 28, 'num_attention_heads': 28, "       \
    "'num_key_value_heads': 4"
    { LLAMA_2_7B, "", 4194304 },
    { LLAMA_3_8B, "", 3407872 },
    { QWEN2_7B, "", 2523136 },
    { LLAMA_2_7B, "r: 16, target_modules: all-linear", 39976960 },
    { LLAMA_2_7B, "use_dora: true", 4194304 + 64 * 4096 },
    { LLAMA_2_7B, "lora_bias: true", 4194304 + 64 * 4096 },
    { LLAMA_3_8B, "use_dora: true", 3407872 + 32 * (4096 + 1024) },
    { LLAMA_2_7B, "target_modules: [q_proj, v_proj, embed_tokens]", 4194304 + 8 * (32000 + 4096) },
    { LLAMA_2_7B, "target_modules: [q_proj, v_proj, lm_head]", 4194304 + 8 * (32000 + 4096) },
    { LLAMA_2_7B ", 'tie_word_embeddings': true", "target_modules: [q_proj, v_proj, lm_head]", 4194304 + 8 * (32000 + 4096) },
    { LLAMA_2_7B, "trainable_token_indices: [5, 6, 7]", 4194304 + 3 * 4096 },
    { LLAMA_2_7B, "trainable_token_indices: {embed_tokens: [5, 6], lm_head: [1]}", 4194304 + 3 * 4096 },
    { LLAMA_2_7B ", 'tie_word_embeddings': true", "trainable_token_indices: {embed_tokens: [5, 6], lm_head: [5, 6]}", 4194304 + 2 * 4096 },
    { LLAMA_2_7B, "modules_to_save: [lm_head]", 4194304 + 32000LL * 4096 },
    { LLAMA_2_7B, "modules_to_save: [norm]", 4194304 + 65 * 4096 },
    { QWEN2_7B, "bias: all", 2523136 + 28 * (3584 + 512 + 512) },
    { QWEN2_7B, "bias: lora_only", 2523136 + 28 * (3584 + 512) },
    { QWEN2_7B, "bias: all, modules_to_save: [k_proj]", 2523136 + 28 * (3584 + 512 + 512 + 3584 * 512) },
    { QWEN2_7B ", 'tie_word_embeddings': true", "modules_to_save: [lm_head, embed_tokens]", 2523136 + 2 * 152064LL * 3584 },
};

static void parameters_are_counted_as_in_peft(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct model model;
        struct adapter *adapter;
        described_model(s, &model, arena_print(s->arena, "{%s}", sizes[i].config));
        assert_fine(s, small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: LORA, %s}", sizes[i].yaml)));
        assert_int_equal(parameters_size(adapter->parameters), sizes[i].values);
    }
}

#define PYTHIA_70M "'model_type': 'gpt_neox', 'vocab_size': 50304, 'hidden_size': 512, 'num_hidden_layers': 6, 'num_attention_heads': 8"

/* transformers 5 calls lm_head what it called embed_out before, and adapters of both times are about. */
static void the_head_of_gpt_neox_is_known_by_both_names(void **state)
{
    static const char *const yaml[] = { "target_modules: [lm_head]", "target_modules: [embed_out]", "modules_to_save: [embed_out], target_modules: [dense]",
                                        "trainable_token_indices: {embed_out: [5]}" };
    static const char *const key[] = { "lora_A.weight", "lora_A.weight", "weight", "token_adapter.trainable_tokens_delta" };
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    described_model(s, &model, arena_print(s->arena, "{%s}", PYTHIA_70M));
    for (size_t i = 0; i < COUNT(yaml); i++) {
        assert_fine(s, small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: LORA, %s}", yaml[i])));
        const char *now = arena_print(s->arena, "base_model.model.lm_head.%s", key[i]), *then = arena_print(s->arena, "base_model.model.embed_out.%s", key[i]);
        assert_non_null(parameters_find(adapter->parameters, now));
        assert_string_equal(adapter->kind->rename(adapter, s->arena, then), now);
    }
}

static void rows_of_a_head_with_a_bias_are_refused(void **state)
{
    static const char *const config[] = { "", ", 'tie_word_embeddings': true" }, *const yaml[] = { "{lm_head: [5]}", "[5]" };
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    for (size_t i = 0; i < COUNT(config); i++) {
        described_model(s, &model, arena_print(s->arena, "{'model_type': 'gptj', 'n_embd': 64, 'n_layer': 1, 'n_head': 1%s}", config[i]));
        assert_int_equal(small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: LORA, trainable_token_indices: %s}", yaml[i])), BAD_CONFIG);
        assert_holds(s->err.what, "lm_head has a bias");
        s->err = (struct error){ 0 };
    }
}

static void parameters_are_named_by_the_keys_of_peft(void **state)
{
    static const char *const keys[] = {
        "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight",
        "base_model.model.model.layers.1.self_attn.q_proj.base_layer.bias",
        "base_model.model.model.layers.1.self_attn.k_proj.bias",
        "base_model.model.model.norm.weight",
        "base_model.model.lm_head.weight",
    };
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    small_model(s, &model, ", 'attention_bias': true, 'tie_word_embeddings': true");
    assert_fine(s, small_adapter(s, &adapter, &model,
                                 "{peft_type: LORA, target_modules: [q_proj], layers_to_transform: 1, bias: all, modules_to_save: [model.norm, lm_head]}"));
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_non_null(parameters_find(adapter->parameters, keys[i]));
    assert_int_equal(adapter->parameters->tensors, 2 + 12 + 1 + 1);
    assert_null(parameters_find(adapter->parameters, "base_model.model.model.layers.1.self_attn.q_proj.bias"));
}

/* ---- starts ---- */

static struct adapter *started(struct scratch *s, struct model *model, struct device *device, const char *yaml, uint64_t seed)
{
    struct adapter *adapter;
    assert_fine(s, small_adapter(s, &adapter, model, arena_print(s->arena, "{peft_type: LORA, %s}", yaml)));
    assert_fine(s, adapter_start(adapter, s->arena, model, device, false, seed, &s->err));
    return adapter;
}

struct spread {
    double mean, deviation, largest;
};

static struct spread spread_of(const struct tensor *t)
{
    const float *values = t->data;
    const int64_t count = t->rows * t->cols;
    double sum = 0, squares = 0, largest = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i], squares += (double)values[i] * (double)values[i], largest = fmax(largest, fabs((double)values[i]));
    return (struct spread){ sum / (double)count, sqrt(squares / (double)count), largest };
}

static void wide_model(struct scratch *s, struct model *model, struct device *device)
{
    described_model(s, model,
                    arena_print(s->arena, "{'model_type': 'llama', 'vocab_size': 32, 'hidden_size': 256, 'intermediate_size': 384,"
                                          " 'num_hidden_layers': 2, 'num_attention_heads': 4}"));
    assert_fine(s, device_open(device, "cpu", 1, &s->err));
    model->device = device;
}

#define UNIFORM(bound) (bound) / 1.7320508075688772, (bound)
static const struct {
    const char *yaml;
    double a_deviation, a_bound, b_deviation, b_bound; /* bound 0: none */
} starts[] = {
    { "r: 16, init_lora_weights: true", UNIFORM(1.0 / 16), 0, 0 },
    { "r: 16, init_lora_weights: false", UNIFORM(1.0 / 16), UNIFORM(1.0 / 4) },
    { "r: 16, init_lora_weights: gaussian", 1.0 / 16, 0, 0, 0 },
    { "r: 16, init_lora_weights: orthogonal", 0.0707, 0, 0.0707, 0 }, /* each value is the sum of 8 of 16 orthonormal numbers times normal ones, / 10 */
};

static void starts_have_the_spread_of_peft(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    wide_model(s, &model, &device);
    for (size_t i = 0; i < COUNT(starts); i++) {
        struct adapter *adapter = started(s, &model, &device, starts[i].yaml, 5);
        const struct lora *lora = adapter->state;
        for (int m = 0; m < lora->modules; m++) {
            const struct spread a = spread_of(lora->module[m].a), b = spread_of(lora->module[m].b);
            assert_true(fabs(a.mean) < 0.06 * a.deviation && fabs(b.mean) <= 0.06 * b.deviation);
            assert_true(fabs(a.deviation - starts[i].a_deviation) < 0.06 * starts[i].a_deviation);
            assert_true(fabs(b.deviation - starts[i].b_deviation) <= 0.06 * starts[i].b_deviation);
            assert_true(starts[i].a_bound == 0 || (a.largest <= starts[i].a_bound && a.largest > 0.99 * starts[i].a_bound));
            assert_true(starts[i].b_bound == 0 || (b.largest <= starts[i].b_bound && b.largest > 0.99 * starts[i].b_bound));
        }
        adapter_release(adapter);
    }
    device_close(&device);
}

static void an_orthogonal_start_has_a_product_of_zero(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    wide_model(s, &model, &device);
    struct adapter *adapter = started(s, &model, &device, "r: 6, init_lora_weights: orthogonal, rank_pattern: {v_proj: 2}", 9);
    const struct lora *lora = adapter->state;
    for (int m = 0; m < lora->modules; m++) {
        const struct lora_module *l = &lora->module[m];
        const float *a = l->a->data, *b = l->b->data;
        for (int64_t i = 0; i < l->b->rows; i++)
            for (int64_t j = 0; j < l->a->cols; j++) {
                double sum = 0;
                for (int64_t k = 0; k < l->rank; k++)
                    sum += (double)b[i * l->rank + k] * (double)a[k * l->a->cols + j];
                assert_true(fabs(sum) < 1e-7);
            }
    }
    adapter_release(adapter);
    device_close(&device);
}

static bool same_values(const struct adapter *one, const struct adapter *other, const char *key)
{
    const struct tensor *a = parameters_find(one->parameters, key), *b = parameters_find(other->parameters, key);
    return memcmp(a->data, b->data, tensor_bytes(a)) == 0;
}

static void equal_seeds_give_equal_starts_whatever_else_is_trained(void **state)
{
    static const char key[] = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight";
    static const char other_key[] = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    struct scratch *s = *state;
    struct model model;
    struct device device;
    char hash[3][65];
    wide_model(s, &model, &device);
    struct adapter *one = started(s, &model, &device, "target_modules: [q_proj]", 5), *again = started(s, &model, &device, "target_modules: [q_proj]", 5),
                   *more = started(s, &model, &device, "target_modules: all-linear", 5), *other = started(s, &model, &device, "target_modules: [q_proj]", 6);
    assert_fine(s, adapter_hash(one, hash[0], &s->err));
    assert_fine(s, adapter_hash(again, hash[1], &s->err));
    assert_fine(s, adapter_hash(other, hash[2], &s->err));
    assert_string_equal(hash[0], hash[1]);
    assert_string_not_equal(hash[0], hash[2]);
    assert_true(same_values(one, more, key));
    assert_false(same_values(one, other, key));
    const struct tensor *a = parameters_find(one->parameters, key), *b = parameters_find(one->parameters, other_key);
    assert_memory_not_equal(a->data, b->data, tensor_bytes(a));
    adapter_release(one), adapter_release(again), adapter_release(more), adapter_release(other);
    device_close(&device);
}

/* ---- through the model ---- */

static const int32_t some_ids[] = { 3, 17, 42, 5, 5, 60, 33, 8, 21, 2, 54 };
static const int32_t some_labels[] = { 3, 17, -100, 5, 5, 60, 33, -100, 21, 2, 54 };
static const struct batch some = {
    .sequences = 2,
    .ids = { some_ids, some_ids + 4 },
    .labels = { NULL, NULL },
    .length = { 11, 7 },
};
static const struct batch some_trained = {
    .sequences = 2,
    .ids = { some_ids, some_ids + 4 },
    .labels = { some_labels, some_labels + 4 },
    .length = { 11, 7 },
};

static const char *const fresh[] = {
    "lora_dropout: 0.3",
    "target_modules: all-linear, init_lora_weights: gaussian, r: 3",
    "target_modules: all-linear, bias: all, modules_to_save: [lm_head, norm, embed_tokens]",
    "target_modules: [q_proj], modules_to_save: [mlp]",
    "target_modules: all-linear, lora_bias: true",
    "target_modules: [q_proj, embed_tokens]",
    "target_modules: [q_proj, embed_tokens, lm_head], lora_dropout: 0.3",
    "trainable_token_indices: [5, 42, 17]",
    "trainable_token_indices: {embed_tokens: [5, 42, 17], lm_head: [3, 5]}",
};

static void a_fresh_adapter_is_the_base_model_to_the_bit(void **state)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } models[] = { { "llama_biases", F32 }, { "llama_biases", BF16 }, { "llama_gqa_tied", F32 }, { "qwen2_tied", F32 }, { "qwen2_tied", BF16 } };
    struct scratch *s = *state;
    for (size_t m = 0; m < COUNT(models); m++) {
        struct model model;
        struct device device;
        record_model(s, &model, &device, models[m].name, models[m].dtype);
        const size_t bytes = (size_t)(18 * model.config.vocab) * sizeof(float);
        const float *base = walk_logits(s, &model, NULL, &some, false);
        for (size_t i = 0; i < COUNT(fresh); i++) {
            struct adapter *adapter = started(s, &model, &device, fresh[i], 3);
            assert_memory_equal(walk_logits(s, &model, adapter, &some, false), base, bytes);
            assert_memory_equal(walk_logits(s, &model, adapter, &some, true), base, bytes);
            adapter_release(adapter);
        }
        model_release(&model);
        device_close(&device);
    }
}

static void dropout_acts_in_training_only(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    record_model(s, &model, &device, "llama_mha", F32);
    const size_t bytes = (size_t)(18 * model.config.vocab) * sizeof(float);
    struct adapter *with = started(s, &model, &device, "init_lora_weights: false, lora_dropout: 0.5", 3),
                   *without = started(s, &model, &device, "init_lora_weights: false", 3);
    const float *expected = walk_logits(s, &model, without, &some, false);
    assert_memory_equal(walk_logits(s, &model, with, &some, false), expected, bytes);
    assert_memory_equal(walk_logits(s, &model, without, &some, true), expected, bytes);
    assert_memory_not_equal(walk_logits(s, &model, with, &some, true), expected, bytes);
    adapter_release(with), adapter_release(without);
    model_release(&model);
    device_close(&device);
}

/* ---- against the records ---- */

static struct batch record_batch(struct scratch *s, const char *path)
{
    struct batch batch = { 0 };
    struct json_lines *lines;
    json_t *value;
    int64_t line, labels;
    assert_fine(s, json_lines_open(&lines, s->arena, path, &s->err));
    while (true) {
        assert_fine(s, json_lines_next(lines, &value, &line, &s->err));
        if (!value)
            break;
        const int i = batch.sequences++;
        assert_true(i < 16);
        assert_fine(s, json_get_ids(s->arena, value, path, "ids", 0, INT32_MAX, (int32_t **)(uintptr_t)&batch.ids[i], &batch.length[i], &s->err));
        assert_fine(s, json_get_ids(s->arena, value, path, "labels", -100, INT32_MAX, (int32_t **)(uintptr_t)&batch.labels[i], &labels, &s->err));
        json_decref(value);
    }
    json_lines_close(lines);
    assert_true(batch.sequences > 0);
    return batch;
}

/* The largest difference, as a share of the largest expected value. */
static double error_of(const float *values, const float *expected, int64_t count)
{
    double difference = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        difference = fmax(difference, fabs((double)values[i] - (double)expected[i]));
        largest = fmax(largest, fabs((double)expected[i]));
        if (isnan(values[i]))
            return INFINITY;
    }
    return difference / fmax(largest, 1e-30);
}

static void check_logits(struct scratch *s, const struct model *model, const struct adapter *adapter, const char *name, const struct safetensors_set *expected)
{
    const struct batch batch = record_batch(s, record_path(s, name, "score.jsonl"));
    const float *logits = walk_logits(s, model, adapter, &batch, false);
    for (int i = 0; i < batch.sequences; i++) {
        const int64_t count = batch.length[i] * model->config.vocab;
        const struct safetensor *wanted = safetensors_set_find(expected, arena_print(s->arena, "%slogits.%d", adapter ? "adapter_" : "", i), NULL);
        const double error = error_of(logits, wanted->data, count);
        if (!(error < 1e-5))
            fail_msg("%s: %s is off by %g", name, wanted->name, error);
        logits += count;
    }
}

static void check_gradients(struct scratch *s, const struct adapter *adapter, const char *name, const struct safetensors_set *expected)
{
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        const struct tensor *t = adapter->parameters->tensor[i];
        const struct safetensor *wanted = safetensors_set_find(expected, arena_print(s->arena, "grad.%s", t->name), NULL);
        assert_non_null(wanted);
        assert_int_equal(wanted->bytes, tensor_bytes(t));
        const double error = error_of(t->grad->data, wanted->data, t->rows * t->cols);
        if (!(error < 1e-4))
            fail_msg("%s: the gradient of %s is off by %g", name, t->name, error);
    }
}

static void logits_and_gradients_are_those_of_peft(void **state)
{
    struct scratch *s = *state;
    int count;
    const char **name = record_names(s, &count);
    for (int i = 0; i < count; i++) {
        struct model model;
        struct device device;
        struct adapter *adapter;
        struct safetensors_set expected;
        record_model(s, &model, &device, name[i], F32);
        const char *yaml = arena_print(s->arena, "{init_from: %s}", record_path(s, name[i], "adapter"));
        assert_fine(s, safetensors_set_open(&expected, s->arena, record_path(s, name[i], ""), "expected", &s->err));
        assert_fine(s, small_adapter(s, &adapter, &model, yaml));
        assert_fine(s, adapter_start(adapter, s->arena, &model, &device, true, 0, &s->err));
        if (!strchr(name[i], '.')) /* else the model is that of another case */
            check_logits(s, &model, NULL, name[i], &expected);
        check_logits(s, &model, adapter, name[i], &expected);
        const struct batch batch = record_batch(s, record_path(s, name[i], "train.jsonl"));
        for (int recompute = 0; recompute < 2; recompute++) {
            walk_loss(s, &model, adapter, &batch, recompute);
            check_gradients(s, adapter, name[i], &expected);
        }
        adapter_release(adapter);
        safetensors_set_close(&expected);
        model_release(&model);
        device_close(&device);
    }
}

static const struct tensor *tensor_of(const struct model *model, const char *name)
{
    for (int i = 0; i < model->tensors; i++)
        if (strcmp(model->tensor[i]->name, name) == 0)
            return model->tensor[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* A tied model and its twin that stores the head apart: copies of head and embedding must not notice the difference. */
static void copies_of_tied_tensors_are_apart(void **state)
{
    static const char *const saves[] = { "lm_head", "embed_tokens", "lm_head, embed_tokens" };
    struct scratch *s = *state;
    struct model tied, untied;
    struct device device;
    struct model_config config;
    record_model(s, &tied, &device, "llama_gqa_tied", F32);
    config = tied.config;
    config.tied = false;
    assert_fine(s, model_describe(&untied, s->arena, &config, F32, &s->err));
    untied.device = &device;
    untied.inv_freq = tied.inv_freq;
    for (int i = 0; i < untied.tensors; i++)
        untied.tensor[i]->data = untied.tensor[i] == untied.head ? tied.embed->data : tensor_of(&tied, untied.tensor[i]->name)->data;
    for (size_t i = 0; i < COUNT(saves); i++) {
        struct adapter *one, *other;
        const char *yaml = arena_print(s->arena, "{peft_type: LORA, init_lora_weights: false, modules_to_save: [%s]}", saves[i]);
        assert_fine(s, small_adapter(s, &one, &tied, yaml));
        assert_fine(s, small_adapter(s, &other, &untied, yaml));
        assert_fine(s, adapter_start(one, s->arena, &tied, &device, true, 7, &s->err));
        assert_fine(s, adapter_start(other, s->arena, &untied, &device, true, 7, &s->err));
        assert_true(walk_loss(s, &tied, one, &some_trained, false) == walk_loss(s, &untied, other, &some_trained, false));
        assert_int_equal(one->parameters->tensors, other->parameters->tensors);
        for (int k = 0; k < one->parameters->tensors; k++) {
            const struct tensor *a = one->parameters->tensor[k], *b = parameters_find(other->parameters, a->name);
            assert_memory_equal(a->grad->data, b->grad->data, tensor_bytes(a));
            assert_true(spread_of(a->grad).largest > 0);
        }
        adapter_release(one), adapter_release(other);
    }
    model_release(&tied);
    device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(parameters_are_counted_as_in_peft),
        SCRATCH_TEST(the_head_of_gpt_neox_is_known_by_both_names),
        SCRATCH_TEST(rows_of_a_head_with_a_bias_are_refused),
        SCRATCH_TEST(parameters_are_named_by_the_keys_of_peft),
        SCRATCH_TEST(starts_have_the_spread_of_peft),
        SCRATCH_TEST(an_orthogonal_start_has_a_product_of_zero),
        SCRATCH_TEST(equal_seeds_give_equal_starts_whatever_else_is_trained),
        SCRATCH_TEST(a_fresh_adapter_is_the_base_model_to_the_bit),
        SCRATCH_TEST(dropout_acts_in_training_only),
        SCRATCH_TEST(logits_and_gradients_are_those_of_peft),
        SCRATCH_TEST(copies_of_tied_tensors_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
