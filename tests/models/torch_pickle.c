/* Real files of torch.save: every tensor with the shape and the values that torch 2.11 reads there. Hostile ones are rows of tests/cli/malformed. */
#include "models/torch_pickle.h"
#include "common/files.h"
#include "tests/unit/scratch.h"

#include <math.h>

#define DATA SHARED_FOLDER "/data/"

static const struct published {
    const char *path, *first, *last; /* names of tensors in their order */
    int64_t tensors, elements;
    double norms;          /* sum of the tensors' norms */
    int64_t shapes;        /* sum over tensors i and dimensions d of (i + 1) (d + 1) size */
    double weighted_norms; /* sum over tensors i of (i + 1) norm */
} published[] = {
    { "adapters/prompt_tuning_bloomz560m/adapter_model.bin", "prompt_embeddings", "prompt_embeddings", 1, 8192, 20.497915191, 2056, 20.497915191 },
    { "adapters/tgis_prompt_prefixes/tinyllama_peft_adapter_raw/adapter_model.bin", "prompt_embeddings", "prompt_embeddings", 1, 512, 1.77288662, 136,
      1.77288662 },
    { "weights/BloomForCausalLM/pytorch_model.bin", "lm_head.weight", "transformer.word_embeddings_layernorm.weight", 66, 129184, 96.733022, 262112,
      3364.74535 },
    { "weights/T5ForConditionalGeneration/pytorch_model.bin", "decoder.block.0.layer.0.SelfAttention.k.weight", "shared.weight", 113, 252704, 2.75480996,
      1027675, 227.47952 },
};

static double norm_of(const struct safetensor *t)
{
    double sum = 0;
    for (uint64_t i = 0; i < t->bytes / sizeof(float); i++) {
        float value;
        memcpy(&value, (const char *)t->data + i * sizeof value, sizeof value);
        sum += (double)value * (double)value;
    }
    return sqrt(sum);
}

static void published_files_hold_what_torch_reads(void **state)
{
    struct scratch *s = *state;
    for (size_t p = 0; p < COUNT(published); p++) {
        const struct published *file = &published[p];
        struct safetensors table;
        int64_t elements = 0, shapes = 0;
        double norms = 0, weighted = 0;
        assert_fine(s, torch_pickle_open(&table, s->arena, arena_print(s->arena, DATA "%s", file->path), &s->err));
        assert_int_equal(table.count, file->tensors);
        assert_string_equal(table.tensor[0].name, file->first);
        assert_string_equal(table.tensor[table.count - 1].name, file->last);
        for (int64_t i = 0; i < table.count; i++) {
            const struct safetensor *t = &table.tensor[i];
            const double norm = norm_of(t);
            assert_string_equal(t->dtype, "F32");
            assert_ptr_equal(safetensors_find(&table, t->name), t);
            elements += (int64_t)(t->bytes / sizeof(float));
            norms += norm;
            weighted += (double)(i + 1) * norm;
            for (int d = 0; d < t->rank; d++)
                shapes += (i + 1) * (d + 1) * t->shape[d];
        }
        assert_int_equal(elements, file->elements);
        assert_int_equal(shapes, file->shapes);
        assert_true(fabs(norms - file->norms) <= 1e-8 * file->norms);
        assert_true(fabs(weighted - file->weighted_norms) <= 1e-8 * file->weighted_norms);
        safetensors_close(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(published_files_hold_what_torch_reads, scratch_make, scratch_remove),
    };
    if (!folder_exists(DATA)) {
        printf("SKIP: %s is absent\n", DATA);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
