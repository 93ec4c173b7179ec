/* Families as their configurations: what silence means in each, which values are refused by name, and how many values published models have. */
#include "tests/models/config_text.h"

/* ---- silence means what transformers 5.23 assumes ---- */

enum { BIASES_NONE, BIASES_QKV = 1, BIASES_OUT = 2, BIASES_MLP = 4, BIASES_HEAD = 8 };

static const struct {
    const char *model_type;
    int64_t vocab, width, mlp_width, layers, heads, kv_heads, head_size, rotary_size, max_positions;
    int window, bos, eos, biases;
    double eps;
    enum activation activation;
    bool tied;
} silent[] = {
    { "llama", 32000, 4096, 11008, 32, 32, 32, 128, 128, 2048, 0, 1, 2, BIASES_NONE, 1e-6, SILU, false },
    { "mistral", 32000, 4096, 14336, 32, 32, 8, 128, 128, 131072, 4096, 1, 2, BIASES_NONE, 1e-6, SILU, false },
    { "qwen2", 151936, 4096, 22016, 32, 32, 32, 128, 128, 32768, 0, -1, -1, BIASES_QKV, 1e-6, SILU, false },
    { "gpt_neox", 50432, 6144, 24576, 44, 64, 64, 96, 24, 2048, 0, 0, 2, BIASES_QKV | BIASES_OUT | BIASES_MLP, 1e-5, GELU, false },
    { "gpt2", 50257, 768, 3072, 12, 12, 12, 64, 0, 1024, 0, 50256, 50256, BIASES_QKV | BIASES_OUT | BIASES_MLP, 1e-5, GELU_TANH, true },
    { "bloom", 250880, 64, 256, 2, 8, 8, 8, 0, 2048, 0, 1, 2, BIASES_QKV | BIASES_OUT | BIASES_MLP, 1e-5, GELU_TANH, true },
    { "falcon", 65024, 4544, 18176, 32, 71, 1, 64, 64, 2048, 0, 11, 11, BIASES_NONE, 1e-5, GELU, true },
    { "gpt_bigcode", 50257, 768, 3072, 12, 12, 1, 64, 0, 1024, 0, 50256, 50256, BIASES_QKV | BIASES_OUT | BIASES_MLP, 1e-5, GELU_TANH, true },
    { "mpt", 50368, 2048, 8192, 24, 16, 16, 128, 0, 2048, 0, -1, -1, BIASES_NONE, 1e-5, GELU, true },
    { "codegen", 50400, 4096, 16384, 28, 16, 16, 256, 64, 2048, 0, 50256, 50256, BIASES_MLP | BIASES_HEAD, 1e-5, GELU_TANH, false },
    { "gptj", 50400, 4096, 16384, 28, 16, 16, 256, 64, 2048, 0, 50256, 50256, BIASES_MLP | BIASES_HEAD, 1e-5, GELU_TANH, false },
};

static int biases_of(const struct shape *shape)
{
    return (shape->qkv_bias ? BIASES_QKV : 0) | (shape->attention_out_bias ? BIASES_OUT : 0) | (shape->mlp_bias ? BIASES_MLP : 0) |
           (shape->head_bias ? BIASES_HEAD : 0);
}

static void silence_means_what_transformers_assumes(void **state)
{
    struct scratch *s = *state;
    size_t families = 0;
    while (family_names()[families])
        families++;
    assert_int_equal(families, COUNT(silent));
    for (size_t i = 0; i < COUNT(silent); i++) {
        struct model_config c = accept(s, arena_print(s->arena, "'model_type':'%s'", silent[i].model_type));
        assert_string_equal(c.model_type, silent[i].model_type);
        assert_ptr_equal(c.family, family_find(silent[i].model_type));
        assert_string_equal(family_names()[i], silent[i].model_type);
        assert_true(c.vocab == silent[i].vocab && c.width == silent[i].width && c.mlp_width == silent[i].mlp_width && c.layers == silent[i].layers);
        assert_true(c.heads == silent[i].heads && c.kv_heads == silent[i].kv_heads && c.head_size == silent[i].head_size);
        assert_true(c.max_positions == silent[i].max_positions && c.window == silent[i].window && biases_of(&c.shape) == silent[i].biases);
        assert_true(c.rotary_size == silent[i].rotary_size && (c.shape.positions == ROTARY) == (silent[i].rotary_size > 0));
        assert_true(c.tied == silent[i].tied && c.norm_eps == silent[i].eps && c.activation == silent[i].activation);
        assert_true(c.bos == silent[i].bos && c.pad == -1 && c.eos_count == (silent[i].eos >= 0) && (c.eos_count == 0 || c.eos[0] == silent[i].eos));
        assert_true(c.rope.type == ROPE_DEFAULT && (c.rope.theta == 10000) == (c.shape.positions == ROTARY));
        assert_string_equal(c.dtype, "float32");
    }
}

/* ---- what is not computed is refused by name ---- */

