/* Prefix tuning, prompt tuning and p-tuning: sizes, names, starts, and what is refused. Values and gradients against PEFT's stand with those of LoRA (lora.c,
 * over all records), what holds for every method in kinds.c. */
#include "autograd/cpu/rows.h"
#include "tests/adapters/records.h"
#include "tests/adapters/walk.h"
#include "tokenizer/tokenizer.h"

#include <math.h>

#define LLAMA_2_7B                                                                                                                                             \
    "{'model_type': 'llama', 'vocab_size': 32000, 'hidden_size': 4096, 'intermediate_size': 11008, 'num_hidden_layers': 32, 'num_attention_heads': 32}"
#define LLAMA_3_8B                                                                                                                                             \
    "{'model_type': 'llama', 'vocab_size': 128256, 'hidden_size': 4096, 'intermediate_size': 14336, 'num_hidden_layers': 32, 'num_attention_heads': 32,"       \
    " 'num_key_value_heads': 8}"

static const struct {
    const char *config, *yaml;
    int64_t values;
} sizes[] = {
    { LLAMA_2_7B, "PREFIX_TUNING, num_virtual_tokens: 20", 5242880 },
    { LLAMA_3_8B, "PREFIX_TUNING, num_virtual_tokens: 20", 1310720 },
    { LLAMA_3_8B, "PREFIX_TUNING, num_virtual_tokens: 20, prefix_projection: true", 20 * 1024 + (1024 * 1024 + 1024) + (1024 * 65536LL + 65536) },
    { LLAMA_2_7B, "PROMPT_TUNING, num_virtual_tokens: 8", 8 * 4096 },
    { LLAMA_2_7B, "P_TUNING, num_virtual_tokens: 20, encoder_hidden_size: 128", 20 * 4096 + (4096 * 128 + 128) + (128 * 128 + 128) + (128 * 4096 + 4096) },
    { LLAMA_2_7B, "P_TUNING, num_virtual_tokens: 20, encoder_hidden_size: 128, encoder_reparameterization_type: LSTM",
      20 * 4096 + 2 * (512 * 4096 + 512 * 128 + 1024) + 2 * (512 * 256 + 512 * 128 + 1024) + (256 * 256 + 256) + (256 * 4096 + 4096) },
};

static void parameters_are_counted_as_in_peft(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct model model;
        struct adapter *adapter;
        described_model(s, &model, arena_print(s->arena, "%s", sizes[i].config));
        assert_fine(s, small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: %s}", sizes[i].yaml)));
        assert_int_equal(parameters_size(adapter->parameters), sizes[i].values);
    }
}

/* examples/base: 96 wide, 2 key heads of 24, 4 layers, 512 positions, with a tokenizer. */
static void open_base(struct scratch *s, struct model *model, struct device *device)
{
    struct model_config config;
    assert_fine(s, device_open(device, "cpu", 1, &s->err));
    assert_fine(s, model_config_read(&config, s->arena, TESTS_FOLDER "/../examples/base", &s->err));
    assert_fine(s, model_load(model, s->arena, &config, F32, device, &s->err));
}

static void close_base(struct model *model, struct device *device)
{
    model_release(model);
    device_close(device);
}

static struct adapter *started(struct scratch *s, const struct model *model, struct device *device, const char *yaml)
{
    struct adapter *adapter;
    assert_fine(s, small_adapter(s, &adapter, model, yaml));
    assert_fine(s, adapter_start(adapter, s->arena, model, device, true, 5, &s->err));
    return adapter;
}

/* deviation < 0: uniform within minus that. */
static void expect_spread(const struct adapter *adapter, const char *name, double deviation)
{
    const struct tensor *t = parameters_find(adapter->parameters, name);
    double sum = 0, squares = 0, largest = 0;
    assert_non_null(t);
    const int64_t count = t->rows * t->cols;
    for (int64_t i = 0; i < count; i++) {
        const double value = (double)((const float *)t->data)[i];
        sum += value, squares += value * value, largest = fmax(largest, fabs(value));
    }
    const double wanted = deviation < 0 ? -deviation / sqrt(3) : deviation;
    const double found = sqrt(squares / (double)count);
    if (!(fabs(found - wanted) <= 0.15 * wanted && fabs(sum / (double)count) <= 0.15 * wanted))
        fail_msg("%s: deviation %g around %g, wanted %g", name, found, sum / (double)count, wanted);
    assert_true(deviation >= 0 || (largest <= -deviation && largest > 0.9 * -deviation));
}

