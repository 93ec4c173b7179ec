/* graft generate: continue prompts; text streams to a terminal as it is made. */
#include "cli/choices.h"
#include "cli/commands.h"
#include "common/files.h"
#include "inference/generate.h"
#include "tokenizer/chat_template.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct generate_options {
    struct common_options common;
    struct model_options model;
    const char *prompt, *input, *output;
    int64_t max_new_tokens, top_k, seed;
    double temperature, top_p, repetition_penalty;
    struct list stop;
    bool chat, ignore_eos, force;
};

#define AT(field) offsetof(struct generate_options, field)
static const struct option generate_rows[] = {
    MODEL_OPTIONS(struct generate_options),
    { "prompt", OPTION_TEXT, AT(prompt), "TEXT", NULL, 0, 0, "the text to continue" },
    { "input", OPTION_TEXT, AT(input), "IN.jsonl", NULL, 0, 0,
      "lines of {\"prompt\": \"..\"}, {\"messages\": [..]} or {\"ids\": [..]}; \"adapter\" may choose: a name, a list, or null" },
    { "output", OPTION_TEXT, AT(output), "OUT.jsonl", NULL, 0, 0, "lines of {\"text\", \"ids\", \"finish_reason\"}; stdout if absent" },
    { "max-new-tokens", OPTION_INT, AT(max_new_tokens), "N", "128", 0, 1 << 20, "longest answer" },
    { "temperature", OPTION_REAL, AT(temperature), "T", "0", 0, 100, "0 is greedy" },
    { "top-k", OPTION_INT, AT(top_k), "K", "0", 0, 1 << 24, "draw among the K most probable; 0: all" },
    { "top-p", OPTION_REAL, AT(top_p), "P", "1", 0, 1, "draw among the fewest ids whose probability reaches P" },
    { "repetition-penalty", OPTION_REAL, AT(repetition_penalty), "R", "1", 0.01, 100, "above 1 makes ids that were there before less likely" },
    { "stop", OPTION_LIST, AT(stop), "TEXT", NULL, 0, 0, "end where this text appears (it is left out)" },
    { "seed", OPTION_INT, AT(seed), "N", "0", 0, 0, "of the draws" },
    { "chat", OPTION_FLAG, AT(chat), NULL, NULL, 0, 0, "a prompt is what the user says in a conversation: the model's chat template puts it into words" },
    { "ignore-eos", OPTION_FLAG, AT(ignore_eos), NULL, NULL, 0, 0, "go on behind the end of sequence" },
    { "force", OPTION_FLAG, AT(force), NULL, NULL, 0, 0, "overwrite existing output" },
};
#undef AT

/* One answer's text while it grows. */
struct growing {
    struct token_stream *stream; /* NULL without a tokenizer */
    struct text text;
    size_t shown; /* bytes already streamed to the terminal */
    bool stopped;
};

struct talk {
    struct opened *opened;
    struct choices choices;
    int choice; /* of adapters, of the line that is being read */
    const struct generate_options *options;
    struct chat_template *chat_template; /* read when first needed */
    struct prompt *prompt;
    struct growing *growing;
    int64_t count, room;
    int32_t eos[MAX_EOS];
    int eos_count;
    bool streaming;
    struct error *err;
    enum status status; /* of decoding, from within watch() */
};

static void add_prompt(struct talk *talk, int32_t *ids, int64_t count)
{
    struct arena *arena = talk->opened->arena;
    if (talk->count == talk->room) {
        talk->room = talk->room ? 2 * talk->room : 64;
        talk->prompt = arena_grow(arena, talk->prompt, (size_t)talk->count, (size_t)talk->room, sizeof *talk->prompt);
    }
    talk->prompt[talk->count++] = (struct prompt){ ids, count, talk->options->max_new_tokens, talk->choice };
}

/* special: the tokenizer adds its own tokens (a chat template has printed them). */
static enum status add_text(struct talk *talk, const char *where, const char *text, size_t length, bool special, struct error *err)
{
    struct tokens tokens;
    if (!talk->opened->tokenizer)
        return fail_with(err, BAD_MODEL, "%s: no tokenizer.json, so text cannot be encoded", "give ids instead of text", talk->options->model.model);
    if (tokenizer_encode(talk->opened->tokenizer, talk->opened->arena, text, length, special, &tokens, err) != OK)
        return place_failure(err, where);
    int32_t *ids = NEW_ARRAY(talk->opened->arena, tokens.count, int32_t);
    int64_t count = tokens.count;
    for (int64_t i = 0; i < count; i++)
        ids[i] = tokens.token[i].id;
    if (special && count > 1 && tokenizer_adds_eos(talk->opened->tokenizer))
        count--; /* an answer goes on from the text, not from behind its end */
    add_prompt(talk, ids, count);
    return OK;
}

