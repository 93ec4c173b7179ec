/* The folder of an adapter: what PEFT wrote is read, what is written is what PEFT writes, and everything else is refused by name. */
#include "adapters/lora.h"
#include "autograd/cpu/rows.h"
#include "common/json.h"
#include "common/safetensors.h"
#include "tests/adapters/records.h"

static void assert_same_tensors(struct scratch *s, const char *one, const char *other)
{
    struct safetensors_set a, b;
    assert_fine(s, safetensors_set_open(&a, s->arena, one, "adapter_model", &s->err));
    assert_fine(s, safetensors_set_open(&b, s->arena, other, "adapter_model", &s->err));
    assert_int_equal(a.file->count, b.file->count);
    for (int64_t i = 0; i < a.file->count; i++) {
        const struct safetensor *x = &a.file->tensor[i], *y = &b.file->tensor[i];
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->dtype, y->dtype);
        assert_int_equal(x->rank, y->rank);
        assert_memory_equal(x->shape, y->shape, (size_t)x->rank * sizeof *x->shape);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
    safetensors_set_close(&a);
    safetensors_set_close(&b);
}

/* Every setting that is written says what PEFT's file says. */
static void assert_same_settings(struct scratch *s, const char *written, const char *peft)
{
    json_t *a, *b, *value;
    const char *key;
    assert_fine(s, json_read(arena_print(s->arena, "%s/adapter_config.json", written), &a, &s->err));
    assert_fine(s, json_read(arena_print(s->arena, "%s/adapter_config.json", peft), &b, &s->err));
    json_object_foreach(a, key, value)
    {
        const json_t *theirs = json_object_get(b, key);
        if (strcmp(key, "base_model_name_or_path") == 0)
            continue;
        const bool one_layer = strcmp(key, "layers_to_transform") == 0 && json_is_integer(theirs);
        if (!(one_layer ? json_equal(json_array_get(value, 0), theirs) : json_equal(value, theirs)))
            fail_msg("%s: '%s' differs", peft, key);
    }
    json_decref(a);
    json_decref(b);
}

static void peft_folders_are_read_and_written_alike(void **state)
{
    struct scratch *s = *state;
    int count;
    const char **name = record_names(s, &count);
    for (int i = 0; i < count; i++) {
        struct model model;
        struct device device;
        struct adapter *adapter;
        char before[65], after[65];
        const char *folder = record_path(s, name[i], "adapter"), *copy = scratch_path(s, name[i]);
        record_model(s, &model, &device, name[i], F32);
        assert_fine(s, adapter_load(&adapter, s->arena, folder, &model, &device, &s->err));
        assert_fine(s, adapter_hash(adapter, before, &s->err));
        assert_fine(s, adapter_save(adapter, s->arena, &model, copy, &s->err));
        assert_same_tensors(s, copy, folder);
        assert_same_settings(s, copy, folder);
        adapter_release(adapter);
        assert_fine(s, adapter_load(&adapter, s->arena, copy, &model, &device, &s->err));
        assert_fine(s, adapter_hash(adapter, after, &s->err));
        assert_string_equal(before, after);
        adapter_release(adapter);
        model_release(&model);
        device_close(&device);
    }
}

static const char written_config[] = "{\n"
                                     "  \"alpha_pattern\": {\n"
                                     "    \"up_proj\": 0.5\n"
                                     "  },\n"
                                     "  \"base_model_name_or_path\": \"models/base\",\n"
                                     "  \"bias\": \"none\",\n"
                                     "  \"exclude_modules\": \".*\\\\.0\\\\..*up.*\",\n"
                                     "  \"fan_in_fan_out\": false,\n"
                                     "  \"inference_mode\": true,\n"
                                     "  \"init_lora_weights\": \"gaussian\",\n"
                                     "  \"layers_pattern\": null,\n"
                                     "  \"layers_to_transform\": [\n"
                                     "    0,\n"
                                     "    2\n"
                                     "  ],\n"
                                     "  \"lora_alpha\": 16,\n"
                                     "  \"lora_dropout\": 0.05,\n"
                                     "  \"modules_to_save\": [\n"
                                     "    \"lm_head\"\n"
                                     "  ],\n"
                                     "  \"peft_type\": \"LORA\",\n"
                                     "  \"r\": 4,\n"
                                     "  \"rank_pattern\": {\n"
                                     "    \"q_proj\": 2\n"
                                     "  },\n"
                                     "  \"revision\": null,\n"
                                     "  \"target_modules\": [\n"
                                     "    \"q_proj\",\n"
                                     "    \"up_proj\"\n"
                                     "  ],\n"
                                     "  \"task_type\": \"CAUSAL_LM\",\n"
                                     "  \"use_rslora\": true\n"
                                     "}";