static const struct {
    const char *members, *what;
    enum status code; /* 0 stands for BAD_MODEL; BAD_FILE: of the wrong type or out of range */
} refused[] = {
    { "'model_type':'gpt_neox','rotary_pct':0.29", "'rotary_pct' = 0.29", 0 },
    { "'model_type':'gpt_neox','rotary_pct':0.25,'partial_rotary_factor':0.5", "'partial_rotary_factor' = 0.5: the same under another name", 0 },
    { "'model_type':'gpt_neox','rope_parameters':{'partial_rotary_factor':0}", "'partial_rotary_factor' = 0", 0 },
    { "'model_type':'gpt_neox','rotary_emb_base':1", "'rotary_emb_base' = 1", 0 },
    { "'model_type':'gpt_neox','use_parallel_residual':1", "use_parallel_residual", BAD_FILE },
    { "'model_type':'gpt_neox','hidden_act':'relu6'", "'hidden_act' = \"relu6\"", 0 },
    { "'model_type':'gpt_neox','head_dim':48", "'head_dim' = 48: heads times head_dim is not the width", 0 },
    { "'model_type':'gpt_neox','layer_norm_eps':2", "'layer_norm_eps' = 2", 0 },
    { "'model_type':'gpt_neox','architectures':['GPTNeoXForSequenceClassification']", "'architectures'", 0 },
    { "'model_type':'gpt2','scale_attn_by_inverse_layer_idx':true", "'scale_attn_by_inverse_layer_idx' = true", 0 },
    { "'model_type':'gpt2','add_cross_attention':true", "'add_cross_attention' = true", 0 },
    { "'model_type':'gpt2','activation_function':'mish'", "'activation_function' = \"mish\"", 0 },
    { "'model_type':'gpt2','n_embd':770", "'n_embd' = 770: no multiple", 0 },
    { "'model_type':'gpt2','n_embd':768,'hidden_size':1024", "'hidden_size' = 1024: the same under another name", 0 },
    { "'model_type':'gpt2','n_positions':33554432", "'max_position_embeddings' is absent", 0 },
    { "'model_type':'bloom','apply_residual_connection_post_layernorm':true", "'apply_residual_connection_post_layernorm' = true", 0 },
    { "'model_type':'bloom','n_head':7", "'n_embed' is absent: no multiple", 0 },
    { "'model_type':'bloom','layer_norm_epsilon':-1", "'layer_norm_epsilon' = -1", 0 },
    { "'model_type':'bloom','n_embed':128,'hidden_size':64", "the same under another name", 0 },
    { "'model_type':'bloom','is_decoder':true,'is_encoder_decoder':true", "'is_encoder_decoder' = true", 0 },
    { "'model_type':'falcon','new_decoder_architecture':true,'parallel_attn':false", "'parallel_attn' = false", 0 },
    { "'model_type':'falcon','num_ln_in_parallel_attn':2", "'num_ln_in_parallel_attn' = 2", 0 },
    { "'model_type':'falcon','num_ln_in_parallel_attn':3", "num_ln_in_parallel_attn", BAD_FILE },
    { "'model_type':'falcon','num_attention_heads':8,'hidden_size':64,'num_kv_heads':4,'multi_query':false", "'num_kv_heads' = 4", 0 },
    { "'model_type':'RefinedWeb','n_head':71,'num_attention_heads':64", "'num_attention_heads' = 64: the same under another name", 0 },
    { "'model_type':'falcon','apply_residual_connection_post_layernorm':true", "'apply_residual_connection_post_layernorm' = true", 0 },
    { "'model_type':'falcon','activation':'quick_gelu'", "'activation' = \"quick_gelu\"", 0 },
    { "'model_type':'falcon','rope_scaling':{'type':'su'}", "'type' = \"su\"", 0 },
    { "'model_type':'gpt_bigcode','multi_query':2", "multi_query", BAD_FILE },
    { "'model_type':'gpt_bigcode','add_cross_attention':true", "'add_cross_attention' = true", 0 },
    { "'model_type':'gpt_bigcode','activation_function':'x'", "'activation_function' = \"x\"", 0 },
    { "'model_type':'gpt_bigcode','n_head':5", "no multiple of num_attention_heads", 0 },
    { "'model_type':'gpt_bigcode','scale_attn_weights':'no'", "scale_attn_weights", BAD_FILE },
    { "'model_type':'mpt','attn_config':{'qk_ln':true}", "attn_config: key 'qk_ln' = true", 0 },
    { "'model_type':'mpt','attn_config':{'alibi':false}", "attn_config: key 'alibi' = false", 0 },
    { "'model_type':'mpt','attn_config':{'attn_type':'multiquery_attention'}", "'attn_type' = \"multiquery_attention\"", 0 },
    { "'model_type':'mpt','attn_config':{'kv_n_heads':8}", "'kv_n_heads' = 8", 0 },
    { "'model_type':'mpt','attn_config':{'rope':true}", "'rope' = true: graft does not know", 0 },
    { "'model_type':'mpt','attn_config':{'clip_qkv':-1}", "'clip_qkv' = -1", 0 },
    { "'model_type':'mpt','attn_config':{'softmax_scale':0}", "'softmax_scale' = 0", 0 },
    { "'model_type':'mpt','attn_config':[8]", "'attn_config' = [8]", 0 },
    { "'model_type':'mpt','no_bias':false", "'no_bias' = false", 0 },
    { "'model_type':'mpt','expansion_ratio':2", "'expansion_ratio' = 2", 0 },
    { "'model_type':'mpt','norm_type':'rmsnorm'", "'norm_type' = \"rmsnorm\"", 0 },
    { "'model_type':'mpt','logit_scale':'inv_sqrt_d_model'", "'logit_scale' = \"inv_sqrt_d_model\"", 0 },
    { "'model_type':'codegen','n_head':18,'n_embd':1152", "'n_head' = 18", 0 },
    { "'model_type':'codegen','rotary_dim':null", "'rotary_dim' = null", 0 },
    { "'model_type':'codegen','rotary_dim':258", "'rotary_dim' = 258", 0 },
    { "'model_type':'codegen','rotary_dim':0", "rotary_dim", BAD_FILE },
    { "'model_type':'codegen','activation_function':'x'", "'activation_function' = \"x\"", 0 },
    { "'model_type':'gptj','rotary_dim':31", "'rotary_dim' = 31", 0 },
    { "'model_type':'gptj','rotary_dim':null", "'rotary_dim' = null", 0 },
    { "'model_type':'gptj','n_embd':100", "'n_embd' = 100", 0 },
    { "'model_type':'gptj','quantization_config':{'bits':8}", "'quantization_config'", 0 },
    { "'model_type':'gptj','architectures':['GPTJForQuestionAnswering']", "'architectures'", 0 },
};

