/* The section `data` of a run's YAML. Sources are checked as far as the YAML alone allows, templates included: before any model or data is read. */
#include "datasets/format.h"

#include <string.h>

#define DATA(member)   offsetof(struct data_settings, member)
#define SOURCE(member) offsetof(struct source, member)

static enum status parse_template(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    static const struct setting pair[] = {
        { "prompt", SETTING_TEXT, SOURCE(prompt), "!", 0, 0, NULL, NULL, NULL, "what stands before the response" },
        { "response", SETTING_TEXT, SOURCE(response), "!", 0, 0, NULL, NULL, NULL, "what is trained" },
    };
    struct source *source = (struct source *)(void *)((char *)field - row->offset);
    if (!value)
        return OK;
    if (value->kind == YAML_MAP)
        return settings_read(arena, pair, COUNT(pair), value, row->name, folder, source, err);
    if (value->kind == YAML_LIST)
        return fail_with(err, BAD_CONFIG, "%s: template is a list", "give a name, or a pair {prompt: \"...\", response: \"...\"}", value->where);
    source->template_name = value->text;
    return OK;
}

/* A list of texts, or one. */
static enum status parse_langs(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct thread_settings *threads = (struct thread_settings *)(void *)((char *)field - row->offset);
    (void)folder;
    if (!value)
        return OK;
    const bool one = value->kind == YAML_SCALAR;
    const char **lang = NEW_ARRAY(arena, one ? 1 : value->count, const char *);
    for (int i = 0; i < (one ? 1 : value->count); i++) {
        const struct yaml *item = one ? value : value->item[i];
        if (item->kind != YAML_SCALAR || !*item->text || value->kind == YAML_MAP)
            return fail_with(err, BAD_CONFIG, "%s: oasst.lang: expected languages", "give a list as the data spell them: [en, pt-BR]", item->where);
        lang[i] = item->text;
    }
    threads->lang = lang;
    threads->langs = one ? 1 : value->count;
    return OK;
}

static const char *const modes[] = { [ALL_PATHS] = "all_paths", [TOP_K] = "top_k", [BEST_PATH] = "best_path", NULL };
static const char *const train_ons[] = {
    [TRAIN_ON_ALL_ASSISTANT] = "all_assistant", [TRAIN_ON_LAST_ASSISTANT] = "last_assistant", [TRAIN_ON_ALL] = "all", NULL
};

#define THREADS(member) offsetof(struct thread_settings, member)
static const struct setting thread_rows[] = {
    { "mode", SETTING_CHOICE, THREADS(mode), "all_paths", 0, 0, modes, NULL, NULL, "which paths through a tree become conversations" },
    { "top_k", SETTING_INT, THREADS(top_k), "0", 0, 1e6, NULL, NULL, NULL, "of mode top_k: so many best answers to each message" },
    { "lang", SETTING_OWN, THREADS(lang), NULL, 0, 0, NULL, parse_langs, NULL, "languages of the first message; absent: all" },
    { "min_quality", SETTING_REAL, THREADS(min_quality), "0", 0, 1, NULL, NULL, NULL, "least label 'quality' of an answer that has one" },
    { "review_result", SETTING_BOOL, THREADS(review_result), "true", 0, 0, NULL, NULL, NULL, "only trees whose first message was approved" },
    { "deleted", SETTING_BOOL, THREADS(deleted), "false", 0, 0, NULL, NULL, NULL, "also conversations with deleted messages" },
    { "synthetic", SETTING_BOOL, THREADS(synthetic), "false", 0, 0, NULL, NULL, NULL, "also conversations with messages that a model wrote" },
};

static enum status parse_threads(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct thread_settings *threads = NEW(arena, struct thread_settings);
    if (!value)
        return OK;
    TRY(settings_read(arena, thread_rows, COUNT(thread_rows), value, row->name, folder, threads, err));
    if ((threads->mode == TOP_K) != (threads->top_k > 0))
        return fail_with(err, BAD_CONFIG, "%s: oasst.mode is %s and oasst.top_k is %lld",
                         "mode: top_k needs top_k: N of at least 1, and only that mode takes it", value->where, modes[threads->mode],
                         (long long)threads->top_k);
    *(const struct thread_settings **)field = threads;
    return OK;
}

static const struct setting source_rows[] = {
    { "path", SETTING_PATH, SOURCE(path), "!", 0, 0, NULL, NULL, NULL, "JSON lines, or one JSON array; .gz of them" },
    { "format", SETTING_TEXT, SOURCE(format), "!", 0, 0, NULL, NULL, NULL, "which fields a record has" },
    { "template", SETTING_OWN, SOURCE(template_name), NULL, 0, 0, NULL, parse_template, NULL, "a name, or {prompt, response}; absent: the format's own" },
    { "train_on", SETTING_CHOICE, SOURCE(train_on), "all_assistant", 0, 0, train_ons, NULL, NULL, "which turns are trained" },
    { "weight", SETTING_REAL, SOURCE(weight), "1", 1e-6, 1e4, NULL, NULL, NULL, "passes over the source in an epoch" },
    { "limit", SETTING_INT, SOURCE(limit), "0", 0, 1e15, NULL, NULL, NULL, "only the first records (of oasst: trees); 0: all" },
    { "oasst", SETTING_OWN, SOURCE(threads), NULL, 0, 0, NULL, parse_threads, NULL, "of format oasst: which conversations a tree gives" },
};