/* A model whose tensors have data: the first of the recorded ones would do, but this one is of known sizes. */
static void give_data(struct scratch *s, struct model *model, struct device *device)
{
    assert_fine(s, device_open(device, "cpu", 1, &s->err));
    model->device = device;
    for (int i = 0; i < model->tensors; i++) {
        float *values = arena_alloc(s->arena, tensor_bytes(model->tensor[i]));
        for (int64_t k = 0; k < model->tensor[i]->rows * model->tensor[i]->cols; k++)
            values[k] = (float)(k % 7) + (float)i;
        model->tensor[i]->data = values;
    }
}

static void the_configuration_is_written_as_peft_does(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    struct adapter *adapter;
    char *bytes;
    size_t size;
    small_model(s, &model, "");
    give_data(s, &model, &device);
    assert_fine(s, small_adapter(s, &adapter, &model,
                                 "{peft_type: LORA, r: 4, lora_alpha: 16, lora_dropout: 0.05, target_modules: [up_proj, q_proj], layers_to_transform: [0, 2],"
                                 " exclude_modules: '.*\\.0\\..*up.*', rank_pattern: {q_proj: 2}, alpha_pattern: {up_proj: 0.5}, modules_to_save: [lm_head],"
                                 " use_rslora: true, init_lora_weights: gaussian}"));
    adapter->base = "models/base";
    assert_fine(s, adapter_start(adapter, s->arena, &model, &device, false, 1, &s->err));
    for (int twice = 0; twice < 2; twice++) /* existing files are replaced */
        assert_fine(s, adapter_save(adapter, s->arena, &model, scratch_path(s, "out/deep"), &s->err));
    assert_fine(s, file_read(s->arena, scratch_path(s, "out/deep/adapter_config.json"), 1 << 20, &bytes, &size, &s->err));
    assert_string_equal(bytes, written_config);
    assert_fine(s, file_read(s->arena, scratch_path(s, "out/deep/README.md"), 1 << 20, &bytes, &size, &s->err));
    assert_holds(bytes, "base_model: models/base\nlibrary_name: peft\n");
    assert_holds(bytes, "\nlora_dropout: 0.05\n");
    assert_holds(bytes, "PeftModel.from_pretrained");
    adapter_release(adapter);
    device_close(&device);
}

/* All keys of peft 0.21 with their defaults. */
#define PEFT_KEYS                                                                                                                                              \
    "\"alora_invocation_tokens\": null, \"alpha_pattern\": {}, \"arrow_config\": null, \"auto_mapping\": null, \"base_model_name_or_path\": \"x\", "           \
    "\"corda_config\": null, \"ensure_weight_tying\": false, \"eva_config\": null, \"exclude_modules\": null, \"inference_mode\": true, "                      \
    "\"kasa_config\": null, \"layer_replication\": null, \"layers_pattern\": null, \"loftq_config\": {}, \"lora_bias\": false, \"lora_ga_config\": null, "     \
    "\"megatron_config\": null, \"megatron_core\": \"megatron.core\", \"monteclora_config\": null, \"peft_version\": \"0.21.2\", "                             \
    "\"qalora_group_size\": 16, \"rank_pattern\": {}, \"revision\": null, \"target_parameters\": null, \"task_type\": \"CAUSAL_LM\", "                         \
    "\"trainable_token_indices\": null, \"use_bdlora\": null, \"use_dora\": false, \"use_qalora\": false, \"use_rslora\": false, \"velora_config\": null"

