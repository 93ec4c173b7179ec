/* config.json and generation_config.json: what is accepted and means what, and that everything else is refused with the key's name.
 *
 * Texts are written in single quotes. A case that does not name model_type is a llama.
 */
#include "tests/models/config_text.h"

#include <fcntl.h>

/* Everything the program writes to stderr during accept(). */
static const char *warnings_of(struct scratch *s, const char *members)
{
    const char *path = scratch_path(s, "stderr");
    int before = dup(2), file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(before >= 0 && file >= 0 && dup2(file, 2) == 2);
    accept(s, members);
    assert_int_equal(dup2(before, 2), 2);
    close(before), close(file);
    char *bytes;
    size_t size;
    assert_fine(s, file_read(s->arena, path, 1 << 20, &bytes, &size, &s->err));
    return bytes;
}

/* ---- values reach their fields ---- */

static int64_t get_kv_heads(const struct model_config *c)
{
    return c->kv_heads;
}
static int64_t get_head_size(const struct model_config *c)
{
    return c->head_size;
}
static int64_t get_rotary_size(const struct model_config *c)
{
    return c->rotary_size;
}
static int64_t get_parallel(const struct model_config *c)
{
    return c->shape.parallel;
}
static int64_t get_window(const struct model_config *c)
{
    return c->window;
}
static int64_t get_padding(const struct model_config *c)
{
    return c->padding;
}
static int64_t get_windowed(const struct model_config *c)
{
    int64_t layers = 0;
    for (int64_t i = 0; i < c->layers; i++)
        layers = 10 * layers + (model_window(c, i) > 0);
    return layers;
}
static int64_t get_activation(const struct model_config *c)
{
    return c->activation;
}
static int64_t get_biases(const struct model_config *c)
{
    return c->shape.qkv_bias * 4 + c->shape.attention_out_bias * 2 + c->shape.mlp_bias;
}
static int64_t get_rope(const struct model_config *c)
{
    return c->rope.type;
}
static int64_t get_theta(const struct model_config *c)
{
    return (int64_t)c->rope.theta;
}
static int64_t get_original(const struct model_config *c)
{
    return c->rope.original_positions;
}
static int64_t get_bos(const struct model_config *c)
{
    return c->bos;
}
static int64_t get_pad(const struct model_config *c)
{
    return c->pad;
}
/* the ends of text as digits of base 100000, the last one lowest */
static int64_t get_eos(const struct model_config *c)
{
    int64_t all = 0;
    for (int i = 0; i < c->eos_count; i++)
        all = all * 100000 + c->eos[i];
    return all;
}
static int64_t get_tied(const struct model_config *c)
{
    return c->tied;
}
static int64_t get_micro_eps(const struct model_config *c)
{
    return (int64_t)(c->norm_eps * 1e6 + 0.5);
}