#define ENCODER "prompt_encoder.default."
static void starts_have_the_spread_of_pytorch(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    open_base(s, &model, &device);
    struct adapter *a = started(s, &model, &device, "{peft_type: PREFIX_TUNING, num_virtual_tokens: 8}");
    expect_spread(a, "prompt_embeddings", 1);
    adapter_release(a);
    a = started(s, &model, &device, "{peft_type: PREFIX_TUNING, num_virtual_tokens: 8, init_weights: zero}");
    expect_spread(a, "prompt_embeddings", 0);
    adapter_release(a);
    a = started(s, &model, &device, "{peft_type: PREFIX_TUNING, num_virtual_tokens: 8, prefix_projection: true, encoder_hidden_size: 64}");
    expect_spread(a, ENCODER "embedding.weight", 1);
    expect_spread(a, ENCODER "transform.0.weight", -1 / sqrt(48));
    expect_spread(a, ENCODER "transform.2.bias", -1 / sqrt(64));
    adapter_release(a);
    a = started(s, &model, &device, "{peft_type: PREFIX_TUNING, num_virtual_tokens: 8, prefix_projection: true, init_weights: zero}");
    expect_spread(a, ENCODER "transform.0.weight", -1 / sqrt(48));
    expect_spread(a, ENCODER "transform.2.weight", 0);
    expect_spread(a, ENCODER "transform.2.bias", 0);
    adapter_release(a);
    a = started(s, &model, &device, "{peft_type: PROMPT_TUNING, num_virtual_tokens: 8}");
    expect_spread(a, "prompt_embeddings", 1);
    adapter_release(a);
    a = started(s, &model, &device, "{peft_type: P_TUNING, num_virtual_tokens: 8, encoder_reparameterization_type: LSTM, encoder_hidden_size: 40}");
    expect_spread(a, ENCODER "embedding.weight", 1);
    expect_spread(a, ENCODER "lstm_head.weight_ih_l0", -1 / sqrt(40));
    expect_spread(a, ENCODER "lstm_head.weight_hh_l1_reverse", -1 / sqrt(40));
    expect_spread(a, ENCODER "lstm_head.bias_hh_l0", -1 / sqrt(40));
    expect_spread(a, ENCODER "mlp_head.0.weight", -1 / sqrt(80));
    adapter_release(a);
    close_base(&model, &device);
}

static void embedding_of(float *to, const struct model *model, int64_t id)
{
    const int64_t width = model->config.width;
    widen(to, (const char *)model->embed->data + (size_t)(id * width) * dtype_bytes(model->embed->dtype), model->embed->dtype, width);
}

static const char task[] = "Answer the question in one word.";

static struct tokens encode(struct scratch *s, const char *text)
{
    struct tokenizer *tokenizer;
    struct tokens tokens;
    assert_fine(s, tokenizer_open(&tokenizer, s->arena, TESTS_FOLDER "/../examples/base", &s->err));
    assert_fine(s, tokenizer_encode(tokenizer, s->arena, text, strlen(text), true, &tokens, &s->err));
    tokenizer_close(tokenizer);
    assert_true(tokens.count > 3);
    return tokens;
}

static void prompt_tuning_starts_from_embeddings(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    float row[96];
    open_base(s, &model, &device);
    const struct tokens tokens = encode(s, task);
    const int64_t counts[] = { tokens.count - 2, 2 * tokens.count + 1 }; /* cut, and repeated */
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct adapter *a =
            started(s, &model, &device,
                    arena_print(s->arena, "{peft_type: PROMPT_TUNING, num_virtual_tokens: %d, prompt_tuning_init: TEXT, prompt_tuning_init_text: %s}",
                                (int)counts[i], task));
        for (int64_t r = 0; r < counts[i]; r++) {
            embedding_of(row, &model, tokens.token[r % tokens.count].id);
            assert_memory_equal((const float *)a->parameters->tensor[0]->data + r * 96, row, sizeof row);
        }
        adapter_release(a);
    }
    struct adapter *a = started(s, &model, &device, "{peft_type: PROMPT_TUNING, num_virtual_tokens: 50, prompt_tuning_init: SAMPLE_VOCAB}");
    int64_t found = 0;
    for (int64_t r = 0; r < 50; r++)
        for (int64_t id = 0, here = 0; id < model.config.vocab && !here; id++) {
            embedding_of(row, &model, id);
            here = memcmp((const float *)a->parameters->tensor[0]->data + r * 96, row, sizeof row) == 0;
            found += here;
        }
    assert_int_equal(found, 50);
    adapter_release(a);
    close_base(&model, &device);
}

