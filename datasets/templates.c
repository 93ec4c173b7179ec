/* Templates: wordings by name as rows, the user's own from YAML, both read by one small parser and filled by one loop; layouts by name stand in layouts.c,
 * the model's own chat template in chat.c.
 *
 * Of a wording only the response is trained, so what belongs to learning when to stop ("### End") stands there, and a blank between prompt and answer belongs
 * to the side on which the tokenizer puts it: " {response}" behind "Answer:". Named strings are those that published models were trained with (Stanford
 * Alpaca's PROMPT_DICT, Databricks' Dolly); question_answer is how gsm8k is commonly asked, nli after "explain nli" of WT5 (Narang et al. 2020).
 */
#include "datasets/format.h"

#include <string.h>

#define TASK             "Below is an instruction that describes a task"
#define TASK_AND_CONTEXT TASK ", paired with an input that provides further context. " DO
#define TASK_ALONE       TASK ". " DO
#define DO               "Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n"

static const struct {
    const char *name;
    struct wording wording;
} rows[] = {
    { "alpaca", { TASK_AND_CONTEXT "### Input:\n{context}\n\n### Response:", TASK_ALONE "### Response:", "{response}" } },
    { "dolly", { TASK_ALONE "Input:\n{context}\n\n### Response:\n", TASK_ALONE "### Response:\n", "{response}\n\n### End" } },
    { "plain", { "{context}\n{instruction}\n", "{instruction}\n", "{response}" } },
    { "question_answer", { "{context}\n\nQuestion: {instruction}\nAnswer:", "Question: {instruction}\nAnswer:", " {response}" } },
    { "nli", { "explain nli premise: {premise} hypothesis: {hypothesis}", NULL, "\n{label} explanation: {explanation}" } },
    { "prompt_completion", { "{prompt}", NULL, "{response}" } },
    { "text", { "", NULL, "{text}" } },
};
static const char *const names[] = { "alpaca",  "dolly",           "plain",    "question_answer", "nli",    "prompt_completion", "text",
                                     "vicuna",  "llama2-chat",     "llama3",   "chatml",          "zephyr", "starchat",          "openassistant",
                                     "guanaco", "falcon-instruct", "mpt-chat", "mpt-30b-chat",    "baize",  CHAT_TEMPLATE,       NULL };

const char *const *template_names(void)
{
    return names;
}

