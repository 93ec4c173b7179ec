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
    { "opt", 50272, 768, 3072, 12, 12, 12, 64, 0, 2048, 0, 2, 2, BIASES_QKV | BIASES_OUT | BIASES_MLP, 1e-5, RELU, true },
    { "gemma", 256000, 3072, 24576, 28, 16, 16, 256, 256, 8192, 0, 2, 1, BIASES_NONE, 1e-6, GELU_TANH, true },
    { "phi3", 32064, 3072, 8192, 32, 32, 32, 96, 96, 4096, 0, 1, 32000, BIASES_NONE, 1e-5, SILU, false },
    { "qwen3", 151936, 4096, 22016, 32, 32, 32, 128, 128, 32768, 0, -1, -1, BIASES_NONE, 1e-6, SILU, false },
    { "stablelm", 50304, 2560, 6912, 32, 32, 32, 80, 20, 4096, 0, 0, 0, BIASES_NONE, 1e-5, SILU, false },
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

struct refusal {
    const char *members, *what;
    enum status code; /* 0 stands for BAD_MODEL; BAD_FILE: of the wrong type or out of range */
};

/* Mathematics that graft does not have: another activation, another scheme of positions, another norm, another layout. */
static const struct refusal not_computed[] = {
    { "'model_type':'llama','hidden_act':'relu2'", "'hidden_act' = \"relu2\"", 0 },
    { "'model_type':'llama','rope_scaling':{'type':'longrope'}", "'type' = \"longrope\"", 0 },
    { "'model_type':'llama','partial_rotary_factor':0.5", "'partial_rotary_factor' = 0.5", 0 },
    { "'model_type':'llama','num_local_experts':8", "'num_local_experts' = 8", 0 },
    { "'model_type':'llama','logits_scaling':16", "'logits_scaling' = 16", 0 },
    { "'model_type':'llama','final_logit_softcapping':30", "'final_logit_softcapping' = 30", 0 },
    { "'model_type':'llama','no_rope_layers':[1,0]", "'no_rope_layers' = [1,0]", 0 },
    { "'model_type':'mistral','hidden_act':'quick_gelu'", "'hidden_act' = \"quick_gelu\"", 0 },
    { "'model_type':'mistral','rope_scaling':{'type':'su'}", "'type' = \"su\"", 0 },
    { "'model_type':'mistral','num_local_experts':8", "'num_local_experts' = 8", 0 },
    { "'model_type':'mistral','num_hidden_layers':2,'layer_types':['full_attention','sliding_attention']", "'layer_types' = [", 0 },
    { "'model_type':'mistral','attn_logit_softcapping':50", "'attn_logit_softcapping' = 50", 0 },
    { "'model_type':'mistral','kv_lora_rank':512", "'kv_lora_rank' = 512", 0 },
    { "'model_type':'qwen2','hidden_act':'mish'", "'hidden_act' = \"mish\"", 0 },
    { "'model_type':'qwen2','rope_scaling':{'type':'mrope','mrope_section':[16,24,24]}", "'type' = \"mrope\"", 0 },
    { "'model_type':'qwen2','num_experts':60", "'num_experts' = 60", 0 },
    { "'model_type':'qwen2','num_hidden_layers':2,'layer_types':['full_attention','sliding_attention']", "'layer_types' = [", 0 },
    { "'model_type':'qwen2','use_qk_norm':true", "'use_qk_norm' = true", 0 },
    { "'model_type':'qwen2','partial_rotary_factor':0.5", "'partial_rotary_factor' = 0.5", 0 },
    { "'model_type':'gpt_neox','rotary_pct':0.29", "'rotary_pct' = 0.29", 0 },
    { "'model_type':'gpt_neox','hidden_act':'relu6'", "'hidden_act' = \"relu6\"", 0 },
    { "'model_type':'gpt_neox','rope_scaling':{'type':'longrope'}", "'type' = \"longrope\"", 0 },
    { "'model_type':'gpt_neox','alibi':true", "'alibi' = true", 0 },
    { "'model_type':'gpt_neox','clip_qkv':8", "'clip_qkv' = 8", 0 },
    { "'model_type':'gpt_neox','qk_norm':true", "'qk_norm' = true", 0 },
    { "'model_type':'gpt2','qk_norm':true", "'qk_norm' = true", 0 },
    { "'model_type':'gpt2','add_cross_attention':true", "'add_cross_attention' = true", 0 },
    { "'model_type':'gpt2','activation_function':'mish'", "'activation_function' = \"mish\"", 0 },
    { "'model_type':'gpt2','alibi':true", "'alibi' = true", 0 },
    { "'model_type':'gpt2','logit_scale':0.5", "'logit_scale' = 0.5", 0 },
    { "'model_type':'bloom','slow_but_exact':true,'pretraining_tp':4", "'slow_but_exact' = true", 0 },
    { "'model_type':'bloom','is_decoder':true,'is_encoder_decoder':true", "'is_encoder_decoder' = true", 0 },
    { "'model_type':'bloom','clip_qkv':6", "'clip_qkv' = 6", 0 },
    { "'model_type':'bloom','qk_norm':true", "'qk_norm' = true", 0 },
    { "'model_type':'bloom','use_parallel_residual':true", "'use_parallel_residual' = true", 0 },
    { "'model_type':'bloom','logit_scale':0.5", "'logit_scale' = 0.5", 0 },
    { "'model_type':'falcon','new_decoder_architecture':true,'parallel_attn':false", "'parallel_attn' = false", 0 },
    { "'model_type':'falcon','num_ln_in_parallel_attn':2", "'num_ln_in_parallel_attn' = 2", 0 },
    { "'model_type':'falcon','apply_residual_connection_post_layernorm':true", "'apply_residual_connection_post_layernorm' = true", 0 },
    { "'model_type':'falcon','activation':'quick_gelu'", "'activation' = \"quick_gelu\"", 0 },
    { "'model_type':'falcon','rope_scaling':{'type':'su'}", "'type' = \"su\"", 0 },
    { "'model_type':'gpt_bigcode','add_cross_attention':true", "'add_cross_attention' = true", 0 },
    { "'model_type':'gpt_bigcode','activation_function':'x'", "'activation_function' = \"x\"", 0 },
    { "'model_type':'gpt_bigcode','alibi':true", "'alibi' = true", 0 },
    { "'model_type':'gpt_bigcode','scale_attn_by_inverse_layer_idx':true", "'scale_attn_by_inverse_layer_idx' = true", 0 },
    { "'model_type':'gpt_bigcode','clip_qkv':8", "'clip_qkv' = 8", 0 },
    { "'model_type':'mpt','attn_config':{'qk_ln':true}", "attn_config: key 'qk_ln' = true", 0 },
    { "'model_type':'mpt','attn_config':{'alibi':false}", "attn_config: key 'alibi' = false", 0 },
    { "'model_type':'mpt','attn_config':{'attn_type':'multiquery_attention'}", "'attn_type' = \"multiquery_attention\"", 0 },
    { "'model_type':'mpt','attn_config':{'kv_n_heads':8}", "'kv_n_heads' = 8", 0 },
    { "'model_type':'mpt','no_bias':false", "'no_bias' = false", 0 },
    { "'model_type':'mpt','expansion_ratio':2", "'expansion_ratio' = 2", 0 },
    { "'model_type':'mpt','norm_type':'rmsnorm'", "'norm_type' = \"rmsnorm\"", 0 },
    { "'model_type':'mpt','logit_scale':'inv_sqrt_d_model'", "'logit_scale' = \"inv_sqrt_d_model\"", 0 },
    { "'model_type':'codegen','n_head':18,'n_embd':1152", "'n_head' = 18", 0 },
    { "'model_type':'codegen','rotary_dim':null", "'rotary_dim' = null", 0 },
    { "'model_type':'codegen','activation_function':'x'", "'activation_function' = \"x\"", 0 },
    { "'model_type':'codegen','qk_norm':true", "'qk_norm' = true", 0 },
    { "'model_type':'codegen','clip_qkv':8", "'clip_qkv' = 8", 0 },
    { "'model_type':'codegen','alibi':true", "'alibi' = true", 0 },
    { "'model_type':'gptj','rotary_dim':31", "'rotary_dim' = 31", 0 },
    { "'model_type':'gptj','rotary_dim':null", "'rotary_dim' = null", 0 },
    { "'model_type':'gptj','quantization_config':{'bits':8}", "'quantization_config'", 0 },
    { "'model_type':'gptj','activation_function':'quick_gelu'", "'activation_function' = \"quick_gelu\"", 0 },
    { "'model_type':'gptj','qk_norm':true", "'qk_norm' = true", 0 },
    { "'model_type':'gptj','alibi':true", "'alibi' = true", 0 },
    { "'model_type':'opt','do_layer_norm_before':false,'word_embed_proj_dim':512", "'do_layer_norm_before' = false", 0 },
    { "'model_type':'opt','word_embed_proj_dim':512", "'word_embed_proj_dim' = 512", 0 },
    { "'model_type':'opt','layer_norm_elementwise_affine':false", "'layer_norm_elementwise_affine' = false", 0 },
    { "'model_type':'opt','_remove_final_layer_norm':true", "'_remove_final_layer_norm' = true", 0 },
    { "'model_type':'opt','activation_function':'quick_gelu'", "'activation_function' = \"quick_gelu\"", 0 },
    { "'model_type':'gemma','attn_logit_softcapping':50", "'attn_logit_softcapping' = 50", 0 },
    { "'model_type':'gemma','final_logit_softcapping':30", "'final_logit_softcapping' = 30", 0 },
    { "'model_type':'gemma','query_pre_attn_scalar':224", "'query_pre_attn_scalar' = 224", 0 },
    { "'model_type':'gemma','hidden_activation':'silu'", "'hidden_activation' = \"silu\"", 0 },
    { "'model_type':'gemma','hidden_act':'mish'", "'hidden_act' = \"mish\"", 0 },
    { "'model_type':'gemma','use_bidirectional_attention':true", "'use_bidirectional_attention' = true", 0 },
    { "'model_type':'phi3','rope_scaling':{'type':'longrope','short_factor':[1],'long_factor':[2]}", "'type' = \"longrope\"", 0 },
    { "'model_type':'phi3','rope_scaling':{'type':'su','short_factor':[1],'long_factor':[2]}", "'type' = \"su\"", 0 },
    { "'model_type':'phi3','rope_scaling':{'type':'yarn','factor':4}", "'rope_scaling' = {", 0 },
    { "'model_type':'phi3','rope_parameters':{'rope_type':'linear','factor':2}", "'rope_parameters' = {", 0 },
    { "'model_type':'phi3','partial_rotary_factor':0.29", "'partial_rotary_factor' = 0.29", 0 },
    { "'model_type':'phi3','hidden_act':'swiglu'", "'hidden_act' = \"swiglu\"", 0 },
    { "'model_type':'phi3','num_local_experts':16", "'num_local_experts' = 16", 0 },
    { "'model_type':'qwen3','num_hidden_layers':1,'layer_types':['sliding_attention']", "'layer_types' = [", 0 },
    { "'model_type':'qwen3','num_experts':128", "'num_experts' = 128", 0 },
    { "'model_type':'qwen3','hidden_act':'relu2'", "'hidden_act' = \"relu2\"", 0 },
    { "'model_type':'qwen3','partial_rotary_factor':0.5", "'partial_rotary_factor' = 0.5: every dimension of a head is rotated", 0 },
    { "'model_type':'qwen3','rope_scaling':{'rope_type':'longrope'}", "'rope_type' = \"longrope\"", 0 },
    { "'model_type':'stablelm','qk_layernorm':true", "'qk_layernorm' = true", 0 },
    { "'model_type':'stablelm','rope_scaling':{'type':'longrope'}", "'type' = \"longrope\"", 0 },
    { "'model_type':'stablelm','clip_qkv':8", "'clip_qkv' = 8", 0 },
    { "'model_type':'stablelm','num_experts':8", "'num_experts' = 8", 0 },
    { "'model_type':'stablelm','hidden_act':'quick_gelu'", "'hidden_act' = \"quick_gelu\"", 0 },
    { "'model_type':'stablelm','alibi':true", "'alibi' = true", 0 },
};