/* The claim of prefix_init_text: at the start the prefix does what the text in front of a sequence would do. */
static void a_prefix_of_a_text_does_what_the_text_does(void **state)
{
    static const int32_t ids[] = { 30, 170, 420, 55, 56, 600, 33 };
    struct scratch *s = *state;
    struct model model;
    struct device device;
    open_base(s, &model, &device);
    const struct tokens tokens = encode(s, task);
    const int64_t prefix = tokens.count + 2, vocab = model.config.vocab; /* the text, and its first two tokens again */
    struct adapter *a =
        started(s, &model, &device, arena_print(s->arena, "{peft_type: PREFIX_TUNING, num_virtual_tokens: %d, prefix_init_text: %s}", (int)prefix, task));
    int32_t *whole = NEW_ARRAY(s->arena, prefix + (int64_t)COUNT(ids), int32_t);
    for (int64_t t = 0; t < prefix; t++)
        whole[t] = tokens.token[t % tokens.count].id;
    memcpy(whole + prefix, ids, sizeof ids);
    const struct batch text = { .sequences = 1, .ids = { ids }, .length = { COUNT(ids) } };
    const struct batch all = { .sequences = 1, .ids = { whole }, .length = { prefix + (int64_t)COUNT(ids) } };
    const float *expected = walk_logits(s, &model, NULL, &all, false) + prefix * vocab, *found = walk_logits(s, &model, a, &text, false);
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < (int64_t)COUNT(ids) * vocab; i++) {
        largest = fmax(largest, fabs((double)expected[i]));
        worst = fmax(worst, fabs((double)expected[i] - (double)found[i]));
    }
    assert_true(worst < 1e-5 * largest);
    adapter_release(a);
    close_base(&model, &device);
}

static void encoder_dropout_acts_in_training_only(void **state)
{
    static const int32_t ids[] = { 30, 17, 42, 55 };
    static const struct batch batch = { .sequences = 1, .ids = { ids }, .labels = { ids }, .length = { 4 } };
    static const char yaml[] = "{peft_type: P_TUNING, num_virtual_tokens: 5, encoder_reparameterization_type: LSTM, encoder_hidden_size: 20,"
                               " encoder_num_layers: 3, encoder_dropout: %s}";
    struct scratch *s = *state;
    struct model model;
    struct device device;
    open_base(s, &model, &device);
    struct adapter *with = started(s, &model, &device, arena_print(s->arena, yaml, "0.5")),
                   *without = started(s, &model, &device, arena_print(s->arena, yaml, "0"));
    const float dropped = walk_loss(s, &model, with, &batch, false);
    assert_true(dropped != walk_loss(s, &model, without, &batch, false));
    assert_true(dropped == walk_loss(s, &model, with, &batch, true));
    const size_t bytes = (size_t)(4 * model.config.vocab) * sizeof(float);
    const struct batch shown = { .sequences = 1, .ids = { ids }, .length = { 4 } };
    assert_memory_equal(walk_logits(s, &model, with, &shown, false), walk_logits(s, &model, without, &shown, false), bytes);
    adapter_release(with), adapter_release(without);
    close_base(&model, &device);
}

/* small_model: 3 layers of width 16, 4 heads, 2 key heads of size 4, 64 positions. */
static const struct {
    const char *yaml, *what;
} refused[] = {
    { "PREFIX_TUNING", "adapter.num_virtual_tokens: missing" },
    { "PREFIX_TUNING, num_virtual_tokens: 64", "adapter.num_virtual_tokens: 64, the model has 64 positions" },
    { "PREFIX_TUNING, num_virtual_tokens: 4, token_dim: 16", "adapter.token_dim: 16, for this model it is 8" },
    { "PREFIX_TUNING, num_virtual_tokens: 4, num_layers: 2", "adapter.num_layers: 2, for this model it is 3" },
    { "PREFIX_TUNING, num_virtual_tokens: 4, num_attention_heads: 4", "adapter.num_attention_heads: 4, for this model it is 2" },
    { "PREFIX_TUNING, num_virtual_tokens: 4, num_transformer_submodules: 2", "adapter.num_transformer_submodules: 2, for this model it is 1" },
    { "PREFIX_TUNING, num_virtual_tokens: 4, prefix_init_text: a, prefix_projection: true", "adapter.prefix_init_text: given together with prefix_projection" },
    { "PREFIX_TUNING, num_virtual_tokens: 4, prefix_init_text: a, init_weights: zero", "adapter.prefix_init_text: given together with init_weights: zero" },
    { "PREFIX_TUNING, num_virtual_tokens: 4, prefix_init_text: a", "tokenizer.json" },
    { "PROMPT_TUNING, num_virtual_tokens: 4, token_dim: 8", "adapter.token_dim: 8, for this model it is 16" },
    { "PROMPT_TUNING, num_virtual_tokens: 4, prompt_tuning_init: TEXT", "prompt_tuning_init_text is missing" },
    { "PROMPT_TUNING, num_virtual_tokens: 4, prompt_tuning_init_text: a", "prompt_tuning_init is RANDOM" },
    { "P_TUNING, num_virtual_tokens: 4, num_attention_heads: 2", "adapter.num_attention_heads: 2, for this model it is 4" },
};

