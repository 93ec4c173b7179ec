/* graft evaluate: metrics of a model on records, with or without an adapter. */
#include "cli/commands.h"
#include "cli/opened.h"
#include "common/files.h"
#include "inference/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct evaluate_options {
    struct common_options common;
    struct model_options model;
    const char *data, *format, *template_name, *prompt, *response, *output, *answers;
    int64_t limit, max_length;
    bool force;
};

#define AT(field) offsetof(struct evaluate_options, field)
static const struct option evaluate_rows[] = {
    MODEL_OPTIONS(struct evaluate_options),
    { "data", OPTION_TEXT, AT(data), "FILE", "!", 0, 0, "records" },
    { "format", OPTION_TEXT, AT(format), "FORMAT", "!", 0, 0, "which fields a record has: dolly, messages, tokens, ... (a wrong one lists all)" },
    { "template", OPTION_TEXT, AT(template_name), "NAME", NULL, 0, 0, "alpaca, dolly, chatml, chat_template, ...; absent: the format's own" },
    { "template-prompt", OPTION_TEXT, AT(prompt), "TEXT", NULL, 0, 0, "a template of your own: the prompt, fields in braces" },
    { "template-response", OPTION_TEXT, AT(response), "TEXT", NULL, 0, 0, "and the response" },
    { "limit", OPTION_INT, AT(limit), "N", "0", 0, 1e12, "only the first N records; 0: all" },
    { "max-length", OPTION_INT, AT(max_length), "N", "0", 0, 1 << 24,
      "longest sequence in tokens; 0: the model's positions. Longer ones are left out and counted" },
    { "output", OPTION_TEXT, AT(output), "RESULT.json", NULL, 0, 0, "every figure, the settings and hashes" },
    { "answers", OPTION_TEXT, AT(answers), "OUT.jsonl", NULL, 0, 0, "the answer to each record" },
    { "force", OPTION_FLAG, AT(force), NULL, NULL, 0, 0, "overwrite existing output" },
};
#undef AT

static enum status read_records(struct opened *opened, const struct evaluate_options *o, struct dataset *dataset, struct error *err)
{
    struct source source = { .path = o->data,
                             .format = o->format,
                             .template_name = o->template_name,
                             .prompt = o->prompt,
                             .response = o->response,
                             .limit = o->limit,
                             .where = "command line" };
    const int64_t positions = session_positions(&opened->session, 0);
    struct data_settings settings = { .max_length = o->max_length ? o->max_length : positions,
                                      .over_length = OVER_LENGTH_DROP,
                                      .model_folder = o->model.model };
    int32_t eos[MAX_EOS];
    if (!o->prompt != !o->response)
        return fail_with(err, BAD_OPTION, "--template-prompt and --template-response belong together", "give both");
    if (o->prompt && o->template_name)
        return fail_with(err, BAD_OPTION, "--template and --template-prompt are both given", "keep one of them");
    if (!text_equal(o->format, "tokens"))
        TRY(opened_tokenizer(opened, o->model.model, "records", err));
    int32_t end = opened->tokenizer && tokenizer_eos(opened->tokenizer) >= 0 ? tokenizer_eos(opened->tokenizer) : opened_eos(opened, eos) ? eos[0] : -1;
    TRY(dataset_read(dataset, opened->arena, &source, 1, &settings, opened->tokenizer, end, opened->config.vocab, err));
    if (dataset->count == 0)
        return fail_with(err, BAD_DATA, "%s: no record can be evaluated", "see that records have responses and fit --max-length", o->data);
    return OK;
}

static json_t *figure(const struct figure *f)
{
    json_t *json = json_object();
    json_object_set_new(json, "mean", json_real(f->mean));
    json_object_set_new(json, "standard_error", json_real(f->error));
    json_object_set_new(json, "count", json_integer(f->count));
    return json;
}

