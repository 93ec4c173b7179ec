/* Weights from safetensors: what is used in place, what is converted, and that a folder which does not hold exactly its model is refused by tensor name. */
#include "autograd/cpu/rows.h"
#include "common/random.h"
#include "models/model.h"
#include "tests/harness/tiny_model.h"
#include "tests/unit/scratch.h"

enum { MAX_STORED = 64 };

/* A model's file in memory, to be damaged and written again. */
struct stored {
    struct safetensor tensor[MAX_STORED];
    int64_t count;
};

static struct stored read_stored(struct scratch *s)
{
    struct stored all = { .count = 0 };
    struct safetensors file;
    assert_fine(s, safetensors_open(&file, s->arena, scratch_path(s, "model.safetensors"), &s->err));
    assert_true(file.count < MAX_STORED);
    for (; all.count < file.count; all.count++) {
        struct safetensor *t = &all.tensor[all.count];
        *t = file.tensor[all.count];
        void *copy = arena_alloc(s->arena, (size_t)t->bytes);
        memcpy(copy, t->data, (size_t)t->bytes);
        t->data = copy;
    }
    safetensors_close(&file);
    return all;
}

static void write_stored(struct scratch *s, const struct stored *all)
{
    assert_fine(s, safetensors_write(s->arena, scratch_path(s, "model.safetensors"), all->tensor, all->count, true, &s->err));
}

static struct safetensor *stored_find(struct stored *all, const char *name)
{
    for (int64_t i = 0; i < all->count; i++)
        if (strcmp(all->tensor[i].name, name) == 0)
            return &all->tensor[i];
    fail_msg("the tiny model has no tensor %s", name);
    return NULL;
}

static void stored_drop(struct stored *all, const char *name)
{
    *stored_find(all, name) = all->tensor[all->count - 1];
    all->count--;
}

static struct safetensor *stored_copy(struct stored *all, const char *name, const char *as)
{
    all->tensor[all->count] = *stored_find(all, name);
    all->tensor[all->count].name = as;
    return &all->tensor[all->count++];
}

static struct device open_cpu(struct scratch *s)
{
    struct device device;
    assert_fine(s, device_open(&device, "cpu", 1, &s->err));
    return device;
}

static enum status load(struct scratch *s, struct device *device, enum dtype dtype, struct model *model)
{
    struct model_config config;
    *model = (struct model){ 0 };
    TRY(model_config_read(&config, s->arena, s->folder, &s->err));
    return model_load(model, s->arena, &config, dtype, device, &s->err);
}

static const struct tensor *weight_named(const struct model *model, const char *name)
{
    for (int i = 0; i < model->tensors; i++)
        if (strcmp(model->tensor[i]->name, name) == 0)
            return model->tensor[i];
    fail_msg("the model has no tensor %s", name);
    return NULL;
}

/* ---- what is read ---- */

static const struct {
    const char *claim, *stored;
    enum dtype dtype, matrix; /* of computation; what matrices are in memory */
    bool matrices_in_place, vectors_in_place;
} readings[] = {
    { "float32 for float32", "F32", F32, F32, true, true },      { "bfloat16 for bfloat16", "BF16", BF16, BF16, true, true },
    { "bfloat16 for float32", "BF16", F32, BF16, true, false },  { "float16 for float32", "F16", F32, F16, true, false },
    { "float32 for bfloat16", "F32", BF16, BF16, false, false }, { "float16 for bfloat16", "F16", BF16, BF16, false, false },
};

static void assert_weight(struct scratch *s, struct stored *stored, enum dtype from, const struct tensor *t, enum dtype dtype)
{
    int64_t count = t->rows * t->cols;
    float *expected = NEW_ARRAY(s->arena, count, float);
    void *narrowed = arena_alloc(s->arena, tensor_bytes(t));
    widen(expected, stored_find(stored, t->name)->data, from, count);
    narrow(narrowed, expected, dtype, count);
    assert_int_equal(t->dtype, dtype);
    assert_memory_equal(t->data, narrowed, tensor_bytes(t));
}

