/* Frequencies and amplitudes of every rope_type, from text of config.json to numbers, against those that transformers 5.23 computes for the same text. */
#include "models/rope.h"
#include "tests/unit/scratch.h"

#include <math.h>

/* clang-format off */
static const struct {
    const char *claim, *members; /* of config.json, in single quotes; heads of 16 dimensions unless head_dim stands there */
    float inv_freq[8];
    int pairs;
    float amplitude;
} cases[] = {
    { "default, theta absent",
      "",
      { 1.0F, 0.316227764F, 0.100000001F, 0.0316227786F, 0.00999999978F, 0.00316227786F, 0.00100000005F, 0.000316227786F }, 8, 1.0F },
    { "default, theta beside",
      "'rope_theta': 500000.0",
      { 1.0F, 0.193922758F, 0.0376060307F, 0.00729266508F, 0.00141421345F, 0.000274248188F, 5.31829573e-05F, 1.03133852e-05F }, 8, 1.0F },
    { "default inside rope_parameters, odd number of pairs",
      "'rope_parameters': {'rope_type': 'default', 'rope_theta': 1000000.0}, 'head_dim': 14",
      { 1.0F, 0.138949528F, 0.0193069726F, 0.00268269563F, 0.000372759241F, 5.17947337e-05F, 7.19685613e-06F }, 7, 1.0F },
    { "linear, old spelling",
      "'rope_theta': 10000.0, 'rope_scaling': {'type': 'linear', 'factor': 2.5}",
      { 0.400000006F, 0.1264911F, 0.0399999991F, 0.0126491114F, 0.00399999972F, 0.00126491114F, 0.000400000019F, 0.000126491112F }, 8, 1.0F },
    { "dynamic",
      "'rope_parameters': {'rope_type': 'dynamic', 'rope_theta': 10000.0, 'factor': 3.0}",
      { 1.0F, 0.316227764F, 0.100000001F, 0.0316227786F, 0.00999999978F, 0.00316227786F, 0.00100000005F, 0.000316227786F }, 8, 1.0F },
    { "llama3, all three ranges",
      "'rope_theta': 10000.0, 'max_position_embeddings': 8192, 'rope_scaling': {'rope_type': 'llama3', 'factor': 8.0, "
      "'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 512}",
      { 1.0F, 0.316227764F, 0.100000001F, 0.0184966773F, 0.00124999997F, 0.000395284733F, 0.000125000006F, 3.95284733e-05F }, 8, 1.0F },
    { "llama3 of Llama-3.1",
      "'rope_theta': 500000.0, 'max_position_embeddings': 131072, 'rope_scaling': {'rope_type': 'llama3', 'factor': 8.0, "
      "'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 8192}",
      { 1.0F, 0.193922758F, 0.0376060307F, 0.00729266508F, 0.000524846022F, 3.42810235e-05F, 6.64786967e-06F, 1.28917316e-06F }, 8, 1.0F },
    { "yarn, amplitude from factor",
      "'rope_parameters': {'rope_type': 'yarn', 'rope_theta': 10000.0, 'factor': 4.0, 'original_max_position_embeddings': 16}",
      { 1.0F, 0.079056941F, 0.0250000004F, 0.00790569466F, 0.00249999994F, 0.000790569466F, 0.000250000012F, 7.90569466e-05F }, 8, 1.13862944F },
    { "yarn, original length beside",
      "'max_position_embeddings': 256, 'original_max_position_embeddings': 64, 'rope_scaling': {'type': 'yarn', "
      "'factor': 4.0}",
      { 1.0F, 0.237170815F, 0.049999997F, 0.00790569466F, 0.00249999994F, 0.000790569466F, 0.000250000012F, 7.90569466e-05F }, 8, 1.13862944F },
    { "yarn, amplitude given",
      "'rope_parameters': {'rope_type': 'yarn', 'rope_theta': 10000.0, 'factor': 4.0, 'attention_factor': 1.3, "
      "'beta_fast': 4.0, 'beta_slow': 0.1, 'original_max_position_embeddings': 16}",
      { 1.0F, 0.237170815F, 0.049999997F, 0.00790569466F, 0.00249999994F, 0.000790569466F, 0.000250000012F, 7.90569466e-05F }, 8, 1.3F },
    { "yarn, mscale, not truncated",
      "'rope_parameters': {'rope_type': 'yarn', 'rope_theta': 10000.0, 'factor': 4.0, 'mscale': 1.2, 'mscale_all_dim': 0.7, "
      "'beta_fast': 3.0, 'beta_slow': 0.2, 'truncate': false, 'original_max_position_embeddings': 16}",
      { 1.0F, 0.208901912F, 0.032121174F, 0.00790569466F, 0.00249999994F, 0.000790569466F, 0.000250000012F, 7.90569466e-05F }, 8, 1.06318337F },
    { "yarn, factor from both lengths",
      "'max_position_embeddings': 512, 'rope_parameters': {'rope_type': 'yarn', 'rope_theta': 10000.0, 'factor': null, "
      "'original_max_position_embeddings': 64}",
      { 1.0F, 0.223994657F, 0.0416666642F, 0.00395284733F, 0.00124999997F, 0.000395284733F, 0.000125000006F, 3.95284733e-05F }, 8, 1.20794415F },
};
/* clang-format on */

static const char *double_quoted(struct scratch *s, const char *text)
{
    char *copy = arena_text(s->arena, text, strlen(text));
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return copy;
}

static struct model_config read_config(struct scratch *s, const char *members)
{
    struct model_config config;
    const char *text =
        arena_print(s->arena, "{\"model_type\":\"llama\", \"hidden_size\":32, \"num_attention_heads\":2, %s \"vocab_size\":10%s%s}",
                    strstr(members, "'max_position_embeddings'") ? "" : "\"max_position_embeddings\":64,", *members ? "," : "", double_quoted(s, members));
    scratch_write(s, "config.json", text, strlen(text));
    assert_fine(s, model_config_read(&config, s->arena, s->folder, &s->err));
    return config;
}

static void every_type_has_the_frequencies_of_transformers(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_config config = read_config(s, cases[i].members);
        float inv_freq[8];
        assert_int_equal(config.head_size, 2 * cases[i].pairs);
        float amplitude = rope_frequencies(&config, inv_freq);
        bool fine = fabsf(amplitude - cases[i].amplitude) <= 2e-7F * amplitude;
        for (int j = 0; j < cases[i].pairs; j++)
            fine = fine && fabsf(inv_freq[j] - cases[i].inv_freq[j]) <= 3e-7F * cases[i].inv_freq[j];
        if (!fine)
            for (int j = 0; j < cases[i].pairs; j++)
                print_error("%s: pair %d: %.9g, not %.9g (amplitude %.9g, not %.9g)\n", cases[i].claim, j, (double)inv_freq[j], (double)cases[i].inv_freq[j],
                            (double)amplitude, (double)cases[i].amplitude);
        assert_true(fine);
    }
}

static void only_the_dynamic_type_depends_on_length(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_config config = read_config(s, cases[i].members);
        struct dynamic_rope growth = rope_growth(&config);
        if (config.rope.type == ROPE_DYNAMIC)
            assert_true(growth.base == 10000 && growth.factor == 3 && growth.original == 64);
        else
            assert_true(growth.factor == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(every_type_has_the_frequencies_of_transformers),
        SCRATCH_TEST(only_the_dynamic_type_depends_on_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
