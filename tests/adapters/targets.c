/* Target matching: the expected modules were recorded from peft 0.21 on the same model, so a rule that PEFT reads differently shows here. */
#include "adapters/lora.h"
#include "tests/adapters/small.h"

/* "model.layers.0.self_attn.q_proj" is written as "0.q"; the head as its name. */
static const char *targeted(struct scratch *s, const struct adapter *adapter)
{
    const struct lora *lora = adapter->state;
    struct text text = text_new(s->arena);
    for (int i = 0; i < lora->modules; i++) {
        const struct site *site = lora->module[i].site;
        const char *dot = strrchr(site->module, '.');
        text_print(&text, "%s", i ? " " : "");
        if (site->projection == HEAD)
            text_print(&text, "%s", site->module);
        else
            text_print(&text, "%d.%.*s", site->layer, (int)(strlen(dot + 1) - strlen("_proj")), dot + 1);
    }
    return text.bytes;
}

#define ALL(n) #n ".q " #n ".k " #n ".v " #n ".o " #n ".gate " #n ".up " #n ".down"

static const struct {
    const char *yaml, *modules;
} cases[] = {
    { "", "0.q 0.v 1.q 1.v 2.q 2.v" },
    { "target_modules: [q_proj]", "0.q 1.q 2.q" },
    { "target_modules: [self_attn.q_proj, model.layers.2.mlp.up_proj]", "0.q 1.q 2.q 2.up" },
    { "target_modules: [layers.1.self_attn.k_proj, nonsense]", "1.k" },
    { "target_modules: all-linear", ALL(0) " " ALL(1) " " ALL(2) },
    { "target_modules: ALL-LINEAR, exclude_modules: [mlp.up_proj, 0.mlp.gate_proj]",
      "0.q 0.k 0.v 0.o 0.down 1.q 1.k 1.v 1.o 1.gate 1.down 2.q 2.k 2.v 2.o 2.gate 2.down" },
    { "target_modules: all-linear, exclude_modules: '.*(self_attn|mlp)\\.[a-u].*'", "0.v 1.v 2.v" },
    { "target_modules: all-linear, modules_to_save: [mlp]", "0.q 0.k 0.v 0.o 1.q 1.k 1.v 1.o 2.q 2.k 2.v 2.o" },
    { "target_modules: all-linear, modules_to_save: [o_proj, lm_head, norm]",
      "0.q 0.k 0.v 0.gate 0.up 0.down 1.q 1.k 1.v 1.gate 1.up 1.down 2.q 2.k 2.v 2.gate 2.up 2.down" },
    { "target_modules: 'model\\.layers\\.\\d\\.self_attn\\.(?:q|v)_proj'", "0.q 0.v 1.q 1.v 2.q 2.v" },
    { "target_modules: '.*q_proj'", "0.q 1.q 2.q" },
    { "target_modules: '.*\\.[02]\\..*(?<!gate)_proj'", "0.q 0.k 0.v 0.o 0.up 0.down 2.q 2.k 2.v 2.o 2.up 2.down" },
    { "target_modules: '(?P<all>.*)[kq]_proj'", "0.q 0.k 1.q 1.k 2.q 2.k" },
    { "target_modules: '(?i:.*Q_PROJ)'", "0.q 1.q 2.q" },
    { "target_modules: [q_proj, v_proj], layers_to_transform: 1", "1.q 1.v" },
    { "target_modules: [q_proj, v_proj], layers_to_transform: [0, 2]", "0.q 0.v 2.q 2.v" },
    { "target_modules: [q_proj], layers_to_transform: []", "0.q 1.q 2.q" },
    { "target_modules: [q_proj], layers_to_transform: [1], layers_pattern: layers", "1.q" },
    { "target_modules: [q_proj], layers_to_transform: [1], layers_pattern: [h, layers]", "1.q" },
    { "target_modules: [q_proj], exclude_modules: [self_attn]", "0.q 1.q 2.q" },
    { "target_modules: [model.layers.0.self_attn.q_proj, v_proj], layers_to_transform: 1, layers_pattern: [h, layers]", "0.q 1.v" },
    { "target_modules: [q_proj, v_proj], exclude_modules: model.layers.0.self_attn.q_proj", "0.v 1.q 1.v 2.q 2.v" },
    { "target_modules: [q_proj], exclude_modules: null, modules_to_save: ~", "0.q 1.q 2.q" },
    { "target_modules: [q_proj, lm_head]", "0.q 1.q 2.q lm_head" },
    { "target_modules: '.*1.*q_proj|lm_.*'", "1.q lm_head" },
    { "target_modules: [q_proj, lm_head], layers_to_transform: [1]", "1.q lm_head" },
};