static void every_stored_dtype_is_read_as_any_dtype_of_computation(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    for (size_t i = 0; i < COUNT(readings); i++) {
        struct model model;
        size_t matrices = 0, vectors = 0;
        tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .dtype = readings[i].stored, .width = 80, .mlp_width = 101, .seed = 7 });
        struct stored stored = read_stored(s);
        assert_fine(s, load(s, &device, readings[i].dtype, &model));
        assert_int_equal(model.tensors, stored.count);
        for (int t = 0; t < model.tensors; t++) {
            const struct tensor *tensor = model.tensor[t];
            const bool vector = tensor->rows == 1;
            const enum dtype from = readings[i].stored[0] == 'B' ? BF16 : readings[i].stored[1] == '1' ? F16 : F32;
            assert_weight(s, &stored, from, tensor, vector ? readings[i].dtype : readings[i].matrix);
            *(vector ? &vectors : &matrices) += tensor_bytes(tensor);
        }
        const size_t mapped = (readings[i].matrices_in_place ? matrices : 0) + (readings[i].vectors_in_place ? vectors : 0);
        assert_int_equal(model.mapped_bytes, mapped);
        assert_in_range(model.converted_bytes, matrices + vectors - mapped, matrices + vectors - mapped + 64 * (size_t)(model.tensors + 1));
        model_release(&model);
    }
    device_close(&device);
}

static void misaligned_tensors_are_copied(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    struct model model;
    tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .seed = 3 });
    struct stored stored = read_stored(s);
    char *bytes;
    size_t size;
    assert_fine(s, file_read(s->arena, scratch_path(s, "model.safetensors"), 1 << 20, &bytes, &size, &s->err));
    /* one blank more in the header shifts all data by one byte */
    uint64_t header;
    memcpy(&header, bytes, 8);
    char *shifted = arena_alloc(s->arena, size + 1);
    memcpy(shifted, bytes, 8 + header);
    header++;
    memcpy(shifted, &header, 8);
    shifted[7 + header] = ' ';
    memcpy(shifted + 8 + header, bytes + 7 + header, size - 7 - header);
    scratch_write(s, "model.safetensors", shifted, size + 1);
    assert_fine(s, load(s, &device, F32, &model));
    assert_int_equal(model.mapped_bytes, 0);
    for (int t = 0; t < model.tensors; t++)
        assert_memory_equal(model.tensor[t]->data, stored_find(&stored, model.tensor[t]->name)->data, tensor_bytes(model.tensor[t]));
    model_release(&model);
    device_close(&device);
}

static void names_without_the_prefix_and_old_buffers_are_fine(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    struct model model;
    tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .tied = true });
    struct stored stored = read_stored(s);
    for (int64_t i = 0; i < stored.count; i++)
        stored.tensor[i].name += strlen("model.");
    stored_copy(&stored, "layers.0.input_layernorm.weight", "layers.0.self_attn.rotary_emb.inv_freq");
    write_stored(s, &stored);
    assert_fine(s, load(s, &device, F32, &model));
    assert_string_equal(model.embed->name, "model.embed_tokens.weight");
    assert_ptr_equal(model.head, model.embed);
    model_release(&model);
    device_close(&device);
}

static void a_tied_head_may_be_stored_if_it_is_the_embedding(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    struct model model;
    char first[65], second[65];
    tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .tied = true });
    assert_fine(s, load(s, &device, F32, &model));
    assert_fine(s, model_hash(&model, first, &s->err));
    model_release(&model);
    struct stored stored = read_stored(s);
    struct safetensor *head = stored_copy(&stored, "model.embed_tokens.weight", "lm_head.weight");
    write_stored(s, &stored);
    assert_fine(s, load(s, &device, F32, &model));
    assert_fine(s, model_hash(&model, second, &s->err));
    assert_string_equal(first, second);
    model_release(&model);

    float *changed = arena_alloc(s->arena, (size_t)head->bytes);
    memcpy(changed, head->data, (size_t)head->bytes);
    changed[5] += 1;
    head->data = changed;
    write_stored(s, &stored);
    assert_failed(s, load(s, &device, F32, &model), BAD_MODEL, "'lm_head.weight' differs from the embedding");

    stored_drop(&stored, "model.embed_tokens.weight"); /* only the other name is left */
    write_stored(s, &stored);
    assert_fine(s, load(s, &device, F32, &model));
    assert_memory_equal(model.embed->data, changed, tensor_bytes(model.embed));
    model_release(&model);
    device_close(&device);
}

/* ---- what is refused ---- */