enum status cure_with_names(struct error *err, const char *word, const char *const *valid, size_t count, const char *title)
{
    const char *nearest = text_nearest(word, valid, count);
    if (nearest)
        return cure_with(err, "did you mean '%s'?", nearest);
    char list[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", valid[i]);
    return cure_with(err, "%s: %s", title, list);
}

/* What the parser is at. */
struct parsing {
    const struct dataset_format *format;
    const char *where, *part_name, *text;
    struct error *err;
};

static enum status fail_at(const struct parsing *p, const char *at, const char *what, const char *cure)
{
    size_t character = 1;
    for (const char *c = p->text; c < at; c++)
        character += ((unsigned char)*c & 0xC0) != 0x80;
    return fail_with(p->err, BAD_CONFIG, "%s: %s, character %zu: %s", cure, p->where, p->part_name, character, what);
}

static enum status unknown_field(const struct parsing *p, const char *at, const char *name)
{
    char what[160];
    snprintf(what, sizeof what, "{%.60s} is no field of format %s", name, p->format->name);
    fail_at(p, at, what, "");
    const char *valid[2 * MAX_FIELDS];
    size_t count = 0;
    for (int i = 0; i < MAX_FIELDS && p->format->field[i].name; i++) {
        const struct field *field = &p->format->field[i];
        if (!field->common)
            continue;
        if (format_field(p->format, field->common) == i)
            valid[count++] = field->common;
        if (!text_equal(field->name, field->common))
            valid[count++] = field->name;
    }
    return cure_with_names(p->err, name, valid, count, "fields of this format (a literal brace is {{ or }})");
}

/* One field, with its opening brace at c; *end is one past the closing one. */
static enum status parse_field(const struct parsing *p, struct arena *scratch, const char *c, struct part *out, const char **end)
{
    const char *close = c + 1 + strcspn(c + 1, "{}");
    if (*close != '}')
        return fail_at(p, c, "'{' opens a field that is not closed", "write {name} for a field of the record, {{ for a literal brace");
    const char *name = arena_text(scratch, c + 1, (size_t)(close - c - 1));
    *out = (struct part){ .field = format_field(p->format, name) };
    *end = close + 1;
    return out->field < 0 ? unknown_field(p, c, name) : OK;
}

static enum status parse(struct pattern *out, struct arena *arena, const struct parsing *p)
{
    size_t room = 1;
    for (const char *c = p->text; *c; c++)
        room += *c == '{' || *c == '}' ? 2 : 0;
    *out = (struct pattern){ .part = NEW_ARRAY(arena, room, struct part) };
    for (const char *c = p->text; *c;) {
        struct part *part = &out->part[out->parts++];
        size_t plain = strcspn(c, "{}");
        if (plain > 0) {
            *part = (struct part){ .literal = arena_text(arena, c, plain), .length = plain };
            c += plain;
        } else if (c[1] == c[0]) {
            *part = (struct part){ .literal = *c == '{' ? "{" : "}", .length = 1 };
            c += 2;
        } else if (*c == '}') {
            return fail_at(p, c, "'}' closes no field", "write }} for a literal brace");
        } else {
            TRY(parse_field(p, arena, c, part, &c));
        }
    }
    return OK;
}

/* The field that all formats call `context`; a field that is only spelled so is another thing. */
static int context_of(const struct dataset_format *format)
{
    for (int i = 0; i < MAX_FIELDS && format->field[i].name; i++)
        if (text_equal(format->field[i].common, "context"))
            return i;
    return -1;
}

static enum status parse_wording(struct parsed_template *out, struct arena *arena, const struct dataset_format *format, const char *title,
                                 const struct wording *wording, const char *const where[3], struct error *err)
{
    static const char *const part_name[3] = { "prompt", "prompt without context", "response" };
    const int context = context_of(format);
    const char *const text[3] = { context >= 0 || !wording->prompt_without_context ? wording->prompt : NULL, wording->prompt_without_context,
                                  wording->response };
    struct pattern *const pattern[3] = { &out->prompt, &out->prompt_without_context, &out->response };
    for (int i = 0; i < 3; i++) {
        const char *name = arena_print(arena, "%s's %s", title, part_name[i]);
        if (text[i])
            TRY(parse(pattern[i], arena, &(struct parsing){ format, where[i], name, text[i], err }));
    }
    if (!text[0])
        out->prompt = out->prompt_without_context;
    out->context = text[0] && text[1] ? context : -1;
    return OK;
}

/* A wording by name, or the layout of that name around the turns of the format, own or worded. */
static enum status parse_named(struct parsed_template *out, struct arena *arena, const struct dataset_format *format, const char *name,
                               const char *source_where, struct error *err)
{
    const char *const where[3] = { source_where, source_where, source_where };
    out->name = name;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0 && !format->has_turns)
            return parse_wording(out, arena, format, arena_print(arena, "template %s", name), &rows[i].wording, where, err);
        else if (strcmp(rows[i].name, name) == 0)
            return fail_with(err, BAD_CONFIG, "%s: template %s fills fields of a record, and format %s has turns of a conversation",
                             "choose a template for conversations: chat_template (the model's own), vicuna, llama2-chat, llama3, chatml, zephyr, ...",
                             source_where, name, format->name);
    out->layout = layout_find(name);
    if (!out->layout && strcmp(name, CHAT_TEMPLATE) != 0) {
        size_t count = 0;
        while (names[count])
            count++;
        fail_with(err, BAD_CONFIG, "%s: there is no template '%.100s'", "", source_where, name);
        return cure_with_names(err, name, names, count, "templates by name");
    }
    if (format->has_turns)
        return OK;
    if (!format->wording.response)
        return fail_with(err, BAD_CONFIG, "%s: template %s needs a question and an answer, and format %s has neither",
                         "remove the template, or choose the format that has them", source_where, name, format->name);
    return parse_wording(out, arena, format, arena_print(arena, "format %s", format->name), &format->wording, where, err);
}

enum status template_parse(struct parsed_template *out, struct arena *arena, const struct dataset_format *format, const struct source *source,
                           const char *where_prompt, const char *where_response, struct error *err)
{
    *out = (struct parsed_template){ .context = -1, .layout = &bare_layout, .name = "" };
    const char *name = source->template_name ? source->template_name : format->template_name;
    if (source->prompt && source->response && format->has_turns)
        return fail_with(err, BAD_CONFIG, "%s: a pair of prompt and response fills fields of a record, and format %s has turns of a conversation",
                         "choose a template for conversations by name: chat_template (the model's own), vicuna, llama2-chat, llama3, chatml, ...",
                         source->where, format->name);
    if (source->prompt && source->response) {
        const struct wording wording = { source->prompt, NULL, source->response };
        const char *const where[3] = { where_prompt, NULL, where_response };
        return parse_wording(out, arena, format, "the template", &wording, where, err);
    }
    return parse_named(out, arena, format, name, source->where, err);
}

bool pattern_fill(const struct pattern *pattern, const struct record *record, struct text *out)
{
    bool given = false;
    text_add(out, "", 0);
    for (int i = 0; i < pattern->parts; i++) {
        const struct part *part = &pattern->part[i];
        if (part->literal) {
            text_add(out, part->literal, part->length);
            continue;
        }
        const char *bytes = record->value[part->field].bytes;
        size_t length = record->value[part->field].length;
        text_add(out, bytes, length);
        given = given || (length > 0 && strspn(bytes, " \t\r\n") < length);
    }
    return given;
}