static void contradictions_are_refused_with_both_values(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    small_model(s, &model, "");
    for (size_t i = 0; i < COUNT(refused); i++) {
        s->err = (struct error){ 0 };
        assert_true(small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: %s}", refused[i].yaml)) != OK);
        assert_holds(s->err.what, refused[i].what);
        assert_true(*s->err.cure != 0);
    }
    s->err = (struct error){ 0 };
}

static void slopes_bound_no_virtual_tokens(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    described_model(s, &model, arena_print(s->arena, "{'model_type': 'bloom', 'n_head': 4, 'seq_length': 20}"));
    assert_fine(s, small_adapter(s, &adapter, &model, "{peft_type: PROMPT_TUNING, num_virtual_tokens: 30}"));
}

/* transformers copies falcon-40b's keys for every query head; what PEFT trains there has rows that graft's attention has no place for. */
static void a_prefix_per_query_head_is_refused(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct device device;
    struct adapter *adapter;
    record_model(s, &model, &device, "falcon_new", F32);
    assert_int_equal(small_adapter(s, &adapter, &model, "{peft_type: PREFIX_TUNING, num_virtual_tokens: 4}"), BAD_CONFIG);
    assert_holds(s->err.what, "one prefix per query head (6), and graft has one per key head (2)");
    s->err = (struct error){ 0 };
    model_release(&model);
    device_close(&device);
}

/* What PEFT saves of an encoder is enough for use, and not for going on. */
static void training_through_an_encoder_needs_the_encoder(void **state)
{
    static const char *const encoders[] = { "llama_mha.p_mlp", "llama_mha.p_lstm", "llama_mha.prefix_projection" };
    struct scratch *s = *state;
    struct model model;
    struct device device;
    record_model(s, &model, &device, "llama_mha", F32);
    for (size_t i = 0; i < COUNT(encoders); i++) {
        struct adapter *adapter;
        const char *folder = scratch_path(s, encoders[i]);
        assert_fine(s, adapter_load(&adapter, s->arena, record_path(s, encoders[i], "adapter"), &model, &device, &s->err));
        assert_fine(s, adapter_save(adapter, s->arena, &model, folder, &s->err)); /* as PEFT would, without the encoder */
        adapter_release(adapter);
        assert_fine(s, adapter_load(&adapter, s->arena, folder, &model, &device, &s->err));
        adapter_release(adapter);
        assert_int_equal(small_adapter(s, &adapter, &model, arena_print(s->arena, "{init_from: %s}", folder)), BAD_FILE);
        assert_holds(s->err.what, "adapter_trainable.safetensors: no such file");
        s->err = (struct error){ 0 };
    }
    model_release(&model);
    device_close(&device);
}

static void only_one_adapter_stands_in_front(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *a[3];
    small_model(s, &model, "");
    assert_fine(s, small_adapter(s, &a[0], &model, "{peft_type: PREFIX_TUNING, num_virtual_tokens: 2}"));
    assert_fine(s, small_adapter(s, &a[1], &model, "{peft_type: LORA}"));
    assert_fine(s, small_adapter(s, &a[2], &model, "{peft_type: P_TUNING, num_virtual_tokens: 2}"));
    a[0]->init_from = "one", a[2]->init_from = "other";
    assert_fine(s, adapters_check(a, 2, &s->err));
    assert_int_equal(adapters_check(a, 3, &s->err), BAD_OPTION);
    assert_holds(s->err.what, "--adapter: one (PREFIX_TUNING) and other (P_TUNING)");
    s->err = (struct error){ 0 };
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(parameters_are_counted_as_in_peft),
        SCRATCH_TEST(starts_have_the_spread_of_pytorch),
        SCRATCH_TEST(prompt_tuning_starts_from_embeddings),
        SCRATCH_TEST(a_prefix_of_a_text_does_what_the_text_does),
        SCRATCH_TEST(encoder_dropout_acts_in_training_only),
        SCRATCH_TEST(contradictions_are_refused_with_both_values),
        SCRATCH_TEST(slopes_bound_no_virtual_tokens),
        SCRATCH_TEST(a_prefix_per_query_head_is_refused),
        SCRATCH_TEST(training_through_an_encoder_needs_the_encoder),
        SCRATCH_TEST(only_one_adapter_stands_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