static const struct {
    const char *members;
    int64_t (*get)(const struct model_config *);
    int64_t value;
} fields[] = {
    { "'num_attention_heads':8,'num_key_value_heads':2", get_kv_heads, 2 },
    { "'num_attention_heads':8,'num_key_value_heads':null", get_kv_heads, 8 },
    { "'model_type':'mistral','num_attention_heads':16,'num_key_value_heads':null", get_kv_heads, 16 },
    { "'head_dim':160,'hidden_size':5120", get_head_size, 160 },
    { "'head_dim':null,'hidden_size':64,'num_attention_heads':4", get_head_size, 16 },
    { "'head_dim':10,'hidden_size':25,'num_attention_heads':3", get_head_size, 10 },
    { "'rms_norm_eps':1e-05", get_micro_eps, 10 },
    { "'tie_word_embeddings':true", get_tied, 1 },
    { "'hidden_act':'swish'", get_activation, SILU },
    { "'hidden_act':'gelu'", get_activation, GELU },
    { "'hidden_act':'gelu_new'", get_activation, GELU_TANH },
    { "'hidden_act':'gelu_pytorch_tanh'", get_activation, GELU_TANH },
    { "'hidden_act':'relu'", get_activation, RELU },
    { "'attention_bias':true", get_biases, 6 },
    { "'mlp_bias':true", get_biases, 1 },
    { "'model_type':'qwen2'", get_biases, 4 },
    { "'model_type':'mistral','sliding_window':null", get_window, 0 },
    { "'model_type':'mistral','sliding_window':7", get_window, 7 },
    { "'model_type':'mistral','num_hidden_layers':2,'layer_types':['sliding_attention','sliding_attention']", get_window, 4096 },
    { "'model_type':'qwen2','sliding_window':7", get_window, 0 },
    { "'model_type':'qwen2','use_sliding_window':true,'sliding_window':null", get_window, 0 },
    { "'model_type':'qwen2','use_sliding_window':true,'sliding_window':7,'num_hidden_layers':28", get_window, 0 },
    { "'model_type':'qwen2','use_sliding_window':true,'sliding_window':7,'max_window_layers':0", get_window, 7 },
    { "'model_type':'qwen2','use_sliding_window':true,'sliding_window':7,'num_hidden_layers':1,'layer_types':['sliding_attention']", get_window, 7 },
    { "'model_type':'qwen2','use_sliding_window':true,'sliding_window':7,'num_hidden_layers':1,'layer_types':['full_attention']", get_window, 0 },
    { "'model_type':'qwen2','use_sliding_window':true,'sliding_window':7,'num_hidden_layers':3,'max_window_layers':1", get_windowed, 11 },
    { "'model_type':'qwen2','use_sliding_window':true,'num_hidden_layers':3,'layer_types':['sliding_attention','full_attention','sliding_attention']",
      get_windowed, 101 },
    { "'model_type':'mistral','num_hidden_layers':2", get_windowed, 11 },
    { "'vocab_size':40", get_padding, NO_PADDING },
    { "'vocab_size':40,'pad_token_id':3", get_padding, 3 },
    { "'vocab_size':40,'pad_token_id':-1", get_padding, 39 },
    { "'vocab_size':40,'pad_token_id':-41", get_padding, NO_PADDING },
    { "'vocab_size':40,'model_type':'gemma'", get_padding, 0 },
    { "'vocab_size':40,'model_type':'gemma','pad_token_id':null", get_padding, NO_PADDING },
    { "'vocab_size':40,'model_type':'opt'", get_padding, 1 },
    { "'vocab_size':40,'model_type':'phi3'", get_padding, NO_PADDING },
    { "'model_type':'phi3'", get_padding, 32000 },
    { "'vocab_size':40,'model_type':'gpt_neox','pad_token_id':3", get_padding, NO_PADDING },
    { "'rope_theta':500000.0", get_theta, 500000 },
    { "'rope_theta':500000", get_theta, 500000 },
    { "'rope_theta':7,'rope_parameters':{'rope_theta':9,'rope_type':'default'}", get_theta, 9 },
    { "'rope_scaling':null,'rope_parameters':{'rope_theta':9}", get_rope, ROPE_DEFAULT },
    { "'rope_scaling':{'type':'linear','factor':2}", get_rope, ROPE_LINEAR },
    { "'rope_scaling':{'rope_type':'dynamic','factor':2}", get_rope, ROPE_DYNAMIC },
    { "'rope_parameters':{'type':'yarn','factor':2}", get_rope, ROPE_YARN },
    { "'rope_scaling':{'type':'linear','rope_type':'linear','factor':2},'rope_parameters':{'factor':2,'rope_type':'linear','type':'linear'}", get_rope,
      ROPE_LINEAR },
    { "'rope_scaling':{'type':'yarn','factor':2,'original_max_position_embeddings':99}", get_original, 99 },
    { "'rope_scaling':{'type':'yarn','factor':2},'original_max_position_embeddings':99", get_original, 99 },
    { "'rope_scaling':{'type':'yarn','factor':2}", get_original, 2048 },
    { "'model_type':'gpt_neox','rotary_pct':1.0,'rotary_emb_base':500", get_theta, 500 },
    { "'model_type':'gpt_neox','rotary_pct':0.5", get_rotary_size, 48 },
    { "'model_type':'gpt_neox','rope_parameters':{'partial_rotary_factor':0.75}", get_rotary_size, 72 },
    { "'model_type':'gpt_neox','attention_bias':false", get_biases, 1 },
    { "'model_type':'gpt_neox','use_parallel_residual':false", get_parallel, 0 },
    { "'model_type':'gpt_neox'", get_parallel, 1 },
    { "'bos_token_id':null", get_bos, -1 },
    { "'bos_token_id':128000,'vocab_size':128256", get_bos, 128000 },
    { "'pad_token_id':-1", get_pad, -1 },
    { "'pad_token_id':0", get_pad, 0 },
    { "'eos_token_id':null", get_eos, 0 },
    { "'eos_token_id':[7,8,7]", get_eos, 700008 },
    { "'architectures':['LlamaModel'],'num_experts':0,'pretraining_tp':2,'quantization_config':null,'is_causal':true", get_bos, 1 },
    { "'architectures':['CodeGen25ForCausalLM'],'partial_rotary_factor':1.0,'logit_scale':1,'attention_dropout':0.0", get_bos, 1 },
};

