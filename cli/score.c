/* graft score: log-probabilities of given text or ids, one JSON object a line in, one a line out. */
#include "cli/choices.h"
#include "cli/commands.h"
#include "common/files.h"
#include "inference/score.h"

#include <math.h>
#include <string.h>

struct score_options {
    struct common_options common;
    struct model_options model;
    const char *input, *output, *logits;
    bool force;
};

static const struct option score_rows[] = {
    MODEL_OPTIONS(struct score_options),
    { "input", OPTION_TEXT, offsetof(struct score_options, input), "IN.jsonl", "!", 0, 0,
      "lines of {\"ids\"}, {\"text\"}, {\"context\", \"continuation\"} or {\"context_ids\", \"continuation_ids\"}; "
      "\"adapter\" may choose: a name, a list, or null" },
    { "output", OPTION_TEXT, offsetof(struct score_options, output), "OUT.jsonl", NULL, 0, 0, "results, one line per line; stdout if absent" },
    { "logits", OPTION_TEXT, offsetof(struct score_options, logits), "OUT.safetensors", NULL, 0, 0, "also write all logits: tensors logits.0, logits.1, ..." },
    { "force", OPTION_FLAG, offsetof(struct score_options, force), NULL, NULL, 0, 0, "overwrite existing output" },
};

/* What one line asks for: the ids, and from which of them on log-probabilities are reported. */
struct request {
    const char *where;
    int32_t *ids;
    int64_t count, from;
    int choice; /* of adapters */
};

struct requests {
    struct opened *opened;
    struct choices choices;
    const char *folder;
    struct request *request;
    int64_t count, room;
};

static enum status encode(struct requests *r, const char *where, const char *text, size_t length, int32_t **ids, int64_t *count, struct error *err)
{
    struct opened *opened = r->opened;
    if (!opened->tokenizer)
        TRY(opened_tokenizer(opened, r->folder, where, err));
    struct tokens tokens;
    if (tokenizer_encode(opened->tokenizer, opened->arena, text, length, true, &tokens, err) != OK)
        return place_failure(err, where);
    *ids = NEW_ARRAY(opened->arena, tokens.count, int32_t);
    for (int64_t i = 0; i < tokens.count; i++) {
        (*ids)[i] = tokens.token[i].id;
        if ((*ids)[i] >= opened->config.vocab)
            return fail_with(err, BAD_DATA, "%s: token %lld has id %d, the model's vocabulary has %lld rows", "tokenizer and model do not belong together",
                             where, (long long)i, (*ids)[i], (long long)opened->config.vocab);
    }
    *count = tokens.count;
    return OK;
}

/* Both as one text; blanks at the end of the context belong to the continuation, which begins behind as many ids as the context alone has. */
static enum status read_context(struct requests *r, const char *where, const char *context, const char *continuation, struct request *out, struct error *err)
{
    struct arena *arena = r->opened->arena;
    size_t length = strlen(context);
    char *whole = arena_print(arena, "%s%s", context, continuation);
    while (length && context[length - 1] == ' ')
        length--;
    int32_t *unused;
    TRY(encode(r, where, whole, length, &unused, &out->from, err));
    TRY(encode(r, where, whole, strlen(whole), &out->ids, &out->count, err));
    if (out->from > out->count)
        out->from = out->count;
    return OK;
}

static enum status read_pair_of_ids(struct requests *r, const json_t *json, const char *where, struct request *out, struct error *err)
{
    struct arena *arena = r->opened->arena;
    int32_t *context, *continuation;
    int64_t before, after, vocab = r->opened->config.vocab;
    TRY(json_get_ids(arena, json, where, "context_ids", 0, vocab - 1, &context, &before, err));
    TRY(json_get_ids(arena, json, where, "continuation_ids", 0, vocab - 1, &continuation, &after, err));
    if (!context || !continuation)
        return fail_with(err, BAD_DATA, "%s: context_ids and continuation_ids belong together", "give both", where);
    out->ids = NEW_ARRAY(arena, before + after, int32_t);
    out->count = before + after;
    out->from = before;
    memcpy(out->ids, context, (size_t)before * sizeof *context);
    memcpy(out->ids + before, continuation, (size_t)after * sizeof *continuation);
    return OK;
}