static void modules_are_those_that_peft_targets(void **state)
{
    struct scratch *s = *state;
    struct model model;
    small_model(s, &model, "");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct adapter *adapter;
        const enum status status = small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: LORA, %s}", cases[i].yaml));
        if (status != OK)
            print_error("%s\n", cases[i].yaml);
        assert_fine(s, status);
        assert_string_equal(targeted(s, adapter), cases[i].modules);
    }
}

/* PEFT raises in each of these cases but for the layer that is not there. */
static const struct {
    const char *yaml, *what, *cure;
} bad[] = {
    { "target_modules: [proj]", "run.yaml:1:35: adapter.target_modules: no linear layer", "q_proj, k_proj, v_proj, o_proj, gate_proj" },
    { "target_modules: q_proj", "no linear layer", "model.layers.0.self_attn.q_proj" },
    { "target_modules: '.*Q_PROJ'", "no linear layer", "" },
    { "target_modules: '.*self_attn.*'", "'model.layers.0.self_attn' is targeted, which is no linear layer", "" },
    { "target_modules: [q_proj, mlp]", "'model.layers.0.mlp' is targeted", "" },
    { "target_modules: [q_proj, norm]", "'model.norm' is targeted", "" },
    { "target_modules: [q_proj, model.norm]", "'model.norm' is targeted, which is no linear layer", "the embedding" },
    { "target_modules: [q_proj, lm_head], modules_to_save: [head]", "'lm_head' is both targeted and in modules_to_save", "" },
    { "target_modules: [v_proj], modules_to_save: [proj]", "both targeted and in modules_to_save", "" },
    { "target_modules: [q_proj], modules_to_save: [lm_haed]", "'lm_haed' fits no module", "lm_head" },
    { "target_modules: [q_proj], exclude_modules: [q_proj]", "after exclude_modules", "" },
    { "target_modules: []", "an empty list", "" },
    { "target_modules: '.*q_proj', layers_to_transform: [1]", "with a regular expression", "" },
    { "layers_to_transform: [3]", "layer 3 in a model of 3 layers", "from 0 to 2" },
    { "layers_pattern: layers", "layers_pattern without layers_to_transform", "" },
    { "layers_to_transform: 1, layers_pattern: h", "no linear layer", "" },
    { "target_modules: '.*('", "is no regular expression", "" },
    { "target_modules: '((.*)*)*[%&]'", "failed: match limit", "" },
};

static void rules_that_make_no_sense_are_refused_by_name(void **state)
{
    struct scratch *s = *state;
    struct model model;
    small_model(s, &model, "");
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct adapter *adapter;
        const enum status status = small_adapter(s, &adapter, &model, arena_print(s->arena, "{peft_type: LORA, %s}", bad[i].yaml));
        assert_holds(s->err.cure, bad[i].cure);
        assert_failed(s, status, BAD_CONFIG, bad[i].what);
    }
}