static void values_reach_their_fields(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(fields); i++) {
        struct model_config c = accept(s, fields[i].members);
        if (fields[i].get(&c) != fields[i].value)
            print_error("%s: %lld, not %lld\n", fields[i].members, (long long)fields[i].get(&c), (long long)fields[i].value);
        assert_true(fields[i].get(&c) == fields[i].value);
    }
}

static void both_spellings_of_the_dtype_are_read(void **state)
{
    struct scratch *s = *state;
    assert_string_equal(accept(s, "'torch_dtype':'bfloat16'").dtype, "bfloat16");
    assert_string_equal(accept(s, "'dtype':'float16'").dtype, "float16");
    assert_string_equal(accept(s, "'dtype':'float16','torch_dtype':'bfloat16'").dtype, "float16");
    assert_string_equal(accept(s, "'torch_dtype':'torch.bfloat16'").dtype, "bfloat16");
}

static void generation_config_adds_ends_of_text(void **state)
{
    struct scratch *s = *state;
    struct model_config c;
    assert_fine(s, read_folder(s, "'eos_token_id':5", "'eos_token_id':[5,9],'bos_token_id':3,'pad_token_id':4", &c));
    assert_true(c.eos_count == 2 && c.eos[0] == 5 && c.eos[1] == 9 && c.bos == 3 && c.pad == 4);
    assert_fine(s, read_folder(s, "'bos_token_id':null", "'eos_token_id':9,'bos_token_id':3", &c));
    assert_true(c.eos_count == 1 && c.eos[0] == 9 && c.bos == -1);
    assert_failed(s, read_folder(s, "", "'eos_token_id':32000", &c), BAD_MODEL, "generation_config.json: key 'eos_token_id' = 32000");
}

/* ---- refusals ---- */

