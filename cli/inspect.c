/* graft inspect: what a model folder or an adapter folder is. */
#include "cli/commands.h"
#include "common/files.h"
#include "adapters/peft_files.h"
#include "models/family.h"

#include <stdlib.h>
#include <string.h>

struct inspect_options {
    struct common_options common;
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
    output_print(out, "  rope           %s, theta %g\n", rope_names[c.rope.type], c.rope.theta);
    if (c.window)
        output_print(out, "  window         %d\n", c.window);
    output_print(out, "  stored as      %s\n  BOS, EOS       %d,", shown(arena, c.dtype), c.bos);
    for (int i = 0; i < c.eos_count; i++)
        output_print(out, " %d", c.eos[i]);
    output_print(out, "\n  LoRA targets   ");
    for (size_t i = 0; i < COUNT(c.family->lora_targets) && c.family->lora_targets[i]; i++)
        output_print(out, "%s%s", i ? ", " : "", c.family->lora_targets[i]);
    output_print(out, " (PEFT's default)\n");
    enum status status = safetensors_set_open(&set, arena, folder, "model", err);
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

static enum status inspect_adapter(struct arena *arena, const char *folder, struct output *out, struct error *err)
{
    json_t *json = NULL;
    const char *type = "?", *base = "?", *where = path_join(arena, folder, "adapter_config.json");
    struct safetensors_set set = { 0 };
    TRY(json_read(where, &json, err));
    enum status status = json_get_text(json, where, "peft_type", &type, err);
    if (status == OK)
        status = json_get_text(json, where, "base_model_name_or_path", &base, err);
    if (status == OK)
        status = peft_weights_open(&set, arena, folder, err);
    if (status == OK) {
        int64_t values = 0, tensors = 0;
        for (int f = 0; f < set.files; f++)
            for (int64_t t = 0; t < set.file[f].count; t++, tensors++)
                values += (int64_t)(set.file[f].tensor[t].bytes / (uint64_t)safetensors_dtype_bytes(set.file[f].tensor[t].dtype));
        output_print(out, "%s: an adapter folder\n  method         %s\n  base           %s\n  values         %lld in %lld tensors\n", folder,
                     shown(arena, type), shown(arena, base), (long long)values, (long long)tensors);
        const char *key;
        json_t *value;
        json_object_foreach(json, key, value)
        {
            char *text = json_is_null(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            if (text)
                output_print(out, "  %-28s %s\n", key, text);
            free(text);
        }
    }
    safetensors_set_close(&set);
    json_decref(json);
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
    else if (file_exists(path_join(cli->arena, folder, "config.json")))
        status = inspect_model(cli->arena, folder, &out, cli->err);
    else
        status = fail_with(cli->err, BAD_FILE, "%s: neither a model folder nor an adapter folder",
                           "a model folder has a config.json, an adapter folder an adapter_config.json", folder);
    if (status == OK)
        return output_commit(&out);
    output_discard(&out);
    return status;
}

const struct command command_inspect = {
    .name = "inspect",
    .arguments = "PATH",
    .summary = "what a model folder or an adapter folder is",
    .min_arguments = 1,
    .max_arguments = 1,
    .bytes = sizeof(struct inspect_options),
    .run = run_inspect,
};
