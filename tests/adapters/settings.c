/* What the user may say about an adapter: values, mistakes, and going on from a folder. */
#include "adapters/lora.h"
#include "common/files.h"
#include "tests/adapters/small.h"

static const struct {
    const char *yaml, *what, *cure;
} bad[] = {
    { "{r: 8}", "run.yaml:1:1: adapter.peft_type is missing", "LORA" },
    { "{peft_type: LORRA}", "run.yaml:1:13: adapter.peft_type: 'LORRA' is no method", "LORA" },
    { "{peft_type: [LORA]}", "'a list or map' is no method", "LORA" },
    { "[LORA]", "adapter.peft_type is missing", "LORA" },
    { "{peft_type: LORA, rank: 8}", "run.yaml:1:19: unknown key 'rank' in adapter", "" },
    { "{peft_type: LORA, use_dora: 1}", "adapter.use_dora: '1' is neither true nor false", "" },
    { "{peft_type: LORA, use_dora: true, lora_bias: true}", "lora_bias and use_dora, both true", "one of them" },
    { "{peft_type: LORA, target_modules: [q_proj, embed_tokens], use_dora: true}", "use_dora: true, but model.embed_tokens is targeted", "false" },
    { "{peft_type: LORA, target_modules: [embed_tokens], lora_bias: true}", "lora_bias: true, but model.embed_tokens is targeted", "false" },
    { "{peft_type: LORA, target_modules: [embed_tokens], trainable_token_indices: [1]}", "model.embed_tokens is targeted too", "one of the two" },
    { "{peft_type: LORA, target_modules: [q_proj, lm_head], use_dora: true}", "use_dora: true, but lm_head is targeted, the head", "the head out" },
    { "{peft_type: LORA, target_modules: [q_proj, lm_head], lora_bias: true}", "lora_bias: true, but lm_head is targeted, the head", "the head out" },
    { "{peft_type: LORA, target_modules: [q_proj, lm_head], init_lora_weights: pissa}", "pissa, but lm_head is targeted, the head", "the head out" },
    { "{peft_type: LORA, target_modules: [lm_head], trainable_token_indices: {lm_head: [1]}}", "lm_head is targeted too", "one of the two" },
    { "{peft_type: LORA, trainable_token_indices: 3}", "expected a list of token ids, or a map", "[32000, 32001]" },
    { "{peft_type: LORA, trainable_token_indices: []}", "expected a list of token ids, or a map", "" },
    { "{peft_type: LORA, trainable_token_indices: [1, '2']}", "expected a list of token ids, or a map", "" },
    { "{peft_type: LORA, trainable_token_indices: {q_proj: [1]}}", "'q_proj' is neither the embedding nor the head", "model.embed_tokens or lm_head" },
    { "{peft_type: LORA, trainable_token_indices: {embed_tokens: [1], model.embed_tokens: [2]}}", "model.embed_tokens is named twice", "" },
    { "{peft_type: LORA, trainable_token_indices: [3, 3]}", "token 3 is named twice", "once" },
    { "{peft_type: LORA, trainable_token_indices: [3, 999999]}", "token 999999 in a vocabulary of 32", "0 to 31" },
    { "{peft_type: LORA, trainable_token_indices: [3], modules_to_save: [embed_tokens]}", "model.embed_tokens is in modules_to_save too", "" },
    { "{peft_type: LORA, lora_bias: true, init_lora_weights: gaussian}", "lora_bias with init_lora_weights neither true nor false", "to true" },
    { "{peft_type: LORA, num_virtual_tokens: 8}", "unknown key 'num_virtual_tokens'", "" },
    { "{peft_type: LORA, lora_alfa: 8}", "unknown key 'lora_alfa'", "lora_alpha" },
    { "{peft_type: LORA, task_type: SEQ_CLS}", "adapter.task_type: 'SEQ_CLS'", "CAUSAL_LM" },
    { "{peft_type: LORA, r: 0}", "run.yaml:1:22: adapter.r: '0' is out of range", "between 1" },
    { "{peft_type: LORA, r: 8.5}", "adapter.r: '8.5' is no whole number", "" },
    { "{peft_type: LORA, lora_alpha: -1}", "adapter.lora_alpha: '-1' is out of range", "" },
    { "{peft_type: LORA, lora_dropout: 1}", "adapter.lora_dropout: '1' is out of range", "" },
    { "{peft_type: LORA, bias: some}", "adapter.bias: 'some' is none of the choices", "lora_only" },
    { "{peft_type: LORA, target_modules: {q_proj: 1}}", "adapter.target_modules: 'a map' is not", "a list of names" },
    { "{peft_type: LORA, target_modules: [[q_proj]]}", "adapter.target_modules: 'a list' is not", "" },
    { "{peft_type: LORA, target_modules: [3]}", "adapter.target_modules: '3' is not", "" },
    { "{peft_type: LORA, target_modules: 3}", "adapter.target_modules: '3' is not", "" },
    { "{peft_type: LORA, modules_to_save: lm_head}", "adapter.modules_to_save: 'lm_head' is not a list", "" },
    { "{peft_type: LORA, layers_to_transform: -1}", "adapter.layers_to_transform: '-1' is not", "" },
    { "{peft_type: LORA, layers_to_transform: [0, one]}", "adapter.layers_to_transform: 'one' is not", "" },
    { "{peft_type: LORA, layers_to_transform: 1, layers_pattern: 'l.*'}", "adapter.layers_pattern: 'l.*' is not", "plain letters" },
    { "{peft_type: LORA, rank_pattern: [4]}", "adapter.rank_pattern: 'a list' is not a map", "" },
    { "{peft_type: LORA, rank_pattern: {q_proj: 0}}", "0 for 'q_proj' is no rank", "between 1" },
    { "{peft_type: LORA, rank_pattern: {q_proj: 1.5}}", "1.5 for 'q_proj' is no rank", "" },
    { "{peft_type: LORA, rank_pattern: {q_proj: '4'}}", "'4' is not a map", "" },
    { "{peft_type: LORA, rank_pattern: {'(': 4}}", "is no regular expression", "" },
    { "{peft_type: LORA, rank_pattern: {q_proj: 4, 'q.*': 2}}", "'q_proj' says 4 and 'q.*' says 2 for module model.layers.0.self_attn.q_proj", "exclusive" },
    { "{peft_type: LORA, alpha_pattern: {q_proj: -2}}", "-2 for 'q_proj' is out of range", "" },
    { "{peft_type: LORA, init_lora_weights: olora}", "adapter.init_lora_weights: 'olora' is not", "gaussian" },
    { "{peft_type: LORA, init_lora_weights: pissa_niter_0}", "adapter.init_lora_weights: 'pissa_niter_0' is not", "from 1 to 1000" },
    { "{peft_type: LORA, init_lora_weights: pissa_niter_x}", "adapter.init_lora_weights: 'pissa_niter_x' is not", "" },
    { "{peft_type: LORA, init_lora_weights: pissa_niter_}", "adapter.init_lora_weights: 'pissa_niter_' is not", "" },
    { "{peft_type: LORA, init_lora_weights: pissa_niter_1001}", "adapter.init_lora_weights: 'pissa_niter_1001' is not", "" },
    { "{peft_type: LORA, init_lora_weights: pissa, r: 9}", "pissa with rank 9 for module model.layers.0.self_attn.v_proj", "8 or less" },
    { "{peft_type: LORA, init_lora_weights: pissa, lora_alpha: 0}", "pissa with lora_alpha 0", "raise lora_alpha" },
    { "{peft_type: LORA, init_lora_weights: pissa, lora_alpha: 600000}", "pissa with rank 8 and lora_alpha 600000", "halve" },
    { "{peft_type: LORA, init_lora_weights: pissa, use_dora: true}", "use_dora with init_lora_weights pissa", "use_dora to false" },
    { "{peft_type: LORA, init_lora_weights: pissa, lora_bias: true}", "lora_bias with init_lora_weights", "" },
    { "{peft_type: LORA, init_lora_weights: pissa, target_modules: [q_proj, embed_tokens]}", "pissa, but model.embed_tokens is targeted", "leave the" },
    { "{peft_type: LORA, init_lora_weights: 'true'}", "adapter.init_lora_weights: 'true' is not", "" },
    { "{peft_type: LORA, init_lora_weights: orthogonal, r: 3}", "orthogonal with rank 3", "even" },
    { "{peft_type: LORA, fan_in_fan_out: true}", "adapter.fan_in_fan_out: true", "" },
    { "{peft_type: LORA, init_from: nowhere}", "nowhere/adapter_config.json: no such file", "" },
};