static const struct {
    const char *members, *what;
    enum status code; /* 0 stands for BAD_MODEL; BAD_FILE: of the wrong type or out of range */
} refused[] = {
    { "'model_type':'bert'", "'model_type' = \"bert\"", 0 },
    { "'model_type':null", "'model_type' = null", 0 },
    { "'model_type':3", "model_type", BAD_FILE },
    { "'architectures':['LlamaForSequenceClassification']", "'architectures' = [\"LlamaForSequenceClassification\"]", 0 },
    { "'architectures':['MistralModel']", "'architectures'", 0 },
    { "'architectures':'LlamaForCausalLM'", "'architectures'", 0 },
    { "'vocab_size':0", "vocab_size", BAD_FILE },
    { "'vocab_size':'32000'", "vocab_size", BAD_FILE },
    { "'vocab_size':4294967296", "vocab_size", BAD_FILE },
    { "'hidden_size':-64", "hidden_size", BAD_FILE },
    { "'hidden_size':64.0", "hidden_size", BAD_FILE },
    { "'hidden_size':100", "'hidden_size' = 100: no multiple of num_attention_heads", 0 },
    { "'intermediate_size':2147483648", "intermediate_size", BAD_FILE },
    { "'num_hidden_layers':1025", "num_hidden_layers", BAD_FILE },
    { "'num_hidden_layers':0", "num_hidden_layers", BAD_FILE },
    { "'num_attention_heads':0", "num_attention_heads", BAD_FILE },
    { "'num_attention_heads':32,'num_key_value_heads':5", "'num_key_value_heads' = 5", 0 },
    { "'num_attention_heads':32,'num_key_value_heads':64", "'num_key_value_heads' = 64", 0 },
    { "'num_attention_heads':65536,'hidden_size':65536,'head_dim':65536", "'num_attention_heads' = 65536", 0 },
    { "'head_dim':15", "'head_dim' = 15", 0 },
    { "'hidden_size':12,'num_attention_heads':4", "'head_dim' is absent", 0 },
    { "'max_position_embeddings':0", "max_position_embeddings", BAD_FILE },
    { "'rms_norm_eps':-1e-6", "'rms_norm_eps'", 0 },
    { "'rms_norm_eps':'tiny'", "rms_norm_eps", BAD_FILE },
    { "'hidden_act':'quick_gelu'", "'hidden_act' = \"quick_gelu\"", 0 },
    { "'hidden_act':7", "hidden_act", BAD_FILE },
    { "'tie_word_embeddings':'yes'", "tie_word_embeddings", BAD_FILE },
    { "'attention_bias':1", "attention_bias", BAD_FILE },
    { "'quantization_config':{'bits':4}", "'quantization_config' = {\"bits\":4}", 0 },
    { "'num_local_experts':8", "'num_local_experts' = 8", 0 },
    { "'num_experts':2", "'num_experts' = 2", 0 },
    { "'partial_rotary_factor':0.5", "'partial_rotary_factor' = 0.5", 0 },
    { "'rope_parameters':{'partial_rotary_factor':0.5}", "rope_parameters: key 'partial_rotary_factor' = 0.5", 0 },
    { "'logit_scale':0.0625", "'logit_scale' = 0.0625", 0 },
    { "'final_logit_softcapping':30.0", "'final_logit_softcapping' = 30.0", 0 },
    { "'is_causal':false", "'is_causal' = false", 0 },
    { "'is_encoder_decoder':true", "'is_encoder_decoder' = true", 0 },
    { "'pruned_heads':{'0':[1]}", "'pruned_heads' = {\"0\":[1]}", 0 },
    { "'rope_scaling':'linear'", "'rope_scaling' = \"linear\"", 0 },
    { "'rope_scaling':{'type':'su','factor':2}", "rope_scaling: key 'type' = \"su\"", 0 },
    { "'rope_scaling':{'rope_type':'longrope'}", "rope_scaling: key 'rope_type' = \"longrope\"", 0 },
    { "'rope_scaling':{'rope_type':'linear','type':'dynamic','factor':2}", "'rope_type' = \"linear\": differs", 0 },
    { "'rope_scaling':{'type':'linear'}", "rope_scaling: key 'factor' is absent", 0 },
    { "'rope_scaling':{'type':'linear','factor':0}", "'factor' = 0", 0 },
    { "'rope_scaling':{'type':'linear','factor':[2]}", "factor", BAD_FILE },
    { "'rope_scaling':{'type':'linear','factor':2},'rope_parameters':{'rope_type':'default'}", "'rope_scaling' = ", 0 },
    { "'rope_scaling':{'type':'dynamic','factor':2},'head_dim':2", "heads of 2 dimensions", 0 },
    { "'rope_scaling':{'type':'yarn','factor':2,'beta_fast':1,'beta_slow':2}", "'beta_fast' = 1", 0 },
    { "'rope_scaling':{'type':'yarn','factor':2,'original_max_position_embeddings':8},'original_max_position_embeddings':9",
      "'original_max_position_embeddings' = 8: differs", 0 },
    { "'rope_scaling':{'rope_type':'llama3','factor':2,'low_freq_factor':4,'high_freq_factor':1}", "'high_freq_factor' = 1", 0 },
    { "'rope_scaling':{'rope_type':'llama3','factor':2,'low_freq_factor':1}", "'high_freq_factor' is absent", 0 },
    { "'rope_parameters':{'full_attention':{'rope_type':'default'}}", "'full_attention' = {", 0 },
    { "'rope_theta':0.5", "'rope_theta' = 0.5", 0 },
    { "'model_type':'mistral','sliding_window':0", "sliding_window", BAD_FILE },
    { "'model_type':'mistral','num_hidden_layers':1,'layer_types':['full_attention']", "'layer_types' = [\"full_attention\"]: contradicts", 0 },
    { "'num_hidden_layers':2,'layer_types':['sliding_attention','sliding_attention']", "'layer_types'", 0 },
    { "'num_hidden_layers':2,'layer_types':['full_attention']", "one entry for each", 0 },
    { "'num_hidden_layers':1,'layer_types':['linear_attention']", "'layer_types' = [\"linear_attention\"]", 0 },
    { "'model_type':'qwen2','num_hidden_layers':1,'layer_types':['sliding_attention']", "contradicts", 0 },
    { "'bos_token_id':32000", "'bos_token_id' = 32000: not below vocab_size", 0 },
    { "'bos_token_id':'<s>'", "bos_token_id", BAD_FILE },
    { "'eos_token_id':32000", "'eos_token_id' = 32000: not below vocab_size", 0 },
    { "'eos_token_id':'</s>'", "'eos_token_id' = \"</s>\"", 0 },
    { "'eos_token_id':[1,2,3,4,5,6,7,8,9]", "more than 8", 0 },
    { "'eos_token_id':[[1]]", "'eos_token_id' = [[1]]", 0 },
    { "'vocab_size':32,'vocab_size':32", "config.json", BAD_FILE },
};

