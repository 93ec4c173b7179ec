/* A run's YAML: the documented example is read field by field, what is printed reads back to the same values, and mistakes are told with their place. */
#include "common/files.h"
#include "common/text.h"
#include "tests/harness/tiny_run.h"
#include "tests/unit/scratch.h"

#include <math.h>

/* The example of the documentation, every field of it. */
static const char example[] = "model:\n"
                              "  path: models/pythia-160m          # Hugging Face folder\n"
                              "  dtype: auto                       # auto | float32 | bfloat16 | float16\n"
                              "adapter:\n"
                              "  peft_type: LORA\n"
                              "  r: 16\n"
                              "  lora_alpha: 32\n"
                              "  target_modules: all-linear        # list, regular expression, all-linear\n"
                              "data:\n"
                              "  train:\n"
                              "    - {path: data/dolly.jsonl, format: dolly, template: alpaca}\n"
                              "  eval:\n"
                              "    - {path: data/dolly_eval.jsonl, format: dolly, template: alpaca}     # or eval_fraction: 0.05\n"
                              "  max_length: 1024\n"
                              "  over_length: drop\n"
                              "training:\n"
                              "  output_dir: runs/pythia-dolly\n"
                              "  seed: 1\n"
                              "  num_train_epochs: 3               # or max_steps\n"
                              "  batch_size: 32\n"
                              "  micro_batch_tokens: auto          # a memory knob only\n"
                              "  learning_rate: 2.0e-4\n"
                              "  lr_scheduler_type: cosine         # constant | linear | cosine | constant_with_warmup | inverse_sqrt\n"
                              "  warmup_ratio: 0.03                # or warmup_steps\n"
                              "  weight_decay: 0.0\n"
                              "  adam_beta1: 0.9\n"
                              "  adam_beta2: 0.999\n"
                              "  adam_epsilon: 1.0e-8\n"
                              "  max_grad_norm: 1.0\n"
                              "  logging_steps: 10\n"
                              "  eval_steps: 200\n"
                              "  save_steps: 200\n"
                              "  save_total_limit: 3\n";

static const char smallest[] = "model: {path: m}\n"
                               "adapter: {peft_type: LORA}\n"
                               "data: {train: [{path: d.jsonl, format: tokens}], over_length: error}\n"
                               "training: {output_dir: out}\n";

static enum status read_config(struct scratch *s, const char *yaml, struct config *config, const char *const *override)
{
    int count = 0;
    while (override && override[count])
        count++;
    return config_read(config, s->arena, scratch_write(s, "run.yaml", yaml, strlen(yaml)), override, count, &s->err);
}

static void the_documented_example_is_read(void **state)
{
    struct scratch *s = *state;
    struct config c;
    assert_fine(s, read_config(s, example, &c, NULL));
    const struct training_settings *t = &c.training;
    assert_string_equal(c.model.path, scratch_path(s, "models/pythia-160m"));
    assert_string_equal(c.model.dtype, "auto");
    assert_int_equal(c.data.trains, 1);
    assert_string_equal(c.data.train[0].path, scratch_path(s, "data/dolly.jsonl"));
    assert_string_equal(c.data.train[0].format, "dolly");
    assert_string_equal(c.data.train[0].template_name, "alpaca");
    assert_int_equal(c.data.evals, 1);
    assert_string_equal(c.data.eval[0].path, scratch_path(s, "data/dolly_eval.jsonl"));
    assert_true(c.data.max_length == 1024 && c.data.over_length == OVER_LENGTH_DROP && c.data.eval_fraction == 0);
    assert_string_equal(t->output_dir, scratch_path(s, "runs/pythia-dolly"));
    assert_true(t->seed == 1 && t->num_train_epochs == 3 && t->max_steps == -1 && t->batch_size == 32 && t->micro_batch_tokens == 0);
    assert_true(t->learning_rate == 2e-4 && t->lr_scheduler_type == COSINE && t->warmup_ratio == 0.03 && t->warmup_steps == 0);
    assert_true(t->weight_decay == 0 && t->adam_beta1 == 0.9 && t->adam_beta2 == 0.999 && t->adam_epsilon == 1e-8 && t->max_grad_norm == 1);
    assert_true(t->logging_steps == 10 && t->eval_steps == 200 && t->save_steps == 200 && t->save_total_limit == 3);
    assert_true(t->shuffle && !t->load_best_model_at_end && t->early_stopping_patience == 0 && t->recompute == RECOMPUTE_AUTO);
    assert_string_equal(yaml_find(c.adapter, "lora_alpha")->text, "32");
}

