/* graft merge: fold an adapter into a copy of its base model, then hold the copy against base and adapter. */
#include "adapters/merge.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "common/random.h"
#include "inference/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct merge_options {
    struct common_options common;
    const char *model, *adapter, *output, *dtype, *max_shard_size;
    bool force;
};

#define AT(field) offsetof(struct merge_options, field)
static const struct option merge_rows[] = {
    { "model", OPTION_TEXT, AT(model), "DIR", "!", 0, 0, "Hugging Face model folder" },
    { "adapter", OPTION_TEXT, AT(adapter), "DIR", "!", 0, 0, "PEFT adapter folder" },
    { "output", OPTION_TEXT, AT(output), "DIR", "!", 0, 0, "folder to be made" },
    { "dtype", OPTION_TEXT, AT(dtype), "keep|float32|bfloat16|float16", "keep", 0, 0, "of the merged weights; keep: each as the model stores it" },
    { "max-shard-size", OPTION_TEXT, AT(max_shard_size), "SIZE", "5GB", 0, 0,
      "largest file of weights, in KB, MB or GB of 1000; above it an index names several" },
    { "force", OPTION_FLAG, AT(force), NULL, NULL, 0, 0, "overwrite files of the same names in an existing folder" },
};

/* What both models are asked: ids drawn once and for all. */
enum { PROMPTS = 4, LENGTH = 16 };

/* The largest logit difference that is allowed, in parts of the largest logit. Weights are rounded once to 24, 11 or 8 binary digits, and both sums are made in
 * f32 in different orders. The tiny models of the records, which random weights make more sensitive than trained ones, reach 8e-6, 1.2e-2 and 4.7e-2. */
static const struct precision {
    const char *option, *stored;
    double allowed;
} precisions[] = { { "keep", NULL, 0 }, { "float32", "F32", 1e-4 }, { "float16", "F16", 2e-2 }, { "bfloat16", "BF16", 1e-1 } };

static enum status read_dtype(const char *text, const char **stored, struct error *err)
{
    for (size_t i = 0; i < COUNT(precisions); i++)
        if (strcmp(precisions[i].option, text) == 0) {
            *stored = precisions[i].stored;
            return OK;
        }
    return fail_with(err, BAD_OPTION, "--dtype: '%.100s' is no dtype of merged weights", "use keep, float32, bfloat16 or float16", text);
}

static enum status read_size(const char *text, int64_t *bytes, struct error *err)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = { { "KB", 1000 }, { "MB", 1000000 }, { "GB", 1000000000 } };
    for (size_t i = 0; i < COUNT(units); i++) {
        char number[32] = "";
        if (!text_ends(text, units[i].name) || strlen(text) - 2 >= sizeof number)
            continue;
        memcpy(number, text, strlen(text) - 2);
        if (text_to_int(number, bytes) && *bytes > 0 && !__builtin_mul_overflow(*bytes, units[i].bytes, bytes))
            return OK;
    }
    return fail_with(err, BAD_OPTION, "--max-shard-size: '%.100s' is no size", "write a whole number and KB, MB or GB, such as 5GB", text);
}

/* Merging into the model's own folder would destroy what is read. */
static enum status check_folders(const struct merge_options *o, struct error *err)
{
    struct stat model, output;
    if (stat(o->output, &output) != 0)
        return OK;
    if (!S_ISDIR(output.st_mode))
        return fail_with(err, EXISTS, "%s: is a file, not a folder", "name a folder that does not exist yet", o->output);
    if (stat(o->model, &model) == 0 && model.st_dev == output.st_dev && model.st_ino == output.st_ino)
        return fail_with(err, EXISTS, "%s: is the model's own folder", "choose another folder for --output", o->output);
    return OK;
}

/* Logits of the fixed ids, [PROMPTS * length, vocab]; returns the length. */
static enum status logits_of(struct opened *opened, float **logits, int64_t *rows, struct error *err)
{
    const int64_t vocab = opened->config.vocab, length = opened->config.max_positions < LENGTH ? opened->config.max_positions : LENGTH;
    int32_t ids[PROMPTS * LENGTH];
    *rows = PROMPTS * length;
    *logits = NEW_ARRAY(opened->arena, *rows * vocab, float);
    for (int i = 0; i < PROMPTS * LENGTH; i++)
        ids[i] = (int32_t)random_below(0, random_stream("merge"), (uint64_t)i, (uint64_t)vocab);
    for (int i = 0; i < PROMPTS; i++) {
        const struct sequence prompt = { .ids = ids + i * LENGTH, .count = length };
        float *some;
        TRY(score_logits(&opened->session, opened->arena, &prompt, &some, err));
        memcpy(*logits + i * length * vocab, some, (size_t)(length * vocab) * sizeof *some);
    }
    for (int64_t i = 0; i < *rows * vocab; i++)
        if (!isfinite((*logits)[i]))
            return fail_with(err, BAD_MODEL, "%s: a logit of the prompts that merging is checked with is not finite", NOT_FINITE, opened->config.folder);
    return OK;
}