static void what_is_not_computed_is_refused_by_name(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct model_config config;
        enum status code = refused[i].code ? refused[i].code : BAD_MODEL, status = read_folder(s, refused[i].members, NULL, &config);
        if (status == OK)
            print_error("accepted: %s\n", refused[i].members);
        assert_holds(s->err.what, "config.json");
        assert_failed(s, status, code, refused[i].what);
    }
}

static void an_unknown_family_is_told_the_known_ones(void **state)
{
    struct scratch *s = *state;
    struct model_config config;
    assert_int_equal(read_folder(s, "'model_type':'lama'", NULL, &config), BAD_MODEL);
    assert_string_equal(s->err.cure, "the families are llama, mistral, qwen2, gpt_neox, gpt2, bloom, falcon, gpt_bigcode, mpt, codegen, gptj, opt, gemma, "
                                     "phi3, qwen3, stablelm; did you mean 'llama'?");
}

static void files_that_are_no_configuration_are_refused(void **state)
{
    struct scratch *s = *state;
    struct model_config config;
    assert_failed(s, model_config_read(&config, s->arena, scratch_path(s, "absent"), &s->err), BAD_FILE, "absent: no such folder");
    assert_failed(s, model_config_read(&config, s->arena, s->folder, &s->err), BAD_FILE, "config.json: no such file");
    scratch_write(s, "config.json", "[1]", 3);
    assert_failed(s, model_config_read(&config, s->arena, s->folder, &s->err), BAD_MODEL, "not a JSON object");
    scratch_write(s, "config.json", "{\"model_type\": \"llama\"", 22);
    assert_failed(s, model_config_read(&config, s->arena, s->folder, &s->err), BAD_FILE, "config.json");
}