static void overrides_win_over_the_file(void **state)
{
    struct scratch *s = *state;
    struct config c;
    const char *const override[] = { "training.seed=7",
                                     "training.micro_batch_tokens=512",
                                     "training.lr_scheduler_type=inverse_sqrt",
                                     "training.learning_rate=1e-3",
                                     "training.shuffle=false",
                                     "training.max_steps=10",
                                     "data.over_length=truncate",
                                     "data.eval=[{path: /else/where.jsonl, format: alpaca, limit: 5}]",
                                     "model.dtype=bfloat16",
                                     "adapter.r=4",
                                     NULL };
    assert_fine(s, read_config(s, example, &c, override));
    assert_true(c.training.seed == 7 && c.training.micro_batch_tokens == 512 && c.training.lr_scheduler_type == INVERSE_SQRT);
    assert_true(c.training.learning_rate == 1e-3 && !c.training.shuffle && c.training.max_steps == 10);
    assert_int_equal(c.data.over_length, OVER_LENGTH_TRUNCATE);
    assert_int_equal(c.data.evals, 1);
    assert_string_equal(c.data.eval[0].path, "/else/where.jsonl");
    assert_int_equal(c.data.eval[0].limit, 5);
    assert_string_equal(c.model.dtype, "bfloat16");
    assert_string_equal(yaml_find(c.adapter, "r")->text, "4");
    assert_int_equal(c.training.batch_size, 32);
}

static const struct {
    const char *override[3];
    const char *what; /* part of the message */
} mistakes[] = {
    { { "training.lerning_rate=1" }, "unknown key 'lerning_rate'" },
    { { "modle.path=x" }, "unknown section 'modle'" },
    { { "training.seed=-1" }, "training.seed" },
    { { "training.batch_size=0" }, "training.batch_size" },
    { { "training.batch_size=2.5" }, "training.batch_size" },
    { { "training.learning_rate=fast" }, "training.learning_rate" },
    { { "training.adam_beta1=1" }, "training.adam_beta1" },
    { { "training.lr_scheduler_type=polynomial" }, "training.lr_scheduler_type" },
    { { "training.shuffle=maybe" }, "training.shuffle" },
    { { "training.shuffle=yes" }, "training.shuffle" },
    { { "training.micro_batch_tokens=0" }, "training.micro_batch_tokens" },
    { { "training.micro_batch_tokens=some" }, "training.micro_batch_tokens" },
    { { "training.max_steps=0" }, "training.max_steps is 0" },
    { { "training.eval_steps=5" }, "training.eval_steps needs evaluation data" },
    { { "training.load_best_model_at_end=true" }, "training.load_best_model_at_end needs evaluation data" },
    { { "training.early_stopping_patience=2" }, "training.early_stopping_patience needs evaluation data" },
    { { "training.early_stopping_patience=2", "data.eval_fraction=0.1" }, "training.early_stopping_patience needs training.eval_steps" },
    { { "data.eval=[{path: e.jsonl, format: tokens}]", "data.eval_fraction=0.1" }, "data.eval and data.eval_fraction are both given" },
    { { "data.over_length=null" }, "data.over_length" },
    { { "data.max_length=1" }, "data.max_length" },
    { { "training.output_dir=null" }, "training.output_dir" },
    { { "model=m" }, "section 'model' is not a map" },
    { { "training.seed" }, "training.seed" },
};

static void mistakes_are_told(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        struct config c;
        assert_fine(s, read_config(s, smallest, &c, NULL));
        enum status status = read_config(s, smallest, &c, mistakes[i].override);
        assert_true(status == BAD_CONFIG || status == BAD_OPTION);
        assert_failed(s, status, status, mistakes[i].what);
    }
}

static const struct {
    const char *yaml, *what;
} places[] = {
    { "model: {path: m}\nadapter: {peft_type: LORA}\ndata: {over_length: error}\n", "run.yaml: section 'training' is missing" },
    { "model: {path: m}\nmodel: {path: n}\n", "run.yaml:2:1" },
    { "model:\n  path: m\n  paht: n\nadapter: {}\ndata: {}\ntraining: {}\n", "run.yaml:3:3: unknown key 'paht'" },
    { "model: {path: m}\nadapter: {}\ndata: {train: [{path: d, format: tokens}], over_length: error}\ntraining:\n  output_dir: o\n  seed: \"3\"\n",
      "run.yaml:6:9" },
    { "- model\n", "run.yaml:1:1: the file is no map" },
    { "", "run.yaml" },
};

static void mistakes_are_told_with_their_place(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(places); i++) {
        struct config c;
        enum status status = read_config(s, places[i].yaml, &c, NULL);
        assert_failed(s, status, BAD_CONFIG, places[i].what);
    }
}