static enum status parse_source(struct arena *arena, const struct yaml *item, const char *name, const char *folder, struct source *source, struct error *err)
{
    struct parsed_template *parsed;
    const struct dataset_format *format;
    source->where = item->where;
    TRY(settings_read(arena, source_rows, COUNT(source_rows), item, name, folder, source, err));
    const struct yaml *template = yaml_find(item, "template"), *prompt = yaml_find(template, "prompt"), *response = yaml_find(template, "response");
    return source_check(arena, source, prompt ? prompt->where : item->where, response ? response->where : item->where, &format, &parsed, err);
}

/* `train` and `eval`: one list, and how many stand in it. */
static enum status parse_sources(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    bool is_train = row->offset == DATA(train);
    struct data_settings *settings = (struct data_settings *)(void *)((char *)field - row->offset);
    if (!value)
        return OK;
    if (value->kind != YAML_LIST || (is_train && value->count == 0))
        return fail_with(err, BAD_CONFIG, "%s: data.%s is %s", "give a list, one line a file: - {path: data.jsonl, format: dolly}", value->where, row->name,
                         value->kind == YAML_LIST  ? "empty"
                         : value->kind == YAML_MAP ? "a map"
                                                   : "a single value");
    struct source *source = NEW_ARRAY(arena, value->count, struct source);
    for (int i = 0; i < value->count; i++)
        TRY(parse_source(arena, value->item[i], arena_print(arena, "data.%s.%d", row->name, i), folder, &source[i], err));
    *(struct source **)field = source;
    *(is_train ? &settings->trains : &settings->evals) = value->count;
    return OK;
}

static void print_threads(struct text *out, const struct thread_settings *threads)
{
    text_print(out, ", oasst: {mode: %s, top_k: %lld, min_quality: %.17g, review_result: %s, deleted: %s, synthetic: %s", modes[threads->mode],
               (long long)threads->top_k, threads->min_quality, threads->review_result ? "true" : "false", threads->deleted ? "true" : "false",
               threads->synthetic ? "true" : "false");
    for (int i = 0; i < threads->langs; i++) {
        text_add_string(out, i ? ", " : ", lang: [");
        text_add_yaml(out, threads->lang[i]);
    }
    text_add_string(out, threads->langs ? "]}" : "}");
}

static void print_source(struct text *out, const struct source *source)
{
    text_add_string(out, "{path: ");
    text_add_yaml_path(out, source->path);
    text_print(out, ", format: %s", source->format);
    if (source->prompt) {
        text_add_string(out, ", template: {prompt: ");
        text_add_yaml(out, source->prompt);
        text_add_string(out, ", response: ");
        text_add_yaml(out, source->response);
        text_add_string(out, "}");
    } else if (source->template_name) {
        text_print(out, ", template: %s", source->template_name);
    }
    text_print(out, ", train_on: %s, weight: %.17g, limit: %lld", train_ons[source->train_on], source->weight, (long long)source->limit);
    if (source->threads)
        print_threads(out, source->threads);
    text_add_string(out, "}");
}

static void print_sources(struct text *out, const struct setting *row, const void *field)
{
    bool is_train = row->offset == DATA(train);
    const struct data_settings *settings = (const struct data_settings *)(const void *)((const char *)field - row->offset);
    text_add_string(out, "[");
    for (int i = 0; i < (is_train ? settings->trains : settings->evals); i++) {
        text_add_string(out, i ? ", " : "");
        print_source(out, is_train ? &settings->train[i] : &settings->eval[i]);
    }
    text_add_string(out, "]");
}

static enum status parse_accept(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct data_settings *settings = (struct data_settings *)(void *)((char *)field - row->offset);
    (void)folder;
    if (!value)
        return OK;
    if (value->kind != YAML_LIST)
        return fail_with(err, BAD_CONFIG, "%s: data.accept is no list", "give a list of findings: [empty_response]", value->where);
    const char **accept = NEW_ARRAY(arena, value->count, const char *);
    for (int i = 0; i < value->count; i++) {
        const struct yaml *item = value->item[i];
        const char *name = item->kind == YAML_SCALAR ? item->text : "";
        for (size_t kind = 0; kind < FINDINGS; kind++)
            if (strcmp(name, finding_name[kind]) == 0)
                accept[i] = finding_name[kind];
        if (!accept[i]) {
            fail_with(err, BAD_CONFIG, "%s: data.accept: there is no finding '%.60s'", "", item->where, name);
            return cure_with_names(err, name, finding_name, FINDINGS, "findings");
        }
    }
    settings->accept = accept;
    settings->accepts = value->count;
    return OK;
}

