/* A run's YAML, as rows of settings. */
#include "trainer/config.h"
#include "common/files.h"

#include <string.h>

#define AT(field) offsetof(struct model_settings, field)
static const struct setting model_rows[] = {
    { .name = "path", .type = SETTING_PATH, .offset = AT(path), .fallback = "!", .help = "Hugging Face model folder" },
    { .name = "dtype",
      .type = SETTING_TEXT,
      .offset = AT(dtype),
      .fallback = "auto",
      .help = "auto, float32, bfloat16 or float16; auto is float32 on a CPU, bfloat16 on a GPU" },
};
#undef AT

static const char *const schedules[] = { "constant", "linear", "cosine", "constant_with_warmup", "inverse_sqrt", NULL };
static const char *const recomputes[] = { "auto", "always", "never", NULL };

/* micro_batch_tokens: a number, or auto (0 in the struct). */
static enum status parse_tokens(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    (void)arena;
    (void)folder;
    int64_t *tokens = field;
    *tokens = 0;
    if (!value || (value->kind == YAML_SCALAR && text_equal(value->text, "auto")))
        return OK;
    if (value->kind != YAML_SCALAR || value->quoted || !text_to_int(value->text, tokens) || *tokens < 1 || *tokens > 1 << 24)
        return fail_with(err, BAD_CONFIG, "%s: training.%s: expected a number of tokens or auto", "a whole number from 1 to 16777216, or auto", value->where,
                         row->name);
    return OK;
}

static void print_tokens(struct text *out, const struct setting *row, const void *field)
{
    (void)row;
    int64_t tokens = *(const int64_t *)field;
    if (tokens)
        text_print(out, "%lld", (long long)tokens);
    else
        text_add_string(out, "auto");
}