struct difference {
    double largest, scale; /* difference, and logit of the base with adapter */
    int64_t rows, equal;   /* positions, and those whose most probable id is the same */
};

static struct difference compare(const float *one, const float *other, int64_t rows, int64_t vocab)
{
    struct difference d = { .rows = rows };
    for (int64_t r = 0; r < rows; r++) {
        int64_t best = 0, other_best = 0;
        for (int64_t i = 0; i < vocab; i++) {
            const double a = (double)one[r * vocab + i], b = (double)other[r * vocab + i];
            d.largest = fmax(d.largest, fabs(a - b));
            d.scale = fmax(d.scale, fabs(a));
            best = one[r * vocab + i] > one[r * vocab + best] ? i : best;
            other_best = other[r * vocab + i] > other[r * vocab + other_best] ? i : other_best;
        }
        d.equal += best == other_best;
    }
    return d;
}

static enum status report(struct cli *cli, const struct merge_options *o, const struct merge_result *result, const struct difference *d)
{
    double allowed = 0;
    struct output out = { 0 };
    char bytes[32];
    for (size_t i = 1; i < COUNT(precisions); i++)
        if (strcmp(precisions[i].stored, result->coarsest) == 0)
            allowed = precisions[i].allowed * d->scale;
    if (!(d->largest <= allowed)) {
        fail_with(cli->err, UNHEALTHY, "%s: the merged model's logits differ by up to %.3g from those of base and adapter, %.3g are allowed (%s)", "",
                  o->output, d->largest, allowed, result->coarsest);
        return cure_with(cli->err, "nothing was kept; %s",
                         strcmp(result->coarsest, "F32") == 0 ? "this is a fault of graft: please report it with both folders' configurations"
                                                              : "merge with --dtype float32");
    }
    TRY(output_open(&out, cli->arena, NULL, true, cli->err));
    output_print(&out, "%s: a merged model\n  tensors        %lld, %lld of them changed%s\n  weights        %s in %d files with all others\n", o->output,
                 (long long)result->tensors, (long long)result->changed, result->untied ? ", the head no longer tied to the embedding" : "",
                 text_bytes(bytes, result->bytes), result->files);
    output_print(&out, "  checked        largest logit difference %.3g (%.3g allowed), %.4g %% of %lld greedy tokens equal\n", d->largest, allowed,
                 100 * (double)d->equal / (double)d->rows, (long long)d->rows);
    return output_commit(&out);
}

/* The merged folder as anybody would open it. */
static enum status verify(struct cli *cli, const struct merge_options *o, const struct merge_result *result, const float *expected, int64_t rows)
{
    struct opened opened = { 0 };
    struct common_options common = o->common;
    float *logits;
    common.quiet = true;
    enum status status = opened_model(&opened, cli->arena, &common, &(struct model_options){ .model = o->output, .dtype = "float32" }, cli->err);
    if (status == OK)
        status = logits_of(&opened, &logits, &rows, cli->err);
    const struct difference d = status == OK ? compare(expected, logits, rows, opened.config.vocab) : (struct difference){ 0 };
    opened_close(&opened);
    return status == OK ? report(cli, o, result, &d) : status;
}

static enum status merge(struct cli *cli, const struct merge_options *o, const struct merge_settings *settings, struct merge_result *result)
{
    struct opened opened = { 0 };
    const char *adapter = o->adapter;
    const struct model_options model = { .model = o->model, .dtype = "float32", .adapter = { .item = &adapter, .count = 1 } };
    float *logits;
    int64_t rows = 0;
    enum status status = opened_model(&opened, cli->arena, &o->common, &model, cli->err);
    if (status == OK)
        status = logits_of(&opened, &logits, &rows, cli->err);
    if (status == OK)
        status = merge_write(opened.adapter[0], cli->arena, &opened.model, settings, result, cli->err);
    opened_close(&opened);
    return status == OK ? verify(cli, o, result, logits, rows) : status;
}

static enum status run_merge(struct cli *cli, const void *options)
{
    const struct merge_options *o = options;
    struct merge_settings settings = { .folder = o->output, .overwrite = o->force };
    struct merge_result result = { 0 };
    TRY(read_dtype(o->dtype, &settings.dtype, cli->err));
    TRY(read_size(o->max_shard_size, &settings.shard_bytes, cli->err));
    TRY(check_folders(o, cli->err));
    const bool existed = folder_exists(o->output);
    enum status status = merge(cli, o, &settings, &result);
    for (int i = 0; i < result.files && status != OK; i++)
        unlink(result.written[i]);
    if (status != OK && !existed)
        rmdir(o->output);
    return status;
}

const struct command command_merge = {
    .name = "merge",
    .summary = "fold an adapter into a copy of its base model",
    .option = merge_rows,
    .options = COUNT(merge_rows),
    .bytes = sizeof(struct merge_options),
    .run = run_merge,
};
