/* graft inspect: what a model folder, an adapter folder, a checkpoint or a token cache is. */
#include "cli/commands.h"
#include "cli/inspect_adapter.h"
#include "cli/opened.h"
#include "common/files.h"
#include "common/hdf5_file.h"
#include "datasets/token_cache.h"
#include "models/family.h"
#include "trainer/checkpoint.h"

#include <stdlib.h>
#include <string.h>

struct inspect_options {
    struct common_options common;
    const char *model;
};

static const struct option inspect_rows[] = {
    { "model", OPTION_TEXT, offsetof(struct inspect_options, model), "DIR", NULL, 0, 0, "with an adapter: whether it fits this Hugging Face model folder" },
};

static const char *const rope_names[] = {
    [ROPE_DEFAULT] = "default", [ROPE_LINEAR] = "linear", [ROPE_DYNAMIC] = "dynamic", [ROPE_YARN] = "yarn", [ROPE_LLAMA3] = "llama3"
};

/* A text of a file as it may go to a terminal. */
static const char *shown(struct arena *arena, const char *text)
{
    return text_make_printable(arena_text(arena, text, strlen(text)));
}

static enum status inspect_model(struct arena *arena, const char *folder, struct output *out, struct error *err)
{
    struct model_config c;
    struct safetensors_set set = { 0 };
    TRY(model_config_read(&c, arena, folder, err));
    output_print(out, "%s: a model folder\n  family         %s\n  values         %lld\n  width          %lld\n  layers         %lld\n", folder, c.model_type,
                 (long long)model_config_size(&c), (long long)c.width, (long long)c.layers);
    output_print(out, "  heads          %lld of %lld, %lld for keys and values\n  MLP width      %lld\n  vocabulary     %lld%s\n  positions      %lld\n",
                 (long long)c.heads, (long long)c.head_size, (long long)c.kv_heads, (long long)c.mlp_width, (long long)c.vocab,
                 c.tied ? ", tied to the head" : "", (long long)c.max_positions);
    if (c.shape.positions == ROTARY)
        output_print(out, "  rope           %s, theta %g, %lld of %lld dimensions\n", rope_names[c.rope.type], c.rope.theta, (long long)c.rotary_size,
                     (long long)c.head_size);
    else
        output_print(out, "  position       %s\n", c.shape.positions == ALIBI ? "ALiBi" : "learned, a table");
    int64_t windowed = 0;
    for (int64_t layer = 0; layer < c.layers; layer++)
        windowed += model_window(&c, layer) > 0;
    if (c.window)
        output_print(out, "  window         %d, in %lld of %lld layers\n", c.window, (long long)windowed, (long long)c.layers);
    output_print(out, "  stored as      %s\n  BOS, EOS       %d,", shown(arena, c.dtype), c.bos);
    for (int i = 0; i < c.eos_count; i++)
        output_print(out, " %d", c.eos[i]);
    output_print(out, "\n  LoRA targets   ");
    for (size_t i = 0; i < COUNT(c.family->lora_targets) && c.family->lora_targets[i]; i++)
        output_print(out, "%s%s", i ? ", " : "", c.family->lora_targets[i]);
    output_print(out, " (PEFT's default)\n");
    enum status status = model_files_open(&set, arena, folder, err);
    if (status == OK) {
        uint64_t bytes = 0;
        int64_t tensors = 0;
        char text[32];
        for (int f = 0; f < set.files; f++)
            for (int64_t t = 0; t < set.file[f].count; t++, tensors++)
                bytes += set.file[f].tensor[t].bytes;
        output_print(out, "  weights        %lld tensors in %d files, %s\n", (long long)tensors, set.files, text_bytes(text, bytes));
    }
    safetensors_set_close(&set);
    return status;
}

static enum status inspect_cache(struct arena *arena, const char *path, struct output *out, struct error *err)
{
    struct dataset dataset;
    struct text report = text_new(arena);
    char key[CACHE_KEY];
    TRY(token_cache_read(&dataset, arena, path, NULL, key, INT32_MAX, err));
    dataset_report(&dataset, "source", &report);
    output_print(out, "%s: a token cache\n  key            %s\n  sequences      %lld of %lld records, %.12s by their hash\n", path, key,
                 (long long)dataset.count, (long long)dataset.records, dataset.hash);
    output_print(out, "  tokens         %lld, %lld of them trained\n", (long long)dataset.tokens, (long long)dataset.trained);
    output_write(out, report.bytes, report.length);
    dataset_close(&dataset);
    return OK;
}