static const struct {
    const char *members, *what;
} configs[] = {
    { "\"peft_type\": \"LORA\", " PEFT_KEYS, NULL },
    { "\"peft_type\": \"LORA\"", NULL },
    { "\"peft_type\": \"LORA\", \"from_the_future\": null", NULL },
    { "\"peft_type\": \"LORA\", \"from_the_future\": false, \"task_type\": null", NULL },
    { "\"r\": 8", "has no 'peft_type'" },
    { "\"peft_type\": \"IA3\"", "peft_type 'IA3' is no method" },
    { "\"peft_type\": 3", "'peft_type' is 3" },
    { "\"peft_type\": \"LORA\", \"from_the_future\": true", "'from_the_future' is true" },
    { "\"peft_type\": \"LORA\", \"use_dora\": true", NULL },
    { "\"peft_type\": \"LORA\", \"lora_bias\": true", NULL },
    { "\"peft_type\": \"LORA\", \"use_dora\": true, \"lora_bias\": true", "lora_bias and use_dora" },
    { "\"peft_type\": \"LORA\", \"use_qalora\": true", "'use_qalora' is true" },
    { "\"peft_type\": \"LORA\", \"task_type\": \"SEQ_CLS\"", "'task_type' is \"SEQ_CLS\"" },
    { "\"peft_type\": \"LORA\", \"trainable_token_indices\": [1, 2]", NULL },
    { "\"peft_type\": \"LORA\", \"trainable_token_indices\": [1, 32]", "token 32 in a vocabulary of 32" },
    { "\"peft_type\": \"LORA\", \"trainable_token_indices\": [1, -1]", "token -1 in a vocabulary of 32" },
    { "\"peft_type\": \"LORA\", \"target_parameters\": [\"w\"]", "'target_parameters'" },
    { "\"peft_type\": \"LORA\", \"layer_replication\": [[0, 4]]", "'layer_replication'" },
    { "\"peft_type\": \"LORA\", \"ensure_weight_tying\": true", "'ensure_weight_tying'" },
    { "\"peft_type\": \"LORA\", \"eva_config\": {\"rho\": 2.0}", "'eva_config' is {\"rho\":2.0}" },
    { "\"peft_type\": \"LORA\", \"init_lora_weights\": \"pissa\"", "adapter_config.json: 'init_lora_weights' is pissa" },
    { "\"peft_type\": \"LORA\", \"fan_in_fan_out\": true", "fan_in_fan_out" },
    { "\"peft_type\": \"LORA\", \"r\": \"8\"", "adapter_config.json: adapter.r: '8'" },
    { "\"peft_type\": \"LORA\", \"r\": 0", "adapter_config.json: adapter.r: '0'" },
    { "\"peft_type\": \"LORA\", \"target_modules\": [[[[[[[[[[1]]]]]]]]]]", "inside each other" },
    { "\"peft_type\": \"LORA\", \"init_from\": \"elsewhere\"", "'init_from' is \"elsewhere\"" },
};

static void configurations_that_cannot_be_followed_are_refused_by_key(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    small_model(s, &model, "");
    give_data(s, &model, &device);
    for (size_t i = 0; i < COUNT(configs); i++) {
        struct adapter *adapter;
        const char *text = arena_print(s->arena, "{%s}", configs[i].members);
        scratch_write(s, "adapter_config.json", text, strlen(text));
        const enum status status = adapter_load(&adapter, s->arena, s->folder, &model, &device, &s->err);
        assert_null(adapter);
        if (configs[i].what)
            assert_failed(s, status, s->err.code == BAD_CONFIG ? BAD_CONFIG : BAD_FILE, configs[i].what);
        else /* the settings were fine: only then are tensors asked for */
            assert_failed(s, status, BAD_FILE, "adapter_model");
    }
    device_close(&device);
}

