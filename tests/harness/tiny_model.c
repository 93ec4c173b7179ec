/* Tiny models are written from graft's own description of a model; that this description is right is proved against recorded models elsewhere. */
#include "tests/harness/tiny_model.h"

#include "autograd/cpu/rows.h"
#include "common/random.h"
#include "models/model.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value ? value : otherwise;
}

static void write_config(struct arena *arena, const char *folder, const struct tiny_model *m)
{
    int64_t width = or_default(m->width, 16), heads = or_default(m->heads, 4);
    struct error err = { 0 };
    struct output out;
    CHECK(output_open(&out, arena, path_join(arena, folder, "config.json"), true, &err) == OK);
    output_print(&out, "{\n  \"model_type\": \"%s\",\n  \"vocab_size\": %" PRId64 ",\n  \"hidden_size\": %" PRId64 ",\n  \"num_hidden_layers\": %" PRId64 ",\n",
                 m->model_type ? m->model_type : "llama", or_default(m->vocab, 31), width, or_default(m->layers, 2));
    output_print(&out, "  \"num_attention_heads\": %" PRId64 ",\n  \"num_key_value_heads\": %" PRId64 ",\n  \"head_dim\": %" PRId64 ",\n", heads,
                 or_default(m->kv_heads, 2), or_default(m->head_size, width / heads));
    output_print(&out, "  \"intermediate_size\": %" PRId64 ",\n  \"max_position_embeddings\": %" PRId64 ",\n  \"tie_word_embeddings\": %s,\n",
                 or_default(m->mlp_width, 24), or_default(m->max_positions, 64), m->tied ? "true" : "false");
    output_print(&out, "  \"rms_norm_eps\": 1e-05,\n  \"bos_token_id\": 0,\n  \"eos_token_id\": 1,\n  \"pad_token_id\": 2%s%s\n}\n", m->members ? ",\n  " : "",
                 m->members ? m->members : "");
    CHECK(output_commit(&out) == OK);
}

static void *random_values(struct arena *arena, const struct tensor *t, uint64_t seed, enum dtype dtype)
{
    int64_t count = t->rows * t->cols;
    float *values = NEW_ARRAY(arena, count, float);
    void *narrowed = arena_array(arena, (size_t)count, dtype_bytes(dtype));
    float middle = strstr(t->name, "norm") ? 1.0F : 0.0F, spread = strstr(t->name, "embed") ? 0.5F : 0.25F;
    uint64_t stream = random_stream(t->name);
    for (int64_t i = 0; i < count; i++)
        values[i] = middle + spread * random_normal(seed, stream, (uint64_t)i);
    narrow(narrowed, values, dtype, count);
    return narrowed;
}

static void write_weights(struct arena *arena, const char *folder, const struct tiny_model *m)
{
    struct error err = { 0 };
    struct model_config config;
    struct model model;
    const char *name = m->dtype ? m->dtype : "F32";
    enum dtype dtype = strcmp(name, "BF16") == 0 ? BF16 : strcmp(name, "F16") == 0 ? F16 : F32;
    if (model_config_read(&config, arena, folder, &err) != OK || model_describe(&model, arena, &config, F32, &err) != OK)
        fprintf(stderr, "%s\n", err.what);
    CHECK(err.code == OK);
    struct safetensor *stored = NEW_ARRAY(arena, model.tensors, struct safetensor);
    for (int i = 0; i < model.tensors; i++) {
        const struct tensor *t = model.tensor[i];
        bool is_vector = strstr(t->name, "norm") || strstr(t->name, ".bias");
        stored[i] = (struct safetensor){ .name = t->name, .dtype = name, .rank = is_vector ? 1 : 2, .data = random_values(arena, t, m->seed, dtype) };
        stored[i].shape[0] = t->rows;
        stored[i].shape[is_vector ? 0 : 1] = t->cols;
    }
    CHECK(safetensors_write(arena, path_join(arena, folder, "model.safetensors"), stored, model.tensors, true, &err) == OK);
}

const char *tiny_model_make(struct arena *arena, const char *folder, const struct tiny_model *wanted)
{
    struct error err = { 0 };
    if (!folder) {
        const char *parent = getenv("TMPDIR");
        char *made = arena_print(arena, "%s/graft-model-XXXXXX", parent ? parent : "/tmp");
        CHECK(mkdtemp(made));
        folder = made;
    }
    CHECK(folder_make(folder, &err) == OK);
    struct arena *work = arena_create(NULL);
    write_config(work, folder, wanted);
    write_weights(work, folder, wanted);
    arena_destroy(work);
    return folder;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

void tiny_model_remove(const char *folder)
{
    CHECK(nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
}