static enum status add_messages(struct talk *talk, const char *where, const json_t *messages, struct error *err)
{
    struct arena *arena = talk->opened->arena;
    const struct chat chat = { .messages = messages, .add_generation_prompt = true, .now = time(NULL) };
    struct chat_text text;
    if (!talk->chat_template)
        TRY(chat_template_read(&talk->chat_template, arena, talk->options->model.model, err));
    if (chat_template_render(talk->chat_template, arena, &chat, &text, err) != OK)
        return place_failure(err, where);
    if (text.length == 0)
        return fail_with(err, BAD_DATA, "%s: the chat template makes no text of it", "give messages with content", where);
    return add_text(talk, where, text.text, text.length, false, err);
}

/* A text to continue or, with --chat, to answer. */
static enum status add_words(struct talk *talk, const char *where, const char *words, struct error *err)
{
    size_t bad;
    if (!talk->options->chat || !utf8_valid(words, strlen(words), &bad))
        return add_text(talk, where, words, strlen(words), true, err);
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", words);
    const enum status status = add_messages(talk, where, messages, err);
    json_decref(messages);
    return status;
}

static enum status read_prompt(struct talk *talk, const json_t *json, const char *where, struct error *err)
{
    const char *text = NULL;
    int32_t *ids = NULL;
    int64_t count = 0;
    if (!json_is_object(json))
        return fail_with(err, BAD_DATA, "%s: not an object", "each line is one JSON object", where);
    static const char *const fields[] = { "prompt", "messages", "ids" };
    TRY(choices_check_keys(json, where, fields, COUNT(fields), err));
    TRY(choices_read(&talk->choices, json, where, &talk->choice, err));
    TRY(json_get_text(json, where, "prompt", &text, err));
    TRY(json_get_ids(talk->opened->arena, json, where, "ids", 0, talk->opened->config.vocab - 1, &ids, &count, err));
    const json_t *messages = json_object_get(json, "messages");
    if (text && ids)
        return fail_with(err, BAD_DATA, "%s: both \"prompt\" and \"ids\" are given", "keep one of them, or make two lines of it", where);
    if (messages && (text || ids))
        return fail_with(err, BAD_DATA, "%s: both \"messages\" and \"%s\" are given", "keep one of them, or make two lines of it", where,
                         text ? "prompt" : "ids");
    if (messages)
        return add_messages(talk, where, messages, err);
    if (text)
        return add_words(talk, where, text, err);
    if (!ids || count == 0)
        return fail_with(err, BAD_DATA, "%s: nothing to continue", "give \"prompt\", \"messages\" or \"ids\"", where);
    add_prompt(talk, ids, count);
    return OK;
}

static enum status read_prompts(struct talk *talk, struct error *err)
{
    if (talk->options->prompt) {
        TRY(choices_read(&talk->choices, NULL, "--prompt", &talk->choice, err));
        return add_words(talk, "--prompt", talk->options->prompt, err);
    }
    struct arena *arena = talk->opened->arena;
    const char *path = talk->options->input;
    struct json_lines *lines = NULL;
    enum status status = json_lines_open(&lines, arena, path, err);
    json_t *json = NULL;
    int64_t line = 0;
    while (status == OK && (status = json_lines_next(lines, &json, &line, err)) == OK && json) {
        status = read_prompt(talk, json, arena_print(arena, "%s:%lld", path, (long long)line), err);
        json_decref(json);
    }
    json_lines_close(lines);
    return status;
}

/* Cuts the text at the first stop string. */
static bool cut_at_stop(const struct list *stop, struct text *text)
{
    size_t cut = text->length;
    for (int i = 0; i < stop->count; i++) {
        const char *found = text->length ? strstr(text->bytes, stop->item[i]) : NULL;
        if (found && (size_t)(found - text->bytes) < cut)
            cut = (size_t)(found - text->bytes);
    }
    bool stopped = cut < text->length;
    if (stopped) {
        text->length = cut;
        text->bytes[cut] = 0;
    }
    return stopped;
}

/* While a stop string may still be completed, its beginning is not shown. */
static size_t safe_to_show(const struct list *stop, const struct text *text)
{
    size_t held = 0;
    for (int i = 0; i < stop->count; i++)
        for (size_t n = strlen(stop->item[i]); n > held; n--)
            if (n <= text->length && memcmp(text->bytes + text->length - n, stop->item[i], n) == 0)
                held = n;
    return text->length - held;
}

static void show(struct growing *growing, size_t until)
{
    if (until > growing->shown) {
        fwrite(growing->text.bytes + growing->shown, 1, until - growing->shown, stdout);
        fflush(stdout);
        growing->shown = until;
    }
}