/* One change to a good set of tensors. */
struct change {
    const char *name;             /* of the tensor to change; NULL: a new one */
    const char *new_name, *dtype; /* NULL: as it was */
    int rank;                     /* 0: as it was */
    int64_t shape[3];
    bool drop;
    float add;        /* to its values */
    const char *what; /* the error; NULL: it is read */
};

#define ROOT  "base_model.model.model.layers.0.self_attn."
#define Q_A   ROOT "q_proj.lora_A.weight"
#define BIAS  ROOT "q_proj.base_layer.bias"
#define EMBED "base_model.model.model.embed_tokens.weight"

static const struct change changes[] = {
    { .name = Q_A },
    { .name = Q_A, .new_name = ROOT "q_proj.lora_A.default.weight" },
    { .name = Q_A, .new_name = ROOT "q_proj.lora_A.other.weight" },
    { .name = Q_A, .new_name = "model.layers.0.self_attn.q_proj.lora_A.weight" },
    { .name = Q_A, .new_name = "model.layers.0.self_attn.q_proj.lora_A.other.weight" },
    { .name = BIAS, .new_name = ROOT "q_proj.bias" },
    { .name = Q_A, .dtype = "F16" },
    { .name = Q_A, .dtype = "BF16" },
    { .name = EMBED, .drop = true },
    { .name = EMBED, .new_name = "base_model.model.model.embed_tokens.original_module.weight" },
    { .name = EMBED, .new_name = "base_model.model.model.embed_tokens.base_layer.weight" },
    { .name = Q_A, .drop = true, .what = "tensor '" Q_A "' is missing" },
    { .name = Q_A, .new_name = "q_proj.lora_A.weight", .what = "unexpected tensor 'q_proj.lora_A.weight'" },
    { .new_name = ROOT "k_proj.lora_A.weight", .rank = 2, .shape = { 4, 16 }, .what = "unexpected tensor '" ROOT "k_proj.lora_A.weight'" },
    { .new_name = ROOT "q_proj.lora_A.default.weight", .rank = 2, .shape = { 4, 16 }, .what = "are the same parameter" },
    { .new_name = ROOT "q_proj.bias", .rank = 1, .shape = { 16 }, .what = "are the same parameter" },
    { .name = Q_A,
      .rank = 2,
      .shape = { 16, 4 },
      .what = "has shape [16, 4] on model.layers.0.self_attn.q_proj.weight [16, 16]; the model and adapter_config.json ask for [4, 16]" },
    { .name = Q_A, .rank = 1, .shape = { 64 }, .what = "has shape [64]" },
    { .name = Q_A, .rank = 1, .shape = { 0 }, .what = "has shape [0]" },
    { .name = Q_A, .rank = 3, .shape = { 1, 4, 16 }, .what = "has shape [1, 4, 16]" },
    { .name = BIAS, .rank = 2, .shape = { 1, 16 }, .what = "has shape [1, 16]" },
    { .name = Q_A, .dtype = "I32", .what = "is of type I32" },
    { .name = EMBED, .add = 1, .what = "'" EMBED "' is not what the model holds" },
    { .name = EMBED, .rank = 2, .shape = { 16, 32 }, .what = "is not what the model holds" },
};

/* The tensors of a good adapter, and the base model's embedding as PEFT stores it on some occasions. */
static int64_t good_tensors(struct scratch *s, const struct adapter *adapter, const struct model *model, struct safetensor *tensor)
{
    const struct parameters *p = adapter->parameters;
    for (int i = 0; i <= p->tensors; i++) {
        const struct tensor *t = i < p->tensors ? p->tensor[i] : model->embed;
        const bool vector = strstr(t->name, ".bias");
        float *values = arena_alloc(s->arena, tensor_bytes(t));
        memcpy(values, t->data, tensor_bytes(t));
        tensor[i] = (struct safetensor){ .name = i < p->tensors ? t->name : EMBED, .dtype = "F32", .rank = vector ? 1 : 2, .data = values };
        tensor[i].shape[0] = vector ? t->cols : t->rows;
        tensor[i].shape[1] = vector ? 0 : t->cols;
    }
    return p->tensors + 1;
}