static enum status inspect_checkpoint(struct arena *arena, const char *path, struct output *out, struct error *err)
{
    struct checkpoint c;
    char text[32];
    enum status status = checkpoint_open(&c, arena, path, err);
    if (status == OK) {
        const struct position *p = &c.position;
        output_print(out, "%s: a checkpoint, intact\n  step           %lld, after %.1f s\n  loss           %.9g, at the first step %.9g\n", path,
                     (long long)p->step, p->seconds, p->last_loss, p->first_loss);
        if (p->best_step)
            output_print(out, "  eval_loss      %.9g, best %.9g at step %lld\n", p->eval_loss, p->best_eval_loss, (long long)p->best_step);
        output_print(out, "  parameters     %lld tensors, %s with moments%s\n", (long long)c.tensors,
                     text_bytes(text, (uint64_t)c.count * sizeof(float) * (c.best ? 4 : 3)), c.best ? " and the best" : "");
        output_print(out, "  micro-batches  %lld tokens\n  metrics.jsonl  %lld bytes of it\n", (long long)p->micro_batch_tokens, (long long)p->metrics_bytes);
        for (int i = 0; i < IDENTITY_PARTS; i++)
            if (*c.identity.text[i])
                output_print(out, "  %-14s %s\n", identity_name[i], c.identity.text[i]);
    }
    checkpoint_close(&c);
    return status;
}

/* Loads the adapter onto the model, as every other command would. */
static enum status check_fit(struct cli *cli, const struct inspect_options *o, const char *folder, struct output *out)
{
    struct opened opened = { 0 };
    const struct model_options model = { .model = o->model, .dtype = "float32", .adapter = { .item = &folder, .count = 1 } };
    struct common_options common = o->common;
    common.quiet = true;
    enum status status = opened_model(&opened, cli->arena, &common, &model, cli->err);
    if (status == OK)
        output_print(out, "  fits           %s, a %s of %lld layers\n", o->model, opened.config.model_type, (long long)opened.config.layers);
    opened_close(&opened);
    return status;
}

static enum status run_inspect(struct cli *cli, const void *options)
{
    const struct inspect_options *o = options;
    const char *folder = o->common.arguments.item[0];
    struct output out = { 0 };
    TRY(output_open(&out, cli->arena, NULL, true, cli->err));
    enum status status;
    if (file_exists(path_join(cli->arena, folder, "adapter_config.json")))
        status = inspect_adapter(cli->arena, folder, &out, cli->err);
    else if (o->model)
        status =
            fail_with(cli->err, BAD_OPTION, "--model: %s is no adapter folder", "only an adapter can be held against a model: leave the option out", folder);
    else if (file_exists(path_join(cli->arena, folder, "config.json")))
        status = inspect_model(cli->arena, folder, &out, cli->err);
    else if (hdf5_is_sealed(folder) && checkpoint_is(folder))
        status = inspect_checkpoint(cli->arena, folder, &out, cli->err);
    else if (hdf5_is_sealed(folder))
        status = inspect_cache(cli->arena, folder, &out, cli->err);
    else
        status = fail_with(cli->err, BAD_FILE, "%s: neither a model folder nor an adapter folder nor a checkpoint nor a token cache",
                           "a model folder has a config.json, an adapter folder an adapter_config.json; checkpoints and token caches are .h5 files", folder);
    if (status == OK && o->model)
        status = check_fit(cli, o, folder, &out);
    if (status == OK)
        return output_commit(&out);
    output_discard(&out);
    return status;
}

const struct command command_inspect = {
    .name = "inspect",
    .arguments = "PATH",
    .summary = "what a model folder, an adapter folder, a checkpoint or a token cache is",
    .min_arguments = 1,
    .max_arguments = 1,
    .option = inspect_rows,
    .options = COUNT(inspect_rows),
    .bytes = sizeof(struct inspect_options),
    .run = run_inspect,
};