static void mistakes_are_named_with_place_and_cure(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    small_model(s, &model, "");
    for (size_t i = 0; i < COUNT(bad); i++) {
        const enum status status = small_adapter(s, &adapter, &model, bad[i].yaml);
        assert_holds(s->err.cure, bad[i].cure);
        assert_failed(s, status, s->err.code == BAD_FILE ? BAD_FILE : BAD_CONFIG, bad[i].what);
        assert_null(adapter);
    }
    assert_failed(s, adapter_new(&adapter, s->arena, NULL, s->folder, &model, &s->err), BAD_CONFIG, "adapter.peft_type is missing");
}

/* Every setting with another value than its default, as it is printed. */
static const char all_settings[] = "peft_type: LORA\n"
                                   "task_type: CAUSAL_LM\n"
                                   "r: 6\n"
                                   "lora_alpha: 2.5\n"
                                   "lora_dropout: 0.05\n"
                                   "target_modules: [q_proj, mlp.up_proj]\n"
                                   "exclude_modules: \".*\\\\.0\\\\..*up.*\"\n"
                                   "layers_to_transform: [0, 2]\n"
                                   "layers_pattern: layers\n"
                                   "rank_pattern: {\"2\\\\..*q_proj\": 4}\n"
                                   "alpha_pattern: {up_proj: 0.1}\n"
                                   "modules_to_save: [lm_head, norm]\n"
                                   "trainable_token_indices: {embed_tokens: [3, 1]}\n"
                                   "bias: lora_only\n"
                                   "use_rslora: true\n"
                                   "use_dora: true\n"
                                   "lora_bias: false\n"
                                   "init_lora_weights: orthogonal\n"
                                   "fan_in_fan_out: false\n";

