/* graft tokenize, graft detokenize: text to ids and back. */
#include "autograd/device.h"
#include "cli/commands.h"
#include "common/files.h"
#include "common/json.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

struct tokenize_options {
    struct common_options common;
    const char *model, *text, *input, *output;
    bool no_special_tokens, keep_special_tokens, force;
};

#define AT(field) offsetof(struct tokenize_options, field)
static const struct option tokenize_rows[] = {
    { "model", OPTION_TEXT, AT(model), "DIR", "!", 0, 0, "folder with a tokenizer.json, or that file" },
    { "text", OPTION_TEXT, AT(text), "TEXT", NULL, 0, 0, "the text" },
    { "input", OPTION_TEXT, AT(input), "IN.jsonl", NULL, 0, 0, "lines of {\"text\": \"..\"}" },
    { "output", OPTION_TEXT, AT(output), "OUT.jsonl", NULL, 0, 0, "lines of {\"ids\", \"tokens\"}; stdout if absent" },
    { "no-special-tokens", OPTION_FLAG, AT(no_special_tokens), NULL, NULL, 0, 0, "add no BOS, EOS and the like" },
    { "force", OPTION_FLAG, AT(force), NULL, NULL, 0, 0, "overwrite existing output" },
};
static const struct option detokenize_rows[] = {
    { "model", OPTION_TEXT, AT(model), "DIR", "!", 0, 0, "folder with a tokenizer.json, or that file" },
    { "input", OPTION_TEXT, AT(input), "IN.jsonl", "!", 0, 0, "lines of {\"ids\": [..]}" },
    { "output", OPTION_TEXT, AT(output), "OUT.jsonl", NULL, 0, 0, "lines of {\"text\"}; stdout if absent" },
    { "keep-special-tokens", OPTION_FLAG, AT(keep_special_tokens), NULL, NULL, 0, 0, "show special tokens too" },
    { "force", OPTION_FLAG, AT(force), NULL, NULL, 0, 0, "overwrite existing output" },
};
#undef AT

/* Turns one record (or the text of --text) into one line. */
typedef enum status line_converter(const struct tokenizer *tokenizer, struct arena *arena, const json_t *json, const char *where,
                                   const struct tokenize_options *o, struct text *line, struct error *err);

static enum status encode_line(const struct tokenizer *tokenizer, struct arena *arena, const json_t *json, const char *where, const struct tokenize_options *o,
                               struct text *line, struct error *err)
{
    const char *text = NULL;
    struct tokens tokens;
    TRY(json_get_text(json, where, "text", &text, err));
    if (!text)
        return fail_with(err, BAD_DATA, "%s: no \"text\"", "lines are {\"text\": \"..\"}", where);
    if (tokenizer_encode(tokenizer, arena, text, strlen(text), !o->no_special_tokens, &tokens, err) != OK)
        return place_failure(err, where);
    text_add_string(line, "{\"ids\": [");
    for (int64_t i = 0; i < tokens.count; i++) {
        text_add(line, ", ", i ? 2 : 0);
        text_add_integer(line, tokens.token[i].id);
    }
    text_add_string(line, "], \"tokens\": [");
    for (int64_t i = 0; i < tokens.count; i++) {
        const char *token = tokenizer_token(tokenizer, tokens.token[i].id);
        text_add(line, ", ", i ? 2 : 0);
        text_add_json(line, token ? token : "", token ? strlen(token) : 0);
    }
    text_add_string(line, "]}\n");
    return OK;
}

static enum status decode_line(const struct tokenizer *tokenizer, struct arena *arena, const json_t *json, const char *where, const struct tokenize_options *o,
                               struct text *line, struct error *err)
{
    int32_t *ids;
    int64_t count;
    struct text text = text_new(arena);
    TRY(json_get_ids(arena, json, where, "ids", 0, tokenizer_size(tokenizer) - 1, &ids, &count, err));
    if (!ids)
        return fail_with(err, BAD_DATA, "%s: no \"ids\"", "lines are {\"ids\": [..]}", where);
    if (tokenizer_decode(tokenizer, ids, count, !o->keep_special_tokens, &text, err) != OK)
        return place_failure(err, where);
    text_add_string(line, "{\"text\": ");
    text_add_json(line, text.length ? text.bytes : "", text.length);
    text_add_string(line, "}\n");
    return OK;
}

/* Lines are converted some at a time, by all threads, and written in their order, while the next are being converted. */
enum { LINES_AT_ONCE = 256 };

struct converted {
    struct json_record record;
    struct arena *arena;
    struct text line;
    enum status status;
    struct error err;
};

static void convert_one(struct converted *one, const struct tokenizer *tokenizer, const struct tokenize_options *o, line_converter *convert)
{
    const char *where = arena_print(one->arena, "%s:%lld", o->input, (long long)one->record.line);
    json_t *json;
    one->line = text_new(one->arena);
    one->status = json_record_parse(&one->record, &json, &one->err);
    if (one->status == OK)
        one->status = json_is_object(json) ? convert(tokenizer, one->arena, json, where, o, &one->line, &one->err)
                                           : fail_with(&one->err, BAD_DATA, "%s: not an object", "each line is one JSON object", where);
    json_decref(json);
}