static const struct {
    const char *name, *container;
    int layer;
} layers[] = {
    { "model.layers.10.self_attn.q_proj", NULL, 10 },
    { "model.layers.1.experts.0.up_proj", NULL, 1 },
    { "encoder.block.3.layer.0.SelfAttention.q", NULL, 3 },
    { "encoder.block.3.layer.0.SelfAttention.q", "layer", 0 },
    { "layers.1.q_proj", NULL, -1 },
    { "layers.1.q_proj", "layers", 1 },
    { "model.layers.1", NULL, -1 },
    { "model.sublayers.1.q", "layers", -1 },
    { "model.layers.x.layers.2.q", "layers", 2 },
    { "lm_head", NULL, -1 },
    { "a.b.99999999999999999999.c", NULL, -1 },
};

static void the_layer_is_the_first_number_in_the_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(layers); i++)
        assert_int_equal(name_layer(layers[i].name, &(struct names){ .text = layers[i].container }), layers[i].layer);
}

static void all_linear_is_saved_as_the_shortest_names(void **state)
{
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    small_model(s, &model, ", 'tie_word_embeddings': true");
    assert_fine(s, small_adapter(s, &adapter, &model, "{peft_type: LORA, target_modules: all-linear, exclude_modules: [o_proj]}"));
    const struct targets *targets = &((const struct lora *)adapter->state)->targets;
    static const char *const names[] = { "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj" };
    assert_int_equal(targets->names, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(targets->name[i], names[i]);
}

static const struct {
    const char *yaml;
    int64_t rank[3]; /* of q, v, up in layer 1 */
    float scale[3];
} patterns[] = {
    { "", { 4, 4, 4 }, { 2, 2, 2 } },
    { "rank_pattern: {v_proj: 2, layers.1.mlp.up_proj: 16}", { 4, 2, 16 }, { 2, 4, 0.5f } },
    { "rank_pattern: {'layers\\.[02]\\..*': 2}", { 4, 4, 4 }, { 2, 2, 2 } },
    { "rank_pattern: {proj: 2}", { 4, 4, 4 }, { 2, 2, 2 } },
    { "alpha_pattern: {'.*_proj': 4}", { 4, 4, 4 }, { 1, 1, 1 } },
    { "alpha_pattern: {v_proj: 2.5}, rank_pattern: {v_proj: 1}", { 4, 1, 4 }, { 2, 2.5f, 2 } },
    { "use_rslora: true, rank_pattern: {q_proj: 16}", { 16, 4, 4 }, { 2, 4, 4 } },
    { "rank_pattern: {q_proj: 2, 'self_attn.q_proj': 2, '[qk]_proj': 2}", { 2, 4, 4 }, { 4, 2, 2 } },
};

static void ranks_and_alphas_follow_patterns_at_the_end_of_the_name(void **state)
{
    struct scratch *s = *state;
    struct model model;
    small_model(s, &model, "");
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct adapter *adapter;
        const char *fixed = "peft_type: LORA, r: 4, lora_alpha: 8, target_modules: [q_proj, v_proj, up_proj]";
        assert_fine(s, small_adapter(s, &adapter, &model, arena_print(s->arena, "{%s, %s}", fixed, patterns[i].yaml)));
        const struct lora *lora = adapter->state;
        for (int k = 0; k < 3; k++) {
            assert_int_equal(lora->module[3 + k].rank, patterns[i].rank[k]);
            assert_true(lora->module[3 + k].scale == patterns[i].scale[k]);
            assert_int_equal(lora->module[3 + k].a->rows, patterns[i].rank[k]);
            assert_int_equal(lora->module[3 + k].b->cols, patterns[i].rank[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(modules_are_those_that_peft_targets),
        SCRATCH_TEST(rules_that_make_no_sense_are_refused_by_name),
        SCRATCH_TEST(the_layer_is_the_first_number_in_the_name),
        SCRATCH_TEST(all_linear_is_saved_as_the_shortest_names),
        SCRATCH_TEST(ranks_and_alphas_follow_patterns_at_the_end_of_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