static void what_is_printed_reads_back_to_the_same(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    small_model(s, &model, "");
    const char *given = all_settings;
    for (int i = 0; i < 2; i++) {
        struct text out = text_new(s->arena);
        assert_fine(s, small_adapter(s, &adapter, &model, given));
        adapter_print(adapter, &out, 0);
        assert_string_equal(out.bytes, all_settings);
        given = out.bytes;
    }
}

static void defaults_are_those_of_peft(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    small_model(s, &model, "");
    struct text out = text_new(s->arena);
    assert_fine(s, small_adapter(s, &adapter, &model, "peft_type: LORA\n"));
    adapter_print(adapter, &out, 2);
    assert_string_equal(out.bytes, "  peft_type: LORA\n  task_type: CAUSAL_LM\n  r: 8\n  lora_alpha: 8\n  lora_dropout: 0\n  target_modules: null\n"
                                   "  exclude_modules: null\n  layers_to_transform: null\n  layers_pattern: null\n  rank_pattern: {}\n  alpha_pattern: {}\n"
                                   "  modules_to_save: null\n  trainable_token_indices: null\n  bias: none\n  use_rslora: false\n  use_dora: false\n  "
                                   "lora_bias: false\n  init_lora_weights: "
                                   "true\n  fan_in_fan_out: false\n");
}

static void help_names_every_setting(void **state)
{
    struct scratch *s = *state;
    struct text out = text_new(s->arena);
    adapter_help(&out);
    assert_holds(out.bytes, "adapter.peft_type");
    assert_holds(out.bytes, "adapter.init_from");
    for (size_t i = 0; i < adapter_lora.settings; i++)
        assert_holds(out.bytes, arena_print(s->arena, "adapter.%s ", adapter_lora.setting[i].name));
}

static const char stored[] = "{\"peft_type\": \"LORA\", \"r\": 6, \"lora_alpha\": 12, \"lora_dropout\": 0.1, \"target_modules\": [\"v_proj\", \"k_proj\", "
                             "\"gate_proj\", \"o_proj\", \"down_proj\", \"up_proj\", \"q_proj\"], \"use_rslora\": true, \"rank_pattern\": {\"q_proj\": 2}}";

static const struct {
    const char *yaml, *what;
} agreements[] = {
    { "{init_from: from}", NULL },
    { "{peft_type: LORA, init_from: from, r: 6, lora_alpha: 12.0, lora_dropout: 1e-1}", NULL },
    { "{init_from: from, target_modules: all-linear}", NULL },
    { "{init_from: from, use_rslora: true, rank_pattern: {q_proj: 2}, bias: none}", NULL },
    { "{init_from: from, target_modules: null}", NULL },
    { "{init_from: from, r: 8}", "run.yaml:1:22: adapter.r is 8, but " },
    { "{init_from: from, r: 8}", "from/adapter_config.json says 6" },
    { "{init_from: from, target_modules: [q_proj]}", "adapter.target_modules is [q_proj], but " },
    { "{init_from: from, bias: all}", "says none" },
    { "{init_from: from, rank_pattern: {q_proj: 3}}", "says {q_proj: 2}" },
    { "{init_from: from, rank: 8}", "unknown key 'rank'" },
};

static void settings_beside_init_from_must_agree_with_the_folder(void **state)
{
    struct scratch *s = *state;
    struct model model;
    small_model(s, &model, "");
    assert_fine(s, folder_make(scratch_path(s, "from"), &s->err));
    scratch_write(s, "from/adapter_config.json", stored, strlen(stored));
    for (size_t i = 0; i < COUNT(agreements); i++) {
        struct adapter *adapter;
        const enum status status = small_adapter(s, &adapter, &model, agreements[i].yaml);
        if (agreements[i].what) {
            assert_failed(s, status, BAD_CONFIG, agreements[i].what);
            continue;
        }
        assert_fine(s, status);
        const struct lora *lora = adapter->state;
        assert_int_equal(lora->modules, 21);
        assert_int_equal(lora->module[0].rank, 2);
        assert_int_equal(lora->module[1].rank, 6);
        assert_string_equal(adapter->init_from, scratch_path(s, "from"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(mistakes_are_named_with_place_and_cure),
        SCRATCH_TEST(what_is_printed_reads_back_to_the_same),
        SCRATCH_TEST(defaults_are_those_of_peft),
        SCRATCH_TEST(help_names_every_setting),
        SCRATCH_TEST(settings_beside_init_from_must_agree_with_the_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