/* What contradicts itself or cannot be meant. */
static const struct refusal mistaken[] = {
    { "'model_type':'gpt_neox','rotary_pct':0.25,'partial_rotary_factor':0.5", "'partial_rotary_factor' = 0.5: the same under another name", 0 },
    { "'model_type':'gpt_neox','rope_parameters':{'partial_rotary_factor':0}", "'partial_rotary_factor' = 0", 0 },
    { "'model_type':'gpt_neox','rotary_emb_base':1", "'rotary_emb_base' = 1", 0 },
    { "'model_type':'gpt_neox','use_parallel_residual':1", "use_parallel_residual", BAD_FILE },
    { "'model_type':'gpt_neox','head_dim':48", "'head_dim' = 48: heads times head_dim is not the width", 0 },
    { "'model_type':'gpt_neox','layer_norm_eps':2", "'layer_norm_eps' = 2", 0 },
    { "'model_type':'gpt_neox','architectures':['GPTNeoXForSequenceClassification']", "'architectures'", 0 },
    { "'model_type':'gpt2','n_embd':770", "'n_embd' = 770: no multiple", 0 },
    { "'model_type':'gpt2','n_embd':768,'hidden_size':1024", "'hidden_size' = 1024: the same under another name", 0 },
    { "'model_type':'gpt2','n_positions':33554432", "'max_position_embeddings' is absent", 0 },
    { "'model_type':'bloom','n_head':7", "'n_embed' is absent: no multiple", 0 },
    { "'model_type':'bloom','layer_norm_epsilon':-1", "'layer_norm_epsilon' = -1", 0 },
    { "'model_type':'bloom','n_embed':128,'hidden_size':64", "the same under another name", 0 },
    { "'model_type':'falcon','num_ln_in_parallel_attn':3", "num_ln_in_parallel_attn", BAD_FILE },
    { "'model_type':'falcon','num_attention_heads':8,'hidden_size':64,'num_kv_heads':4,'multi_query':false", "'num_kv_heads' = 4", 0 },
    { "'model_type':'RefinedWeb','n_head':71,'num_attention_heads':64", "'num_attention_heads' = 64: the same under another name", 0 },
    { "'model_type':'gpt_bigcode','multi_query':2", "multi_query", BAD_FILE },
    { "'model_type':'gpt_bigcode','n_head':5", "no multiple of num_attention_heads", 0 },
    { "'model_type':'gpt_bigcode','scale_attn_weights':'no'", "scale_attn_weights", BAD_FILE },
    { "'model_type':'mpt','attn_config':{'rope':true}", "'rope' = true: graft does not know", 0 },
    { "'model_type':'mpt','attn_config':{'clip_qkv':-1}", "'clip_qkv' = -1", 0 },
    { "'model_type':'mpt','attn_config':{'softmax_scale':0}", "'softmax_scale' = 0", 0 },
    { "'model_type':'mpt','attn_config':[8]", "'attn_config' = [8]", 0 },
    { "'model_type':'codegen','rotary_dim':258", "'rotary_dim' = 258", 0 },
    { "'model_type':'codegen','rotary_dim':0", "rotary_dim", BAD_FILE },
    { "'model_type':'gptj','n_embd':100", "'n_embd' = 100", 0 },
    { "'model_type':'gptj','architectures':['GPTJForQuestionAnswering']", "'architectures'", 0 },
    { "'model_type':'gptj','head_dim':128", "'head_dim' = 128: heads times head_dim is not the width", 0 },
    { "'model_type':'opt','head_dim':32", "'head_dim' = 32: heads times head_dim is not the width", 0 },
    { "'model_type':'opt','enable_bias':'yes'", "enable_bias", BAD_FILE },
    { "'model_type':'gemma','hidden_act':'silu','hidden_activation':'gelu_pytorch_tanh'", "'hidden_activation' = \"gelu_pytorch_tanh\"", 0 },
    { "'model_type':'gemma','head_dim':null", "'head_dim' = null", 0 },
    { "'model_type':'phi3','head_dim':64", "'head_dim' = 64: heads times head_dim is not the width", 0 },
    { "'model_type':'phi3','sliding_window':0", "sliding_window", BAD_FILE },
    { "'model_type':'qwen3','head_dim':null", "'head_dim' = null", 0 },
    { "'model_type':'qwen3','head_dim':129", "'head_dim' = 129: rotary positions turn pairs", 0 },
    { "'model_type':'stablelm','partial_rotary_factor':0.01", "'partial_rotary_factor' = 0.01", 0 },
    { "'model_type':'stablelm','head_dim':64", "'head_dim' = 64: heads times head_dim is not the width", 0 },
    { "'model_type':'stablelm','layer_norm_eps':7", "'layer_norm_eps' = 7", 0 },
};