static void what_a_family_does_not_compute_is_refused_by_name(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct model_config config;
        enum status code = refused[i].code ? refused[i].code : BAD_MODEL, status = read_folder(s, refused[i].members, NULL, &config);
        if (status == OK)
            print_error("accepted: %s\n", refused[i].members);
        assert_failed(s, status, code, refused[i].what);
    }
}

/* ---- published models ---- */

/* What model cards and papers give, from the configurations alone: sizes as they are published there, and the values of all tensors. */
static const struct {
    const char *model, *members;
    int64_t values;
} published[] = {
    { "pythia-70m", "'model_type':'gpt_neox','vocab_size':50304,'hidden_size':512,'intermediate_size':2048,'num_hidden_layers':6,'num_attention_heads':8",
      70426624 },
    { "pythia-1b", "'model_type':'gpt_neox','vocab_size':50304,'hidden_size':2048,'intermediate_size':8192,'num_hidden_layers':16,'num_attention_heads':8",
      1011781632 },
    { "gpt-neox-20b", "'model_type':'gpt_neox'", 20554567680 },
    { "gpt2", "'model_type':'gpt2'", 124439808 },
    { "gpt2-xl", "'model_type':'gpt2','n_embd':1600,'n_layer':48,'n_head':25", 1557611200 },
    { "bloom-560m", "'model_type':'bloom','n_embed':1024,'n_layer':24,'n_head':16", 559214592 },
    { "bloom", "'model_type':'bloom','hidden_size':14336,'n_layer':70,'n_head':112", 176247271424 },
    { "falcon-7b", "'model_type':'falcon','num_kv_heads':71", 6921720704 },
    { "falcon-40b", "'model_type':'RefinedWeb','hidden_size':8192,'n_layer':60,'n_head':128,'n_head_kv':8", 41303293952 },
    { "codegen-350M", "'model_type':'codegen','vocab_size':51200,'n_embd':1024,'n_layer':20,'n_head':16,'rotary_dim':32", 356712448 },
    { "starcoder", "'model_type':'gpt_bigcode','vocab_size':49152,'n_positions':8192,'n_embd':6144,'n_inner':24576,'n_layer':40,'n_head':48", 15517456384 },
    { "mpt-7b", "'model_type':'mpt','d_model':4096,'n_heads':32,'n_layers':32,'vocab_size':50432", 6649286656 },
    { "gpt-j-6b", "'model_type':'gptj'", 6050882784 },
};

static void configurations_have_the_published_numbers_of_values(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(published); i++) {
        struct model_config c = accept(s, published[i].members);
        if (model_config_size(&c) != published[i].values)
            print_error("%s: %lld values, not %lld\n", published[i].model, (long long)model_config_size(&c), (long long)published[i].values);
        assert_true(model_config_size(&c) == published[i].values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(silence_means_what_transformers_assumes),
        SCRATCH_TEST(what_a_family_does_not_compute_is_refused_by_name),
        SCRATCH_TEST(configurations_have_the_published_numbers_of_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