static void change_type(struct scratch *s, struct safetensor *t, const char *dtype)
{
    const enum dtype kind = strcmp(dtype, "F16") == 0 ? F16 : strcmp(dtype, "BF16") == 0 ? BF16 : I32;
    int64_t count = t->shape[0] * t->shape[1];
    void *values = arena_alloc(s->arena, (size_t)count * 4);
    t->dtype = dtype;
    if (kind == I32)
        return;
    narrow(values, t->data, kind, count);
    t->data = values;
}

static int64_t apply(struct scratch *s, const struct change *change, struct safetensor *tensor, int64_t count)
{
    struct safetensor *t = &tensor[count];
    if (!change->name) {
        *t = (struct safetensor){ .dtype = "F32", .data = arena_alloc(s->arena, 4 * 64) };
        count++;
    }
    for (int64_t i = 0; change->name && i < count; i++)
        if (strcmp(tensor[i].name, change->name) == 0)
            t = &tensor[i];
    assert_true(t < tensor + count);
    if (change->dtype)
        change_type(s, t, change->dtype);
    if (change->new_name)
        t->name = change->new_name;
    if (change->rank) {
        t->rank = change->rank;
        memcpy(t->shape, change->shape, sizeof change->shape);
    }
    for (int64_t i = 0; change->add != 0 && i < t->shape[0] * t->shape[1]; i++)
        ((float *)(uintptr_t)t->data)[i] += change->add;
    if (change->drop)
        *t = tensor[--count];
    return count;
}

static void tensors_that_do_not_fit_are_refused_by_name(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    struct adapter *made, *read;
    small_model(s, &model, ", 'attention_bias': true");
    give_data(s, &model, &device);
    const char *yaml = "{peft_type: LORA, r: 4, target_modules: [q_proj], bias: lora_only, layers_to_transform: 0, init_lora_weights: false}";
    assert_fine(s, small_adapter(s, &made, &model, yaml));
    assert_fine(s, adapter_start(made, s->arena, &model, &device, false, 1, &s->err));
    assert_fine(s, adapter_save(made, s->arena, &model, s->folder, &s->err));
    for (size_t i = 0; i < COUNT(changes); i++) {
        struct safetensor tensor[8];
        const int64_t count = apply(s, &changes[i], tensor, good_tensors(s, made, &model, tensor));
        assert_fine(s, safetensors_write(s->arena, scratch_path(s, "adapter_model.safetensors"), tensor, count, true, &s->err));
        const enum status status = adapter_load(&read, s->arena, s->folder, &model, &device, &s->err);
        if (changes[i].what) {
            assert_failed(s, status, BAD_FILE, changes[i].what);
            continue;
        }
        assert_fine(s, status);
        const float *a = made->parameters->tensor[0]->data, *b = read->parameters->tensor[0]->data;
        const float within = !changes[i].dtype ? 0 : strcmp(changes[i].dtype, "F16") == 0 ? 1e-3f : 1e-2f;
        for (int k = 0; k < 64; k++)
            assert_true(a[k] - b[k] <= within && b[k] - a[k] <= within);
        adapter_release(read);
    }
    adapter_release(made);
    device_close(&device);
}

static void an_adapter_of_another_task_is_refused(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    const char *folder = SHARED_FOLDER "/data/adapters/lora_gpt2_seqcls";
    if (!folder_exists(folder)) {
        print_message("SKIP: no %s\n", folder);
        skip();
    }
    small_model(s, &model, "");
    assert_failed(s, adapter_load(&adapter, s->arena, folder, &model, NULL, &s->err), BAD_FILE, "'task_type' is \"SEQ_CLS\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(peft_folders_are_read_and_written_alike),
        SCRATCH_TEST(the_configuration_is_written_as_peft_does),
        SCRATCH_TEST(configurations_that_cannot_be_followed_are_refused_by_key),
        SCRATCH_TEST(tensors_that_do_not_fit_are_refused_by_name),
        SCRATCH_TEST(an_adapter_of_another_task_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