#define AT(field) offsetof(struct training_settings, field)
static const struct setting training_rows[] = {
    { .name = "output_dir",
      .type = SETTING_PATH,
      .offset = AT(output_dir),
      .fallback = "!",
      .help = "folder of this run; if it holds one that did not reach its end, that goes on" },
    { .name = "seed",
      .type = SETTING_INT,
      .offset = AT(seed),
      .fallback = "1",
      .min = 0,
      .max = 9e15,
      .help = "of the adapter's start, the order of records and dropout" },
    { .name = "num_train_epochs",
      .type = SETTING_REAL,
      .offset = AT(num_train_epochs),
      .fallback = "3",
      .min = 1e-9,
      .max = 1e6,
      .help = "passes over the training records; max_steps wins" },
    { .name = "max_steps",
      .type = SETTING_INT,
      .offset = AT(max_steps),
      .fallback = "-1",
      .min = -1,
      .max = 1e9,
      .help = "optimizer steps; -1: as num_train_epochs says" },
    { .name = "batch_size", .type = SETTING_INT, .offset = AT(batch_size), .fallback = "8", .min = 1, .max = 1 << 20, .help = "sequences per optimizer step" },
    { .name = "micro_batch_tokens",
      .type = SETTING_OWN,
      .offset = AT(micro_batch_tokens),
      .parse = parse_tokens,
      .print = print_tokens,
      .help = "tokens computed at once, or auto (1024 or the longest sequence, fewer where memory is short): memory and speed only" },
    { .name = "learning_rate", .type = SETTING_REAL, .offset = AT(learning_rate), .fallback = "5e-5", .min = 0, .max = 1e3, .help = "highest learning rate" },
    { .name = "lr_scheduler_type",
      .type = SETTING_CHOICE,
      .offset = AT(lr_scheduler_type),
      .fallback = "linear",
      .choices = schedules,
      .help = "shape of the learning rate behind the warm-up, as transformers computes it" },
    { .name = "warmup_ratio",
      .type = SETTING_REAL,
      .offset = AT(warmup_ratio),
      .fallback = "0",
      .min = 0,
      .max = 1,
      .help = "share of the steps that warm up: of W such steps, step s has s / W of the rate" },
    { .name = "warmup_steps",
      .type = SETTING_INT,
      .offset = AT(warmup_steps),
      .fallback = "0",
      .min = 0,
      .max = 1e9,
      .help = "steps that warm up; wins over warmup_ratio when not 0" },
    { .name = "weight_decay",
      .type = SETTING_REAL,
      .offset = AT(weight_decay),
      .fallback = "0",
      .min = 0,
      .max = 10,
      .help = "decoupled, on every trained value" },
    { .name = "adam_beta1", .type = SETTING_REAL, .offset = AT(adam_beta1), .fallback = "0.9", .min = 0, .max = 0.999999, .help = "decay of the first moment" },
    { .name = "adam_beta2",
      .type = SETTING_REAL,
      .offset = AT(adam_beta2),
      .fallback = "0.999",
      .min = 0,
      .max = 0.99999999,
      .help = "decay of the second moment" },
    { .name = "adam_epsilon",
      .type = SETTING_REAL,
      .offset = AT(adam_epsilon),
      .fallback = "1e-8",
      .min = 1e-30,
      .max = 1,
      .help = "added to the root of the second moment" },
    { .name = "loraplus_lr_ratio",
      .type = SETTING_REAL,
      .offset = AT(loraplus_lr_ratio),
      .min = 1e-6,
      .max = 1e6,
      .help = "LoRA+: B and every vector learn at learning_rate times this, biases without decay; absent: one rate for all" },
    { .name = "loraplus_lr_embedding",
      .type = SETTING_REAL,
      .offset = AT(loraplus_lr_embedding),
      .min = 1e-30,
      .max = 1e3,
      .help = "LoRA+: highest learning rate of a LoRA on the embedding; absent: 1e-6" },
    { .name = "max_grad_norm",
      .type = SETTING_REAL,
      .offset = AT(max_grad_norm),
      .fallback = "1",
      .min = 0,
      .max = 1e9,
      .help = "gradients are clipped to this norm; 0: not at all" },
    { .name = "logging_steps",
      .type = SETTING_INT,
      .offset = AT(logging_steps),
      .fallback = "10",
      .min = 1,
      .max = 1e9,
      .help = "a line in metrics.jsonl every so many steps" },
    { .name = "eval_steps",
      .type = SETTING_INT,
      .offset = AT(eval_steps),
      .fallback = "0",
      .min = 0,
      .max = 1e9,
      .help = "evaluate every so many steps; 0: at the end only" },
    { .name = "save_steps",
      .type = SETTING_INT,
      .offset = AT(save_steps),
      .fallback = "0",
      .min = 0,
      .max = 1e9,
      .help = "also save the adapter under adapters/, and a checkpoint, every so many steps; 0: never" },
    { .name = "save_total_limit",
      .type = SETTING_INT,
      .offset = AT(save_total_limit),
      .fallback = "0",
      .min = 0,
      .max = 1e6,
      .help = "keep only so many of those, the newest; 0: all" },
    { .name = "load_best_model_at_end",
      .type = SETTING_BOOL,
      .offset = AT(load_best_model_at_end),
      .fallback = "false",
      .help = "the final adapter is the one with the lowest eval_loss" },
    { .name = "early_stopping_patience",
      .type = SETTING_INT,
      .offset = AT(early_stopping_patience),
      .fallback = "0",
      .min = 0,
      .max = 1e9,
      .help = "stop after so many evaluations without improvement; 0: never" },
    { .name = "early_stopping_threshold",
      .type = SETTING_REAL,
      .offset = AT(early_stopping_threshold),
      .fallback = "0",
      .min = 0,
      .max = 1e9,
      .help = "an improvement is more than this" },
    { .name = "memory_limit",
      .type = SETTING_REAL,
      .offset = AT(memory_limit),
      .fallback = "0",
      .min = 0,
      .max = 1e6,
      .help = "GiB this run may use; 0: what the machine has free" },
    { .name = "rank_timeout",
      .type = SETTING_REAL,
      .offset = AT(rank_timeout),
      .fallback = "600",
      .min = 1,
      .max = 1e6,
      .help = "with several ranks: seconds without a sign of one, after which it is named and all stop; longer than the longest evaluation or save" },
    { .name = "check_ranks_steps",
      .type = SETTING_INT,
      .offset = AT(check_ranks_steps),
      .fallback = "100",
      .min = 0,
      .max = 1e9,
      .help = "with several ranks: compare their parameters every so many steps; 0: never" },
    { .name = "recompute",
      .type = SETTING_CHOICE,
      .offset = AT(recompute),
      .fallback = "auto",
      .choices = recomputes,
      .help = "recompute activations per block in backward; auto: only when the plan would not fit (norms, gates and dropout always are)" },
    { .name = "shuffle",
      .type = SETTING_BOOL,
      .offset = AT(shuffle),
      .fallback = "true",
      .help = "a fresh order every epoch, from the seed; false keeps the order of the file" },
};
#undef AT

static const char *const sections[] = { "model", "adapter", "data", "training" };