static void assert_same_training(const struct training_settings *a, const struct training_settings *b)
{
    assert_string_equal(a->output_dir, b->output_dir);
    struct training_settings x = *a, y = *b;
    x.output_dir = y.output_dir = NULL;
    assert_true(x.seed == y.seed && x.max_steps == y.max_steps && x.batch_size == y.batch_size && x.micro_batch_tokens == y.micro_batch_tokens);
    assert_true(x.warmup_steps == y.warmup_steps && x.logging_steps == y.logging_steps && x.eval_steps == y.eval_steps && x.save_steps == y.save_steps);
    assert_true(x.save_total_limit == y.save_total_limit && x.early_stopping_patience == y.early_stopping_patience && x.recompute == y.recompute);
    assert_true(x.num_train_epochs == y.num_train_epochs && x.learning_rate == y.learning_rate && x.warmup_ratio == y.warmup_ratio);
    assert_true(x.weight_decay == y.weight_decay && x.adam_beta1 == y.adam_beta1 && x.adam_beta2 == y.adam_beta2 && x.adam_epsilon == y.adam_epsilon);
    assert_true(x.max_grad_norm == y.max_grad_norm && x.early_stopping_threshold == y.early_stopping_threshold);
    assert_true(x.lr_scheduler_type == y.lr_scheduler_type && x.shuffle == y.shuffle && x.load_best_model_at_end == y.load_best_model_at_end);
}

static const char *const round_trips[][16] = {
    { NULL },
    { "training.seed=9000000000000000", "training.learning_rate=1.2345678901234567e-5", "training.num_train_epochs=0.1", "training.adam_beta2=0.98765432109876",
      "training.micro_batch_tokens=777", "training.lr_scheduler_type=constant_with_warmup", "training.warmup_ratio=0.3333333333333333",
      "training.recompute=always", "training.shuffle=true", "data.eval_fraction=0.25", "training.load_best_model_at_end=true",
      "training.early_stopping_threshold=1e-7", "training.output_dir='/no/such/a folder: with # signs'", "adapter.use_rslora=true", NULL },
    { "adapter.layers_to_transform=[1]", "adapter.target_modules=[q_proj, down_proj]", "adapter.alpha_pattern={down_proj: 2.5}", "adapter.modules_to_save=null",
      NULL },
    { "adapter.target_modules=.*\\.(q|v)_proj", "adapter.rank_pattern={'layers.0.self_attn.q_proj': 5}", "adapter.bias=lora_only", "adapter.lora_dropout=0.05",
      "adapter.init_lora_weights=gaussian", "data.accept=[empty_response]", "data.max_length=4096", NULL },
};

/* Printed, kept in another folder, read, printed again. */
static void what_is_printed_reads_back_to_the_same_values(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(round_trips); i++) {
        struct tiny_run t;
        struct run again = { 0 };
        tiny_run_open(&t, &(struct tiny_model){ 0 }, round_trips[i]);
        struct text first = text_new(s->arena), second = text_new(s->arena);
        config_print(&t.run.config, t.run.adapter, &first);
        const char *path = scratch_write(s, "resolved.yaml", first.bytes, first.length);
        assert_fine(s, run_open(&again, t.arena, &t.device, path, NULL, 0, false, &s->err));
        config_print(&again.config, again.adapter, &second);
        assert_string_equal(first.bytes, second.bytes);
        assert_string_equal(t.run.config.hash, again.config.hash);
        assert_int_equal(strlen(again.config.hash), 64);
        assert_same_training(&t.run.config.training, &again.config.training);
        assert_string_equal(t.run.config.model.dtype, again.config.model.dtype);
        assert_string_equal(t.run.train.hash, again.train.hash);
        assert_int_equal(t.run.config.data.max_length, again.config.data.max_length);
        assert_int_equal(t.run.config.data.accepts, again.config.data.accepts);
        assert_int_equal(parameters_size(t.run.adapter->parameters), parameters_size(again.adapter->parameters));
        run_close(&again);
        tiny_run_close(&t);
    }
}

static void every_setting_stands_in_the_help(void **state)
{
    struct scratch *s = *state;
    struct tiny_run t;
    struct text help = text_new(s->arena), printed = text_new(s->arena);
    tiny_run_open(&t, &(struct tiny_model){ 0 }, NULL);
    config_help(&help);
    config_print(&t.run.config, t.run.adapter, &printed);
    const char *section = "";
    int settings = 0;
    for (char *line = strtok(printed.bytes, "\n"); line; line = strtok(NULL, "\n")) {
        char *colon = strchr(line, ':');
        size_t blanks = strspn(line, " ");
        assert_non_null(colon);
        if (blanks > 2 || line[blanks] == '-')
            continue; /* what stands inside a setting */
        *colon = '\0';
        if (blanks == 0)
            section = line;
        else
            assert_holds(help.bytes, arena_print(s->arena, "\n  %s.%s ", section, line + blanks));
        settings += blanks > 0;
    }
    assert_true(settings > 35);
    tiny_run_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(the_documented_example_is_read),
        SCRATCH_TEST(overrides_win_over_the_file),
        SCRATCH_TEST(mistakes_are_told),
        SCRATCH_TEST(mistakes_are_told_with_their_place),
        SCRATCH_TEST(what_is_printed_reads_back_to_the_same_values),
        SCRATCH_TEST(every_setting_stands_in_the_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