static void expect_refusals(struct scratch *s, const struct refusal *row, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct model_config config;
        enum status code = row[i].code ? row[i].code : BAD_MODEL, status = read_folder(s, row[i].members, NULL, &config);
        if (status == OK)
            print_error("accepted: %s\n", row[i].members);
        assert_failed(s, status, code, row[i].what);
    }
}

static void what_a_family_does_not_compute_is_refused_by_name(void **state)
{
    expect_refusals(*state, not_computed, COUNT(not_computed));
}

static void mistakes_of_a_family_are_refused_by_name(void **state)
{
    expect_refusals(*state, mistaken, COUNT(mistaken));
}

static void every_family_refuses_five_kinds_of_mathematics_at_least(void **state)
{
    struct scratch *s = *state;
    for (int f = 0; family_names()[f]; f++) {
        const char *begin = arena_print(s->arena, "'model_type':'%s',", family_names()[f]);
        int count = 0;
        for (size_t i = 0; i < COUNT(not_computed); i++)
            count += strncmp(not_computed[i].members, begin, strlen(begin)) == 0;
        if (count < 5)
            print_error("%s: %d rows\n", family_names()[f], count);
        assert_true(count >= 5);
    }
}

/* ---- published models ---- */

/* What model cards and papers give, from the configurations alone: sizes as they are published there, and the values of all tensors. (The card of
 * stablelm-2-1_6b counts 1644417024: less by one vector of the width for each of the 48 norms of its layers, which have two.) */
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
    { "opt-125m", "'model_type':'opt'", 125239296 },
    { "opt-1.3b", "'model_type':'opt','hidden_size':2048,'ffn_dim':8192,'num_hidden_layers':24,'num_attention_heads':32,'word_embed_proj_dim':2048",
      1315758080 },
    { "opt-6.7b", "'model_type':'opt','hidden_size':4096,'ffn_dim':16384,'num_hidden_layers':32,'num_attention_heads':32", 6658473984 },
    { "gemma-2b",
      "'model_type':'gemma','hidden_size':2048,'intermediate_size':16384,'num_hidden_layers':18,'num_attention_heads':8,'num_key_value_heads':1,"
      "'hidden_act':'gelu'",
      2506172416 },
    { "gemma-7b", "'model_type':'gemma','hidden_activation':null", 8537680896 },
    { "Phi-3-mini-4k-instruct", "'model_type':'phi3','sliding_window':2047", 3821079552 },
    { "Phi-3-medium-4k-instruct",
      "'model_type':'phi3','hidden_size':5120,'intermediate_size':17920,'num_hidden_layers':40,'num_attention_heads':40,'num_key_value_heads':10",
      13960238080 },
    { "Qwen3-0.6B",
      "'model_type':'qwen3','hidden_size':1024,'intermediate_size':3072,'num_hidden_layers':28,'num_attention_heads':16,'num_key_value_heads':8,"
      "'tie_word_embeddings':true",
      596049920 },
    { "Qwen3-8B", "'model_type':'qwen3','intermediate_size':12288,'num_hidden_layers':36,'num_key_value_heads':8,'max_window_layers':36", 8190735360 },
    { "stablelm-3b-4e1t", "'model_type':'stablelm'", 2795443200 },
    { "stablelm-2-1_6b", "'model_type':'stablelm','vocab_size':100352,'hidden_size':2048,'intermediate_size':5632,'num_hidden_layers':24,'use_qkv_bias':true",
      1644515328 },
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
        SCRATCH_TEST(every_family_refuses_five_kinds_of_mathematics_at_least),
        SCRATCH_TEST(mistakes_of_a_family_are_refused_by_name),
        SCRATCH_TEST(configurations_have_the_published_numbers_of_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
