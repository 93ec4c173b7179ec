/* Adapters that others published, on models of the published sizes: they are read, with the numbers that torch and PEFT give. Skips where they are absent. */
#include "common/files.h"
#include "common/json.h"
#include "common/safetensors.h"
#include "tests/adapters/small.h"

#include <math.h>

#define PUBLISHED SHARED_FOLDER "/data/adapters"
#define GPT2      "{'model_type': 'gpt2', 'vocab_size': 50257, 'n_embd': 768, 'n_layer': 12, 'n_head': 12, 'n_positions': 1024}"
#define BLOOM     "{'model_type': 'bloom', 'vocab_size': 250880, 'hidden_size': 1024, 'n_layer': 24, 'n_head': 16}"
#define LLAMA_3B                                                                                                                                               \
    "{'model_type': 'llama', 'vocab_size': 128256, 'hidden_size': 3072, 'intermediate_size': 8192, 'num_hidden_layers': 28, 'num_attention_heads': 24,"        \
    " 'num_key_value_heads': 8, 'head_dim': 128, 'max_position_embeddings': 131072, 'rms_norm_eps': 1e-5, 'tie_word_embeddings': true}"
#define LLAMA_TINY                                                                                                                                             \
    "{'model_type': 'llama', 'vocab_size': 32000, 'hidden_size': 64, 'intermediate_size': 256, 'num_hidden_layers': 2, 'num_attention_heads': 4,"              \
    " 'num_key_value_heads': 4, 'max_position_embeddings': 2048, 'rms_norm_eps': 1e-5}"
#define SOFT(tokens, width) "{\"peft_type\": \"PROMPT_TUNING\", \"num_virtual_tokens\": " #tokens ", \"token_dim\": " #width "}"

static void need_published(void)
{
    if (folder_exists(PUBLISHED))
        return;
    print_message("SKIP: no %s\n", PUBLISHED);
    skip();
}

/* An adapter in the scratch folder: this configuration, and the weights of a published one. */
static const char *folder_of(struct scratch *s, const char *name, const char *config, const char *weights, const char *as)
{
    char *bytes;
    size_t size;
    assert_fine(s, folder_make(scratch_path(s, name), &s->err));
    assert_fine(s, file_read(s->arena, weights, 1 << 24, &bytes, &size, &s->err));
    scratch_write(s, arena_print(s->arena, "%s/%s", name, as), bytes, size);
    scratch_write(s, arena_print(s->arena, "%s/adapter_config.json", name), config, strlen(config));
    return scratch_path(s, name);
}

static double norm_of(struct scratch *s, struct device *device, const struct adapter *adapter)
{
    double sum = 0;
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        const struct tensor *t = adapter->parameters->tensor[i];
        const float *values = tensor_values(device, s->arena, t);
        for (int64_t k = 0; k < t->rows * t->cols; k++)
            sum += (double)values[k] * (double)values[k];
    }
    return sqrt(sum);
}

/* Loads, holds values and norm against torch's, and saves; what is saved is the same adapter. */
static void check_published(struct scratch *s, const char *config, const char *folder, int64_t values, double norm)
{
    struct model model;
    struct device device;
    struct adapter *adapter, *again;
    char hash[65], hash_again[65];
    described_model(s, &model, arena_print(s->arena, "%s", config));
    assert_fine(s, device_open(&device, "cpu", 1, &s->err));
    model.device = &device;
    assert_fine(s, adapter_load(&adapter, s->arena, folder, &model, &device, &s->err));
    assert_int_equal(parameters_size(adapter->parameters), values);
    assert_true(fabs(norm_of(s, &device, adapter) - norm) <= 1e-4 * norm);
    assert_fine(s, adapter_save(adapter, s->arena, &model, scratch_path(s, "again"), &s->err));
    assert_fine(s, adapter_load(&again, s->arena, scratch_path(s, "again"), &model, &device, &s->err));
    assert_fine(s, adapter_hash(adapter, hash, &s->err));
    assert_fine(s, adapter_hash(again, hash_again, &s->err));
    assert_string_equal(hash, hash_again);
    adapter_release(adapter), adapter_release(again);
    device_close(&device);
}

static void soft_prompts_are_read_and_saved_again(void **state)
{
    struct scratch *s = *state;
    need_published();
    check_published(s, BLOOM, PUBLISHED "/prompt_tuning_bloomz560m", 8192, 20.4979);
}