struct batch {
    struct converted *one;
    int count;
};

/* Finds the next lines: fewer than LINES_AT_ONCE where the file is over or, with an error returned, cannot be read on. */
static enum status find_some(struct batch *batch, struct json_lines *lines, const struct cli *cli, struct error *err)
{
    for (batch->count = 0; batch->count < LINES_AT_ONCE; batch->count++) {
        struct converted *one = &batch->one[batch->count];
        *one = (struct converted){ 0 };
        TRY(json_lines_find(lines, &one->record, err));
        if (!one->record.bytes)
            break;
        one->arena = arena_create_like(cli->arena);
    }
    return OK;
}

/* Writes the lines up to the first failure, which becomes *status, and forgets them. */
static void write_some(struct batch *batch, struct output *out, enum status *status, struct error *err)
{
    for (int i = 0; i < batch->count; i++) {
        struct converted *one = &batch->one[i];
        if (*status == OK && (*status = one->status) != OK)
            *err = one->err;
        if (*status == OK)
            output_write(out, one->line.bytes, one->line.length);
        arena_destroy(one->arena);
    }
    batch->count = 0;
}

static enum status convert_lines(struct cli *cli, const struct tokenizer *tokenizer, const struct tokenize_options *o, line_converter *convert,
                                 struct output *out)
{
    struct json_lines *lines = NULL;
    struct batch now = { NEW_ARRAY(cli->arena, LINES_AT_ONCE, struct converted), 0 }, before = { NEW_ARRAY(cli->arena, LINES_AT_ONCE, struct converted), 0 };
    struct error find_err = { 0 };
    struct device device; /* for its threads */
    TRY(device_open(&device, o->common.device, (int)o->common.threads, cli->err));
    const int threads = device.threads;
    device_close(&device);
    enum status status = json_lines_open(&lines, cli->arena, o->input, cli->err), found = OK;
    bool over = status != OK;
    while (!over) {
        found = find_some(&now, lines, cli, &find_err);
#pragma omp parallel num_threads(threads)
        {
#pragma omp master
            write_some(&before, out, &status, cli->err);
#pragma omp for schedule(dynamic)
            for (int i = 0; i < now.count; i++)
                convert_one(&now.one[i], tokenizer, o, convert);
        }
        over = status != OK || now.count < LINES_AT_ONCE;
        const struct batch written = before;
        before = now;
        now = written;
    }
    write_some(&before, out, &status, cli->err);
    if (status == OK && (status = found) != OK)
        *cli->err = find_err;
    json_lines_close(lines);
    return status;
}

static enum status convert_text(struct cli *cli, const struct tokenizer *tokenizer, const struct tokenize_options *o, struct output *out)
{
    struct text line = text_new(cli->arena);
    json_t *json = json_object();
    if (json_object_set_new(json, "text", json_string(o->text)) != 0) {
        json_decref(json);
        return fail_with(cli->err, BAD_OPTION, "--text is not valid UTF-8", "give the text as UTF-8");
    }
    enum status status = encode_line(tokenizer, cli->arena, json, "--text", o, &line, cli->err);
    if (status == OK)
        output_write(out, line.bytes, line.length);
    json_decref(json);
    return status;
}

static enum status run(struct cli *cli, const struct tokenize_options *o, line_converter *convert)
{
    struct tokenizer *tokenizer = NULL;
    struct output out = { 0 };
    TRY(tokenizer_open(&tokenizer, cli->arena, o->model, cli->err));
    enum status status = output_open(&out, cli->arena, o->output, o->force, cli->err);
    if (status == OK)
        status = o->text ? convert_text(cli, tokenizer, o, &out) : convert_lines(cli, tokenizer, o, convert, &out);
    if (status == OK)
        status = output_commit(&out);
    else
        output_discard(&out);
    tokenizer_close(tokenizer);
    return status;
}

static enum status run_tokenize(struct cli *cli, const void *options)
{
    const struct tokenize_options *o = options;
    if (!o->text == !o->input)
        return fail_with(cli->err, BAD_OPTION, "graft tokenize needs one of --text and --input", "give a text, or a file of texts");
    return run(cli, o, encode_line);
}

static enum status run_detokenize(struct cli *cli, const void *options)
{
    return run(cli, options, decode_line);
}

const struct command command_tokenize = {
    .name = "tokenize",
    .summary = "text to ids",
    .option = tokenize_rows,
    .options = COUNT(tokenize_rows),
    .bytes = sizeof(struct tokenize_options),
    .run = run_tokenize,
};
const struct command command_detokenize = {
    .name = "detokenize",
    .summary = "ids to text",
    .option = detokenize_rows,
    .options = COUNT(detokenize_rows),
    .bytes = sizeof(struct tokenize_options),
    .run = run_detokenize,
};