static void unknown_keys_are_named_in_one_warning(void **state)
{
    struct scratch *s = *state;
    assert_string_equal(warnings_of(s, "'use_cache':true,'temperature':0.7,'initializer_range':0.02,'some_flag':false,'some_list':[],'other':null"), "");
    const char *text = warnings_of(s, "'brand_new_trick':true,'use_cache':true,'auto_map':{'a':'b'}");
    assert_holds(text, "config.json: unknown keys are ignored, as transformers' llama does: brand_new_trick, auto_map\n");
    assert_holds(warnings_of(s, "'sliding_window':7"), ": sliding_window\n");
    assert_holds(warnings_of(s, "'rope_scaling':{'type':'linear','factor':2,'beta_fast':3}"), "rope_scaling: the key 'beta_fast' is ignored");
}

static void a_model_has_as_many_values_as_its_tensors(void **state)
{
    struct scratch *s = *state;
    struct model_config c = accept(s, "'vocab_size':10,'hidden_size':8,'intermediate_size':6,'num_hidden_layers':3,'num_attention_heads':4,"
                                      "'num_key_value_heads':2,'attention_bias':true");
    /* per layer: two norms, q and o, k and v, biases, the MLP */
    int64_t layer = 2 * 8 + 2 * 8 * 8 + 2 * 4 * 8 + (8 + 4 + 4 + 8) + 3 * 6 * 8;
    assert_int_equal(model_config_size(&c), 10 * 8 + 3 * layer + 8 + 10 * 8);
    c.tied = true;
    assert_int_equal(model_config_size(&c), 10 * 8 + 3 * layer + 8);
}

static void dropout_is_remembered_for_training(void **state)
{
    struct scratch *s = *state;
    assert_null(accept(s, "").dropout);
    assert_string_equal(accept(s, "'attention_dropout':0.1").dropout, "attention_dropout");
    assert_string_equal(accept(s, "'model_type':'gpt2','resid_pdrop':0.0,'embd_pdrop':0.0").dropout, "attn_pdrop");
    assert_null(accept(s, "'model_type':'gpt2','resid_pdrop':0.0,'embd_pdrop':0.0,'attn_pdrop':0").dropout);
}

static void dtypes_of_computation_are_checked(void **state)
{
    struct scratch *s = *state;
    struct model_config c = accept(s, "'dtype':'bfloat16'");
    const struct device cpu = { .kind = CPU }, gpu = { .kind = CUDA };
    enum dtype dtype = I32;
    assert_fine(s, model_dtype("auto", &c, &cpu, &dtype, &s->err));
    assert_int_equal(dtype, F32);
    assert_fine(s, model_dtype("auto", &c, &gpu, &dtype, &s->err));
    assert_int_equal(dtype, BF16);
    assert_fine(s, model_dtype("float32", &c, &gpu, &dtype, &s->err));
    assert_int_equal(dtype, F32);
    assert_fine(s, model_dtype("bfloat16", &c, &cpu, &dtype, &s->err));
    assert_int_equal(dtype, BF16);
    assert_failed(s, model_dtype("float16", &c, &cpu, &dtype, &s->err), BAD_CONFIG, "float16");
    assert_failed(s, model_dtype("int8", &c, &cpu, &dtype, &s->err), BAD_CONFIG, "int8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(values_reach_their_fields),
        SCRATCH_TEST(both_spellings_of_the_dtype_are_read),
        SCRATCH_TEST(generation_config_adds_ends_of_text),
        SCRATCH_TEST(what_is_not_computed_is_refused_by_name),
        SCRATCH_TEST(an_unknown_family_is_told_the_known_ones),
        SCRATCH_TEST(files_that_are_no_configuration_are_refused),
        SCRATCH_TEST(unknown_keys_are_named_in_one_warning),
        SCRATCH_TEST(a_model_has_as_many_values_as_its_tensors),
        SCRATCH_TEST(dtypes_of_computation_are_checked),
        SCRATCH_TEST(dropout_is_remembered_for_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
