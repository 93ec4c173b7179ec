/* metrics.jsonl and manifest.json. */
#include "trainer/metrics.h"
#include "common/files.h"
#include "trainer/memory.h"

#include <math.h>

static enum status append(const struct run *run, struct text *line, struct error *err)
{
    return file_append(path_join(line->arena, run->config.training.output_dir, "metrics.jsonl"), line->bytes, line->length, err);
}

static void number(struct text *line, const char *name, double value)
{
    text_print(line, ", \"%s\": ", name);
    text_add_number(line, value);
}

static double epoch(const struct run *run, int64_t step)
{
    return (double)step / (double)run->steps_per_epoch;
}

static enum status add_parameter_hash(const struct run *run, struct text *line, struct error *err)
{
    char hex[65];
    TRY(adapter_hash(run->adapter, hex, err));
    text_print(line, ", \"parameter_hash\": \"%.*s\"", PARAMETER_HASH, hex);
    return OK;
}

enum status metrics_step(const struct run *run, int64_t step, const struct step_result *result, double learning_rate, double tokens_per_second, bool hash,
                         struct error *err)
{
    struct arena *arena = arena_create_like(run->arena);
    struct text line = text_new(arena);
    text_print(&line, "{\"step\": %lld", (long long)step);
    number(&line, "epoch", epoch(run, step));
    number(&line, "loss", result->loss);
    number(&line, "grad_norm", result->grad_norm);
    number(&line, "learning_rate", learning_rate);
    number(&line, "tokens_per_second", tokens_per_second);
    text_print(&line, ", \"trained_tokens\": %lld, \"memory_bytes\": %zu", (long long)result->trained, memory_peak());
    enum status status = hash ? add_parameter_hash(run, &line, err) : OK;
    text_add_string(&line, "}\n");
    if (status == OK)
        status = append(run, &line, err);
    arena_destroy(arena);
    return status;
}

enum status metrics_eval(const struct run *run, int64_t step, const struct loss_sum *sum, struct error *err)
{
    struct arena *arena = arena_create_like(run->arena);
    struct text line = text_new(arena);
    double loss = sum->loss / (double)sum->tokens;
    text_print(&line, "{\"step\": %lld", (long long)step);
    number(&line, "epoch", epoch(run, step));
    number(&line, "eval_loss", loss);
    number(&line, "eval_perplexity", exp(loss));
    text_print(&line, ", \"eval_tokens\": %lld}\n", (long long)sum->tokens);
    enum status status = append(run, &line, err);
    arena_destroy(arena);
    return status;
}

static enum status add_hashes(struct run *run, const struct identity *identity, json_t *json, struct error *err)
{
    char hex[65];
    TRY(adapter_hash(run->adapter, hex, err));
    json_object_set_new(json, "adapter_hash", json_string(hex));
    json_object_set_new(json, "config_hash", json_string(run->config.hash));
    for (int i = 0; i < IDENTITY_PARTS; i++)
        if (*identity->text[i])
            json_object_set_new(json, identity_key[i], json_string(identity->text[i]));
    return OK;
}

enum status manifest_write(struct run *run, const struct identity *identity, int64_t steps_done, double seconds, const char *outcome, struct error *err)
{
    json_t *json = json_object();
    json_object_set_new(json, "threads", json_integer(run->device->threads));
    json_object_set_new(json, "base", json_string(run->config.model.path));
    json_object_set_new(json, "micro_batch_tokens", json_integer(run->budget.micro_batch_tokens));
    json_object_set_new(json, "steps", json_integer(steps_done));
    json_object_set_new(json, "seconds", json_real(seconds));
    json_object_set_new(json, "outcome", json_string(outcome));
    struct output out = { 0 };
    enum status status = add_hashes(run, identity, json, err);
    char *text = status == OK ? json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    if (status == OK && !text)
        status = fail_with(err, NO_MEMORY, "manifest.json: no memory left to write it", "free memory");
    if (status == OK)
        status = output_open(&out, run->arena, path_join(run->arena, run->config.training.output_dir, "manifest.json"), true, err);
    if (status == OK) {
        output_string(&out, text);
        output_string(&out, "\n");
        status = output_commit(&out);
    }
    free(text);
    json_decref(json);
    return status;
}