/* The ways to say what is scored, and the one or two members of each. */
static const char *const ways[][2] = { { "ids" }, { "text" }, { "context", "continuation" }, { "context_ids", "continuation_ids" } };

/* Two ways in one line would leave one of them unheard. */
static enum status check_way(const json_t *json, const char *where, struct error *err)
{
    const char *first = NULL;
    for (size_t way = 0; way < COUNT(ways); way++) {
        const char *here = NULL;
        for (size_t i = 0; i < COUNT(ways[way]) && ways[way][i]; i++) {
            const json_t *member = json_object_get(json, ways[way][i]);
            if (member && !json_is_null(member))
                here = ways[way][i];
        }
        if (first && here)
            return fail_with(err, BAD_DATA, "%s: both \"%s\" and \"%s\" are given", "keep one of them, or make two lines of it", where, first, here);
        first = here ? here : first;
    }
    return OK;
}

static enum status read_request(struct requests *r, const json_t *json, const char *where, struct request *out, struct error *err)
{
    const char *text = NULL, *context = NULL, *continuation = NULL;
    *out = (struct request){ .where = where, .from = 1 };
    if (!json_is_object(json))
        return fail_with(err, BAD_DATA, "%s: not an object", "each line is one JSON object", where);
    static const char *const fields[] = { "ids", "text", "context", "continuation", "context_ids", "continuation_ids" };
    TRY(choices_check_keys(json, where, fields, COUNT(fields), err));
    TRY(check_way(json, where, err));
    TRY(choices_read(&r->choices, json, where, &out->choice, err));
    TRY(json_get_text(json, where, "text", &text, err));
    TRY(json_get_text(json, where, "context", &context, err));
    TRY(json_get_text(json, where, "continuation", &continuation, err));
    TRY(json_get_ids(r->opened->arena, json, where, "ids", 0, r->opened->config.vocab - 1, &out->ids, &out->count, err));
    if (text)
        TRY(encode(r, where, text, strlen(text), &out->ids, &out->count, err));
    else if (context && continuation)
        TRY(read_context(r, where, context, continuation, out, err));
    else if (json_object_get(json, "context_ids") || json_object_get(json, "continuation_ids"))
        TRY(read_pair_of_ids(r, json, where, out, err));
    else if (!out->ids)
        return fail_with(err, BAD_DATA, "%s: nothing to score", "give ids, text, context and continuation, or context_ids and continuation_ids", where);
    if (out->count == 0)
        return fail_with(err, BAD_DATA, "%s: no tokens", "give at least one token", where);
    if (out->from == 0)
        return fail_with(err, BAD_DATA, "%s: the context has no tokens, so nothing predicts the continuation", "give a context of at least one token", where);
    return OK;
}

static enum status read_requests(struct requests *r, const char *path, struct error *err)
{
    struct arena *arena = r->opened->arena;
    struct json_lines *lines = NULL;
    enum status status = json_lines_open(&lines, arena, path, err);
    json_t *json = NULL;
    int64_t line = 0;
    while (status == OK && (status = json_lines_next(lines, &json, &line, err)) == OK && json) {
        if (r->count == r->room) {
            r->room = r->room ? 2 * r->room : 256;
            r->request = arena_grow(arena, r->request, (size_t)r->count, (size_t)r->room, sizeof *r->request);
        }
        status = read_request(r, json, arena_print(arena, "%s:%lld", path, (long long)line), &r->request[r->count++], err);
        json_decref(json);
    }
    json_lines_close(lines);
    return status;
}

/* Before anything is written: a log-probability that is no number is no result. */
static enum status check_scores(const struct requests *r, const struct score *score, struct error *err)
{
    for (int64_t i = 0; i < r->count; i++)
        for (int64_t t = r->request[i].from; t < r->request[i].count; t++)
            if (!isfinite(score[i].logprob[t - 1]))
                return fail_with(err, BAD_MODEL, "%s: the log-probability of token %lld is not finite", NOT_FINITE, r->request[i].where, (long long)t);
    return OK;
}