static enum status describe(const struct opened *opened, const struct evaluate_options *o, const struct dataset *dataset, const struct evaluation *e,
                            json_t *json, struct error *err)
{
    char hex[65];
    json_object_set_new(json, "loss", figure(&e->loss));
    json_object_set_new(json, "perplexity", json_real(exp(e->loss.mean)));
    json_object_set_new(json, "exact_match", figure(&e->exact_match));
    json_object_set_new(json, "records", json_integer(dataset->records));
    json_object_set_new(json, "records_left_out", json_integer(dataset->conversations - dataset->count));
    json_object_set_new(json, "model", json_string(o->model.model));
    json_object_set_new(json, "data", json_string(o->data));
    json_object_set_new(json, "format", json_string(o->format));
    if (o->template_name)
        json_object_set_new(json, "template", json_string(o->template_name));
    json_object_set_new(json, "dtype", json_string(dtype_name(opened->model.dtype)));
    json_object_set_new(json, "graft", json_string(GRAFT_VERSION));
    TRY(model_hash(&opened->model, hex, err));
    json_object_set_new(json, "model_hash", json_string(hex));
    json_object_set_new(json, "data_hash", json_string(dataset->hash));
    json_t *adapters = json_array();
    json_object_set_new(json, "adapters", adapters);
    for (int i = 0; i < opened->adapters; i++) {
        TRY(adapter_hash(opened->adapter[i], hex, err));
        json_array_append_new(adapters, json_pack("{s:s, s:s}", "path", opened->adapter[i]->init_from, "hash", hex));
    }
    return OK;
}

static enum status write_json(struct arena *arena, const char *path, bool force, const json_t *json, struct error *err)
{
    struct output out;
    char *text = json_dumps(json, JSON_INDENT(2));
    if (!text)
        return fail_with(err, NO_MEMORY, "%s: no memory left to write it", "free memory", path);
    enum status status = output_open(&out, arena, path, force, err);
    if (status == OK) {
        output_string(&out, text);
        output_string(&out, "\n");
        status = output_commit(&out);
    }
    free(text);
    return status;
}

static enum status write_answers(struct arena *arena, const struct evaluate_options *o, const struct dataset *dataset, const struct evaluation *e,
                                 struct error *err)
{
    struct output out;
    struct text line = text_new(arena);
    TRY(output_open(&out, arena, o->answers, o->force, err));
    for (int64_t i = 0; i < dataset->count; i++) {
        const char *answer = e->answer[i] ? e->answer[i] : "", *expected = dataset->sequence[i].response ? dataset->sequence[i].response : "";
        text_clear(&line);
        text_add_string(&line, "{\"where\": ");
        text_add_json(&line, dataset->sequence[i].where, strlen(dataset->sequence[i].where));
        text_add_string(&line, ", \"answer\": ");
        text_add_json(&line, answer, strlen(answer));
        text_add_string(&line, ", \"reference\": ");
        text_add_json(&line, expected, strlen(expected));
        text_print(&line, ", \"correct\": %s}\n", e->correct[i] ? "true" : "false");
        output_write(&out, line.bytes, line.length);
    }
    return output_commit(&out);
}

static enum status evaluate_opened(struct opened *opened, const struct evaluate_options *o, struct error *err)
{
    struct dataset dataset;
    struct evaluation e;
    int32_t eos[MAX_EOS];
    TRY(read_records(opened, o, &dataset, err));
    int eos_count = opened_eos(opened, eos);
    if (evaluate(&opened->session, opened->arena, &dataset, opened->tokenizer, eos, eos_count, &e, err) != OK)
        return place_failure(err, o->data);
    json_t *json = json_object();
    enum status status = describe(opened, o, &dataset, &e, json, err);
    if (status == OK && o->output)
        status = write_json(opened->arena, o->output, o->force, json, err);
    json_decref(json);
    TRY(status);
    if (o->answers)
        TRY(write_answers(opened->arena, o, &dataset, &e, err));
    struct output out;
    TRY(output_open(&out, opened->arena, NULL, true, err));
    output_print(&out, "records %lld  left out %lld\n", (long long)dataset.records, (long long)(dataset.conversations - dataset.count));
    output_print(&out, "loss per token %.4f +- %.4f  (%lld tokens)\nperplexity %.3f\n", e.loss.mean, e.loss.error, (long long)e.loss.count, exp(e.loss.mean));
    if (e.exact_match.count)
        output_print(&out, "exact match %.1f %% +- %.1f  (%lld answers)\n", 100 * e.exact_match.mean, 100 * e.exact_match.error,
                     (long long)e.exact_match.count);
    return output_commit(&out);
}

static enum status run_evaluate(struct cli *cli, const void *options)
{
    const struct evaluate_options *o = options;
    struct opened opened = { 0 };
    TRY(outputs_check(cli->arena, o->output, o->answers, o->force, cli->err));
    enum status status = opened_model(&opened, cli->arena, &o->common, &o->model, cli->err);
    if (status == OK)
        status = evaluate_opened(&opened, o, cli->err);
    opened_close(&opened);
    return status;
}

const struct command command_evaluate = {
    .name = "evaluate",
    .summary = "loss, perplexity and exact match on records",
    .option = evaluate_rows,
    .options = COUNT(evaluate_rows),
    .bytes = sizeof(struct evaluate_options),
    .run = run_evaluate,
    .multiplies = true,
};