static void drop_a_projection(struct stored *all)
{
    stored_drop(all, "model.layers.1.mlp.up_proj.weight");
}
static void drop_two(struct stored *all)
{
    stored_drop(all, "model.layers.0.mlp.up_proj.weight");
    stored_drop(all, "model.norm.weight");
}
static void drop_the_head(struct stored *all)
{
    stored_drop(all, "lm_head.weight");
}
static void add_a_bias(struct stored *all)
{
    stored_copy(all, "model.norm.weight", "model.layers.0.self_attn.q_proj.bias");
}
static void add_a_layer(struct stored *all)
{
    stored_copy(all, "model.layers.0.mlp.up_proj.weight", "model.layers.2.mlp.up_proj.weight");
}
static void store_twice(struct stored *all)
{
    stored_copy(all, "model.norm.weight", "norm.weight");
}
static void transpose(struct stored *all)
{
    struct safetensor *t = stored_find(all, "model.layers.1.mlp.up_proj.weight");
    int64_t rows = t->shape[0];
    t->shape[0] = t->shape[1];
    t->shape[1] = rows;
}
static void flatten(struct stored *all)
{
    struct safetensor *t = stored_find(all, "lm_head.weight");
    t->shape[0] *= t->shape[1];
    t->rank = 1;
}
static void raise_a_norm(struct stored *all)
{
    struct safetensor *t = stored_find(all, "model.norm.weight");
    t->shape[1] = t->shape[0] / 2;
    t->shape[0] = 2;
    t->rank = 2;
}
static void store_integers(struct stored *all)
{
    stored_find(all, "model.layers.0.self_attn.k_proj.weight")->dtype = "I32";
}

static const struct {
    void (*damage)(struct stored *);
    const char *what;
} damages[] = {
    { drop_a_projection, "tensor 'model.layers.1.mlp.up_proj.weight' [24, 16] is missing" },
    { drop_two, "tensor 'model.layers.0.mlp.up_proj.weight' [24, 16] is missing from the weights (and 1 more)" },
    { drop_the_head, "tensor 'lm_head.weight' is missing, and config.json says tie_word_embeddings false" },
    { add_a_bias, "model.safetensors: tensor 'model.layers.0.self_attn.q_proj.bias' F32 [16]: a llama of this config.json has no such tensor" },
    { add_a_layer, "tensor 'model.layers.2.mlp.up_proj.weight' F32 [24, 16]" },
    { store_twice, "tensor 'norm.weight' F32 [16]" },
    { transpose, "model.safetensors: tensor 'model.layers.1.mlp.up_proj.weight' has shape [16, 24], but config.json makes it [24, 16]" },
    { flatten, "tensor 'lm_head.weight' has shape [496], but config.json makes it [31, 16]" },
    { raise_a_norm, "tensor 'model.norm.weight' has shape [2, 8], but config.json makes it [1, 16]" },
    { store_integers, "tensor 'model.layers.0.self_attn.k_proj.weight' is I32" },
};

static void a_damaged_file_is_refused_by_tensor_name(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    for (size_t i = 0; i < COUNT(damages); i++) {
        struct model model;
        tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .seed = 1 });
        struct stored stored = read_stored(s);
        damages[i].damage(&stored);
        write_stored(s, &stored);
        assert_failed(s, load(s, &device, F32, &model), BAD_MODEL, damages[i].what);
        model_release(&model); /* safe after a failure too */
    }
    device_close(&device);
}

static void a_folder_without_weights_is_refused(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    struct model model;
    tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .seed = 1 });
    remove(scratch_path(s, "model.safetensors"));
    assert_failed(s, load(s, &device, F32, &model), BAD_FILE, "safetensors");
    device_close(&device);
}

/* ---- properties ---- */

static void the_hash_follows_every_value(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    char hash[3][65];
    for (int i = 0; i < 3; i++) {
        struct model model;
        tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .seed = 1 });
        if (i == 2) {
            struct stored stored = read_stored(s);
            float *norm = arena_alloc(s->arena, 16 * sizeof(float));
            memcpy(norm, stored_find(&stored, "model.norm.weight")->data, 16 * sizeof(float));
            norm[15] += 1e-3F;
            stored_find(&stored, "model.norm.weight")->data = norm;
            write_stored(s, &stored);
        }
        assert_fine(s, load(s, &device, i == 1 ? BF16 : F32, &model));
        assert_fine(s, model_hash(&model, hash[i], &s->err));
        model_release(&model);
    }
    assert_string_equal(hash[0], hash[1]); /* of what is stored, not of what is computed with */
    assert_string_not_equal(hash[0], hash[2]);
    device_close(&device);
}