static void print_accept(struct text *out, const struct setting *row, const void *field)
{
    const struct data_settings *settings = (const struct data_settings *)(const void *)((const char *)field - row->offset);
    text_add_string(out, "[");
    for (int i = 0; i < settings->accepts; i++)
        text_print(out, "%s%s", i ? ", " : "", settings->accept[i]);
    text_add_string(out, "]");
}

#define ADDED(member) offsetof(struct added_token, member)
static const struct setting added_rows[] = {
    { "text", SETTING_TEXT, ADDED(text), "!", 0, 0, NULL, NULL, NULL, "what the token stands for in a text" },
    { "special", SETTING_BOOL, ADDED(special), "true", 0, 0, NULL, NULL, NULL, "a mark, no word: left out of answers" },
    { "init", SETTING_TEXT, ADDED(init), NULL, 0, 0, NULL, NULL, NULL,
      "where its row starts: mean (of all tokens), or a text (the mean of its tokens); absent: as the model has it" },
};

static enum status parse_added(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct data_settings *settings = (struct data_settings *)(void *)((char *)field - row->offset);
    size_t bad;
    if (!value)
        return OK;
    if (value->kind != YAML_LIST)
        return fail_with(err, BAD_CONFIG, "%s: data.added_tokens is no list", "give a list of texts: [\"<|im_start|>\", \"<|im_end|>\"]", value->where);
    struct added_token *added = settings->added = NEW_ARRAY(arena, value->count, struct added_token);
    for (int i = 0; i < value->count; i++, settings->addeds++) {
        const struct yaml *item = value->item[i];
        added[i] = (struct added_token){ .special = true };
        if (item->kind == YAML_SCALAR)
            added[i].text = item->text;
        else
            TRY(settings_read(arena, added_rows, COUNT(added_rows), item, arena_print(arena, "data.added_tokens.%d", i), folder, &added[i], err));
        added[i].where = item->where;
        if (!*added[i].text || !utf8_valid(added[i].text, strlen(added[i].text), &bad))
            return fail_with(err, BAD_CONFIG, "%s: data.added_tokens: a token of no text", "give the text that is to be one token", item->where);
        for (int k = 0; k < i; k++)
            if (text_equal(added[k].text, added[i].text))
                return fail_with(err, BAD_CONFIG, "%s: data.added_tokens: '%.100s' is there twice", "name every token once", item->where, added[i].text);
    }
    return OK;
}

static void print_added(struct text *out, const struct setting *row, const void *field)
{
    const struct data_settings *settings = (const struct data_settings *)(const void *)((const char *)field - row->offset);
    text_add_string(out, "[");
    for (int i = 0; i < settings->addeds; i++) {
        text_add_string(out, i ? ", {text: " : "{text: ");
        text_add_yaml(out, settings->added[i].text);
        text_print(out, ", special: %s", settings->added[i].special ? "true" : "false");
        text_add_string(out, settings->added[i].init ? ", init: " : "");
        if (settings->added[i].init)
            text_add_yaml(out, settings->added[i].init);
        text_add_string(out, "}");
    }
    text_add_string(out, "]");
}

static const char *const over_lengths[] = { [OVER_LENGTH_ERROR] = "error", [OVER_LENGTH_DROP] = "drop", [OVER_LENGTH_TRUNCATE] = "truncate", NULL };

const struct setting data_settings_rows[] = {
    { "train", SETTING_OWN, DATA(train), "!", 0, 0, NULL, parse_sources, print_sources, "list of {path, format, template, train_on, weight, limit, oasst}" },
    { "eval", SETTING_OWN, DATA(eval), NULL, 0, 0, NULL, parse_sources, print_sources, "list of {path, format, template, train_on, weight, limit, oasst}" },
    { "eval_fraction", SETTING_REAL, DATA(eval_fraction), "0", 0, 0.9, NULL, NULL, NULL, "instead of eval: share of train that is held out" },
    { "max_length", SETTING_INT, DATA(max_length), "1024", 2, 1 << 24, NULL, NULL, NULL, "tokens of a sequence, EOS included" },
    { "over_length", SETTING_CHOICE, DATA(over_length), "!", 0, 0, over_lengths, NULL, NULL, "what becomes of longer sequences" },
    { "deduplicate", SETTING_BOOL, DATA(deduplicate), "false", 0, 0, NULL, NULL, NULL, "leave out sequences that were there before" },
    { "added_tokens", SETTING_OWN, DATA(added), NULL, 0, 0, NULL, parse_added, print_added,
      "list of texts, or of {text, special, init}, that are tokens of their own here: their rows are trained, and the adapter keeps the tokenizer" },
    { "cache", SETTING_PATH, DATA(cache), NULL, 0, 0, NULL, NULL, NULL, "folder where sequences are kept for the next run; absent: nowhere" },
    { "accept", SETTING_OWN, DATA(accept), NULL, 0, 0, NULL, parse_accept, print_accept, "list of findings that may be there: empty_response, ..." },
};
const size_t data_settings_count = COUNT(data_settings_rows);