static enum status check_sections(const struct yaml *root, const char *path, struct error *err)
{
    if (root->kind != YAML_MAP)
        return fail_with(err, BAD_CONFIG, "%s: expected sections", "a run has the sections model, adapter, data and training", root->where);
    for (int i = 0; i < root->count; i++) {
        bool known = false;
        for (size_t s = 0; s < COUNT(sections); s++)
            known |= text_equal(root->key[i], sections[s]);
        if (known && root->item[i]->kind != YAML_MAP)
            return fail_with(err, BAD_CONFIG, "%s: section '%s' is not a map", "write its settings indented below it", root->item[i]->where, root->key[i]);
        if (known)
            continue;
        enum status status =
            fail_with(err, BAD_CONFIG, "%s: unknown section '%s'", "sections are model, adapter, data and training", root->key_where[i], root->key[i]);
        const char *near = text_nearest(root->key[i], sections, COUNT(sections));
        if (near)
            cure_with(err, "did you mean '%s'?", near);
        return status;
    }
    for (size_t s = 0; s < COUNT(sections); s++)
        if (!yaml_find(root, sections[s]))
            return fail_with(err, BAD_CONFIG, "%s: section '%s' is missing", "a run has the sections model, adapter, data and training", path, sections[s]);
    return OK;
}

static enum status check_training(const struct config *config, const struct yaml *section, struct error *err)
{
    const struct training_settings *t = &config->training;
    bool evaluates = config->data.evals || config->data.eval_fraction > 0;
    const char *needs_eval = t->load_best_model_at_end    ? "load_best_model_at_end"
                             : t->early_stopping_patience ? "early_stopping_patience"
                             : t->eval_steps              ? "eval_steps"
                                                          : NULL;
    if (needs_eval && !evaluates)
        return fail_with(err, BAD_CONFIG, "%s: training.%s needs evaluation data", "give data.eval or data.eval_fraction", section->where, needs_eval);
    if (t->early_stopping_patience && !t->eval_steps)
        return fail_with(err, BAD_CONFIG, "%s: training.early_stopping_patience needs training.eval_steps", "say how often to evaluate", section->where);
    if (t->max_steps == 0)
        return fail_with(err, BAD_CONFIG, "%s: training.max_steps is 0", "-1 trains num_train_epochs, a positive number so many steps", section->where);
    if (settings_given(section, "loraplus_lr_embedding") && t->loraplus_lr_ratio == 0)
        return fail_with(err, BAD_CONFIG, "%s: training.loraplus_lr_embedding needs training.loraplus_lr_ratio", "add the ratio, or remove the line",
                         section->where);
    if (config->data.evals && config->data.eval_fraction > 0)
        return fail_with(err, BAD_CONFIG, "%s: data.eval and data.eval_fraction are both given", "keep one of them", config->path);
    return OK;
}

enum status config_read(struct config *config, struct arena *arena, const char *path, const char *const *overrides, int count, struct error *err)
{
    struct yaml *root;
    *config = (struct config){ .path = path, .folder = path_folder(arena, path) };
    TRY(yaml_read(arena, path, &root, err));
    for (int i = 0; i < count; i++)
        TRY(yaml_override(arena, root, overrides[i], err));
    TRY(check_sections(root, path, err));
    config->adapter = yaml_find(root, "adapter");
    TRY(settings_read(arena, model_rows, COUNT(model_rows), yaml_find(root, "model"), "model", config->folder, &config->model, err));
    TRY(settings_read(arena, data_settings_rows, data_settings_count, yaml_find(root, "data"), "data", config->folder, &config->data, err));
    config->data.model_folder = config->model.path;
    const struct yaml *training = yaml_find(root, "training");
    TRY(settings_read(arena, training_rows, COUNT(training_rows), training, "training", config->folder, &config->training, err));
    return check_training(config, training, err);
}

void config_print(struct config *config, const struct adapter *adapter, struct text *out)
{
    size_t begin = out->length;
    text_add_string(out, "model:\n");
    settings_print(out, model_rows, COUNT(model_rows), &config->model, 2);
    text_add_string(out, "adapter:\n");
    adapter_print(adapter, out, 2);
    text_add_string(out, "data:\n");
    settings_print(out, data_settings_rows, data_settings_count, &config->data, 2);
    text_add_string(out, "training:\n");
    settings_print(out, training_rows, COUNT(training_rows), &config->training, 2);
    hash_bytes(out->bytes + begin, out->length - begin, config->hash);
}

void config_help(struct text *out)
{
    text_add_string(out, "\nSettings of the YAML file (dotted paths on the command line override them):\n");
    settings_help(out, model_rows, COUNT(model_rows), "model");
    adapter_help(out);
    settings_help(out, data_settings_rows, data_settings_count, "data");
    settings_help(out, training_rows, COUNT(training_rows), "training");
}
