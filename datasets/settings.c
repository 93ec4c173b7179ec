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

static const struct setting source_rows[] = {
    { "path", SETTING_PATH, SOURCE(path), "!", 0, 0, NULL, NULL, NULL, "JSON lines, or one JSON array" },
    { "format", SETTING_TEXT, SOURCE(format), "!", 0, 0, NULL, NULL, NULL, "which fields a record has" },
    { "template", SETTING_OWN, SOURCE(template_name), NULL, 0, 0, NULL, parse_template, NULL, "a name, or {prompt, response}; absent: the format's own" },
    { "limit", SETTING_INT, SOURCE(limit), "0", 0, 1e15, NULL, NULL, NULL, "only the first records; 0: all" },
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
    text_print(out, ", limit: %lld}", (long long)source->limit);
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

static const char *const over_lengths[] = { [OVER_LENGTH_ERROR] = "error", [OVER_LENGTH_DROP] = "drop", [OVER_LENGTH_TRUNCATE] = "truncate", NULL };

const struct setting data_settings_rows[] = {
    { "train", SETTING_OWN, DATA(train), "!", 0, 0, NULL, parse_sources, print_sources, "list of {path, format, template, limit}" },
    { "eval", SETTING_OWN, DATA(eval), NULL, 0, 0, NULL, parse_sources, print_sources, "list of {path, format, template, limit}" },
    { "eval_fraction", SETTING_REAL, DATA(eval_fraction), "0", 0, 0.9, NULL, NULL, NULL, "instead of eval: share of train that is held out" },
    { "max_length", SETTING_INT, DATA(max_length), "1024", 2, 1 << 24, NULL, NULL, NULL, "tokens of a sequence, EOS included" },
    { "over_length", SETTING_CHOICE, DATA(over_length), "!", 0, 0, over_lengths, NULL, NULL, "what becomes of longer sequences" },
    { "accept", SETTING_OWN, DATA(accept), NULL, 0, 0, NULL, parse_accept, print_accept, "list of findings that may be there: empty_response, ..." },
};
const size_t data_settings_count = COUNT(data_settings_rows);