static bool watch(void *self, int64_t p, const struct answer *answer)
{
    struct talk *talk = self;
    struct growing *growing = &talk->growing[p];
    if (!growing->stream)
        return true;
    talk->status = token_stream_add(growing->stream, answer->ids[answer->count - 1], &growing->text, talk->err);
    if (talk->status != OK)
        return false;
    growing->stopped = cut_at_stop(&talk->options->stop, &growing->text);
    if (talk->streaming)
        show(growing, growing->stopped ? growing->text.length : safe_to_show(&talk->options->stop, &growing->text));
    return !growing->stopped;
}

static enum status finish(struct talk *talk, const struct answer *answer, struct error *err)
{
    struct text line = text_new(talk->opened->arena);
    struct output output;
    for (int64_t i = 0; i < talk->count; i++) {
        struct growing *growing = &talk->growing[i];
        if (growing->stream && !growing->stopped) {
            TRY(token_stream_end(growing->stream, &growing->text, err));
            cut_at_stop(&talk->options->stop, &growing->text);
        }
    }
    if (talk->streaming) {
        show(&talk->growing[0], talk->growing[0].text.length);
        putchar('\n');
        return fflush(stdout) == 0 && !ferror(stdout) ? OK : fail_with(err, DISK, "could not write to stdout", "keep it open");
    }
    TRY(output_open(&output, talk->opened->arena, talk->options->output, talk->options->force, err));
    for (int64_t i = 0; i < talk->count; i++) {
        text_clear(&line);
        text_add_string(&line, "{\"text\": ");
        text_add_json(&line, talk->growing[i].text.length ? talk->growing[i].text.bytes : "", talk->growing[i].text.length);
        text_add_string(&line, ", \"ids\": [");
        for (int64_t t = 0; t < answer[i].count; t++)
            text_print(&line, "%s%d", t ? ", " : "", answer[i].ids[t]);
        text_print(&line, "], \"finish_reason\": \"%s\"}\n", answer[i].stopped ? "stop" : "length");
        output_write(&output, line.bytes, line.length);
    }
    return output_commit(&output);
}

static enum status talk_all(struct talk *talk, struct error *err)
{
    const struct generate_options *o = talk->options;
    struct arena *arena = talk->opened->arena;
    struct answer *answer = NEW_ARRAY(arena, talk->count, struct answer);
    talk->growing = NEW_ARRAY(arena, talk->count, struct growing);
    for (int64_t i = 0; i < talk->count; i++) {
        talk->growing[i].text = text_new(arena);
        if (talk->opened->tokenizer)
            talk->growing[i].stream = token_stream_new(talk->opened->tokenizer, arena, true);
    }
    struct generation generation = { .sampling = { o->temperature, o->top_k, o->top_p, o->repetition_penalty, (uint64_t)o->seed },
                                     .eos = talk->eos,
                                     .eos_count = o->ignore_eos ? 0 : talk->eos_count,
                                     .lanes = GENERATE_LANES,
                                     .watch = watch,
                                     .self = talk };
    TRY(generate(&talk->opened->session, arena, &generation, talk->prompt, talk->count, answer, err));
    TRY(talk->status);
    return finish(talk, answer, err);
}

static enum status run_generate(struct cli *cli, const void *options)
{
    const struct generate_options *o = options;
    struct opened opened = { 0 };
    struct model_options model = o->model;
    struct talk talk = {
        .opened = &opened, .choices.opened = &opened, .options = o, .err = cli->err, .streaming = o->prompt && !o->output && isatty(STDOUT_FILENO)
    };
    model.lines_choose = true;
    if (!o->prompt == !o->input)
        return fail_with(cli->err, BAD_OPTION, "graft generate needs one of --prompt and --input", "give the text to continue, or a file of prompts");
    for (int i = 0; i < o->stop.count; i++)
        if (!o->stop.item[i][0])
            return fail_with(cli->err, BAD_OPTION, "--stop '': empty", "give the text that ends an answer");
    TRY(output_check(o->output, o->force, cli->err));
    enum status status = opened_model(&opened, cli->arena, &o->common, &model, cli->err);
    if (status == OK && (o->prompt || opened_has_tokenizer(&opened, o->model.model)))
        status = opened_tokenizer(&opened, o->model.model, "text", cli->err);
    talk.eos_count = opened_eos(&opened, talk.eos);
    if (status == OK)
        status = read_prompts(&talk, cli->err);
    choices_apply(&talk.choices);
    if (status == OK)
        status = talk_all(&talk, cli->err);
    opened_close(&opened);
    return status;
}

const struct command command_generate = {
    .name = "generate",
    .summary = "continue prompts",
    .option = generate_rows,
    .options = COUNT(generate_rows),
    .bytes = sizeof(struct generate_options),
    .run = run_generate,
    .multiplies = true,
};