static void write_result(struct text *out, const struct request *request, const struct score *score)
{
    double sum = 0;
    bool greedy = true;
    for (int64_t t = request->from; t < request->count; t++) {
        sum += (double)score->logprob[t - 1];
        greedy &= score->greedy[t - 1] == request->ids[t];
    }
    text_add_string(out, "{\"logprob\": ");
    text_add_number(out, sum);
    text_print(out, ", \"tokens\": %lld, \"greedy\": %s, \"token_logprobs\": [", (long long)(request->count - request->from), greedy ? "true" : "false");
    for (int64_t t = request->from; t < request->count; t++) {
        if (t > request->from)
            text_add_string(out, ", ");
        text_add_number(out, (double)score->logprob[t - 1]);
    }
    text_add_string(out, "]}\n");
}

static enum status write_results(struct requests *r, const struct score *score, const char *path, bool force, struct error *err)
{
    struct output output;
    TRY(output_open(&output, r->opened->arena, path, force, err));
    struct text line = text_new(r->opened->arena);
    for (int64_t i = 0; i < r->count; i++) {
        text_clear(&line);
        write_result(&line, &r->request[i], &score[i]);
        output_write(&output, line.bytes, line.length);
    }
    return output_commit(&output);
}

static enum status write_logits(struct requests *r, const struct sequence *sequence, const char *path, bool force, struct error *err)
{
    struct arena *arena = r->opened->arena;
    struct safetensor *tensor = NEW_ARRAY(arena, r->count, struct safetensor);
    int64_t vocab = r->opened->config.vocab;
    for (int64_t i = 0; i < r->count; i++) {
        float *logits = NULL;
        TRY(score_logits(&r->opened->session, arena, &sequence[i], &logits, err));
        tensor[i] = (struct safetensor){ .name = arena_print(arena, "logits.%lld", (long long)i),
                                         .dtype = "F32",
                                         .rank = 2,
                                         .shape = { sequence[i].count, vocab },
                                         .bytes = (uint64_t)sequence[i].count * (uint64_t)vocab * sizeof(float),
                                         .data = logits };
    }
    return safetensors_write(arena, path, tensor, r->count, force, err);
}

static enum status run_score(struct cli *cli, const void *options)
{
    const struct score_options *o = options;
    struct opened opened = { 0 };
    struct requests r = { .opened = &opened, .choices.opened = &opened, .folder = o->model.model };
    struct model_options model = o->model;
    model.lines_choose = true;
    enum status status = outputs_check(cli->arena, o->output, o->logits, o->force, cli->err);
    if (status == OK)
        status = opened_model(&opened, cli->arena, &o->common, &model, cli->err);
    if (status == OK)
        status = read_requests(&r, o->input, cli->err);
    if (status == OK) {
        choices_apply(&r.choices);
        struct sequence *sequence = NEW_ARRAY(cli->arena, r.count, struct sequence);
        struct score *score = NEW_ARRAY(cli->arena, r.count, struct score);
        for (int64_t i = 0; i < r.count; i++)
            sequence[i] = (struct sequence){ .ids = r.request[i].ids, .count = r.request[i].count, .choice = r.request[i].choice };
        status = score_sequences(&opened.session, cli->arena, sequence, r.count, score, cli->err);
        if (status == OK)
            status = check_scores(&r, score, cli->err);
        if (status == OK && o->logits)
            status = write_logits(&r, sequence, o->logits, o->force, cli->err);
        if (status == OK)
            status = write_results(&r, score, o->output, o->force, cli->err);
    }
    opened_close(&opened);
    return status;
}

const struct command command_score = {
    .name = "score",
    .summary = "log-probabilities of given text or token ids",
    .option = score_rows,
    .options = COUNT(score_rows),
    .bytes = sizeof(struct score_options),
    .run = run_score,
    .multiplies = true,
};