static void sites_and_tensors_have_their_live_names(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s);
    struct model model;
    tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .members = "\"attention_bias\": true", .head_size = 6 });
    assert_fine(s, load(s, &device, F32, &model));
    assert_int_equal(model.sites, 2 * 7 + 1);
    assert_string_equal(model.site[0]->module, "model.layers.0.self_attn.q_proj");
    assert_true(model.site[0]->in == 16 && model.site[0]->out == 24 && model.site[0]->layer == 0 && model.site[0]->projection == Q);
    assert_string_equal(model.site[7 + 6]->module, "model.layers.1.mlp.down_proj");
    assert_true(model.site[7 + 6]->in == 24 && model.site[7 + 6]->out == 16 && model.site[7 + 6]->layer == 1);
    assert_string_equal(model.site[14]->module, "lm_head");
    assert_true(model.site[14]->layer == -1 && model.site[14]->projection == HEAD && model.site[14]->out == 31);
    assert_ptr_equal(weight_named(&model, "model.layers.1.self_attn.o_proj.bias"), model.layer[1].bias[ATTENTION_OUT]);
    assert_ptr_equal(weight_named(&model, "model.layers.0.post_attention_layernorm.weight"), model.layer[0].norm[1]);
    assert_ptr_equal(weight_named(&model, "lm_head.weight"), model.head);
    assert_null(model.layer[0].bias[UP]);
    int64_t values = 0;
    for (int i = 0; i < model.tensors; i++)
        values += model.tensor[i]->rows * model.tensor[i]->cols;
    assert_int_equal(values, model_config_size(&model.config));
    model_release(&model);
    model_release(&model); /* and again */
    device_close(&device);
}

/* A folder that has only its config.json is planned as it will be once its weights are there. */
static void weights_that_are_not_there_are_counted_as_those_that_are(void **state)
{
    static const enum dtype dtypes[] = { F32, BF16 };
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        struct model_config config;
        struct model there, foreseen;
        tiny_model_make(s->arena, s->folder, &(struct tiny_model){ .dtype = "BF16", .members = "\"torch_dtype\": \"bfloat16\"" });
        assert_fine(s, model_config_read(&config, s->arena, s->folder, &s->err));
        assert_fine(s, model_foresee(&there, s->arena, &config, dtypes[i], &s->err));
        assert_false(there.foreseen);
        assert_int_equal(remove(scratch_path(s, "model.safetensors")), 0);
        assert_fine(s, model_foresee(&foreseen, s->arena, &config, dtypes[i], &s->err));
        assert_true(foreseen.foreseen);
        assert_int_equal(foreseen.mapped_bytes, there.mapped_bytes);
        assert_int_equal(foreseen.converted_bytes, there.converted_bytes);
        for (int t = 0; t < there.tensors; t++) {
            assert_string_equal(foreseen.tensor[t]->name, there.tensor[t]->name);
            assert_int_equal(foreseen.tensor[t]->dtype, there.tensor[t]->dtype);
            assert_int_equal(foreseen.tensor[t]->data == NULL, there.tensor[t]->data == NULL);
        }
        model_release(&there), model_release(&foreseen);
        assert_failed(s, model_locate(&there, s->arena, &config, dtypes[i], &s->err), BAD_FILE, "holds no weights");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(every_stored_dtype_is_read_as_any_dtype_of_computation),
        SCRATCH_TEST(misaligned_tensors_are_copied),
        SCRATCH_TEST(names_without_the_prefix_and_old_buffers_are_fine),
        SCRATCH_TEST(a_tied_head_may_be_stored_if_it_is_the_embedding),
        SCRATCH_TEST(a_damaged_file_is_refused_by_tensor_name),
        SCRATCH_TEST(a_folder_without_weights_is_refused),
        SCRATCH_TEST(weights_that_are_not_there_are_counted_as_those_that_are),
        SCRATCH_TEST(the_hash_follows_every_value),
        SCRATCH_TEST(sites_and_tensors_have_their_live_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