static void a_pickle_and_safetensors_hold_the_same(void **state)
{
    static const char config[] = SOFT(8, 64);
    struct scratch *s = *state;
    need_published();
    const char *safe = PUBLISHED "/tgis_prompt_prefixes/tinyllama_peft_adapter/adapter_model.safetensors",
               *pickle = PUBLISHED "/tgis_prompt_prefixes/tinyllama_peft_adapter_raw/adapter_model.bin";
    struct model model;
    struct device device;
    struct adapter *one, *other;
    char hash[65], other_hash[65];
    const char *first = folder_of(s, "safe", config, safe, "adapter_model.safetensors"), *second = folder_of(s, "pickle", config, pickle, "adapter_model.bin");
    check_published(s, LLAMA_TINY, first, 512, 1.7729);
    described_model(s, &model, arena_print(s->arena, "%s", LLAMA_TINY));
    assert_fine(s, device_open(&device, "cpu", 1, &s->err));
    assert_fine(s, adapter_load(&one, s->arena, first, &model, &device, &s->err));
    assert_fine(s, adapter_load(&other, s->arena, second, &model, &device, &s->err));
    assert_fine(s, adapter_hash(one, hash, &s->err));
    assert_fine(s, adapter_hash(other, other_hash, &s->err));
    assert_string_equal(hash, other_hash);
    adapter_release(one), adapter_release(other);
    device_close(&device);
}

/* Made for another task: its head for classes, the one tensor that no causal model has, is left out. */
static void a_lora_for_gpt2_is_read_without_its_classes(void **state)
{
    static const char config[] = "{\"peft_type\": \"LORA\", \"task_type\": \"CAUSAL_LM\", \"r\": 8, \"lora_alpha\": 8, \"fan_in_fan_out\": true,"
                                 " \"target_modules\": [\"c_attn\"]}";
    struct scratch *s = *state;
    struct safetensors_set set;
    struct output *out = NULL;
    need_published();
    assert_fine(s, folder_make(scratch_path(s, "gpt2"), &s->err));
    scratch_write(s, "gpt2/adapter_config.json", config, strlen(config));
    assert_fine(s, safetensors_set_open(&set, s->arena, PUBLISHED "/lora_gpt2_seqcls", "adapter_model", &s->err));
    struct safetensor *kept = NEW_ARRAY(s->arena, set.file->count, struct safetensor);
    int64_t count = 0;
    for (int64_t i = 0; i < set.file->count; i++)
        if (!strstr(set.file->tensor[i].name, ".score."))
            kept[count++] = set.file->tensor[i];
    assert_int_equal(count + 1, set.file->count);
    out = NEW(s->arena, struct output);
    assert_fine(s, output_open(out, s->arena, scratch_path(s, "gpt2/adapter_model.safetensors"), true, &s->err));
    safetensors_print(out, s->arena, kept, count);
    assert_fine(s, output_commit(out));
    safetensors_set_close(&set);
    check_published(s, GPT2, scratch_path(s, "gpt2"), 294912, 41.3418);
}

/* PEFT's own comparison of methods on Llama-3.2-3B: the configuration of each run, and the number of values that it reports as trained. */
static const struct {
    const char *run; /* METHOD/NAME */
    const char *refused;
} runs[] = {
    { "lora/llama-3.2-3B-rank32", NULL },
    { "lora/llama-3.2-3B-rank32-dora", NULL },
    { "lora/llama-3.2-3B-rank64", NULL },
    { "lora/llama-3.2-3B-rank64-rslora", NULL },
    { "lora/llama-3.2-3B-rank10-target-mlp", NULL },
    { "prompt_tuning/llama-3.2-3B-default", NULL },
    { "prompt_tuning/llama-3.2-3B-lr_0.001", NULL },
    { "prefixtuning/llama-3.2-3B-lr_0.005_zero_init", "token_dim: 3072, for this model it is 1024" },
    { "ptuning/llama-3.2-3B-default", "cannot go on without its encoder" },
    { "adalora/llama-3.2-3B-rank32", "ADALORA" },
    { "ia3/llama-3.2-3B-default", "IA3" },
};

static int64_t reported(struct scratch *s, const char *run)
{
    const char *name = strchr(run, '/');
    json_t *json;
    assert_fine(s,
                json_read(arena_print(s->arena, PUBLISHED "/peft_method_comparison/results/%.*s--%s.json", (int)(name - run), run, name + 1), &json, &s->err));
    const int64_t values = json_integer_value(json_object_get(json_object_get(json, "train_info"), "num_trainable_params"));
    json_decref(json);
    return values;
}

static void as_many_values_are_trained_as_peft_reports(void **state)
{
    struct scratch *s = *state;
    struct model model;
    need_published();
    described_model(s, &model, arena_print(s->arena, "%s", LLAMA_3B));
    for (size_t i = 0; i < COUNT(runs); i++) {
        struct adapter *adapter;
        const char *yaml = arena_print(s->arena, "{init_from: " PUBLISHED "/peft_method_comparison/experiments/%s}", runs[i].run);
        const enum status status = small_adapter(s, &adapter, &model, yaml);
        if (runs[i].refused) {
            assert_int_not_equal(status, OK);
            assert_holds(s->err.what, runs[i].refused);
            s->err = (struct error){ 0 };
            continue;
        }
        assert_fine(s, status);
        assert_int_equal(parameters_size(adapter->parameters), reported(s, runs[i].run));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(soft_prompts_are_read_and_saved_again),
        SCRATCH_TEST(a_pickle_and_safetensors_hold_the_same),
        SCRATCH_TEST(a_lora_for_gpt2_is_read_without_its_classes),
        SCRATCH_TEST(as_many_values_are_trained_as_peft_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
