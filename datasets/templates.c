/* Templates: the named ones as rows, the user's own from YAML, both read by one small parser and filled by one loop.
 *
 * Only the response is trained, so what belongs to learning when to stop ("### End") stands there, and a blank between prompt and answer belongs to the side
 * on which the tokenizer puts it: " {response}" behind "Answer:". Named strings are those that published models were trained with (Stanford Alpaca's
 * PROMPT_DICT, Databricks' Dolly).
 */
#include "datasets/format.h"

#include <string.h>

#define TASK             "Below is an instruction that describes a task"
#define TASK_AND_CONTEXT TASK ", paired with an input that provides further context. " DO
#define TASK_ALONE       TASK ". " DO
#define DO               "Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n"

static const struct {
    const char *name, *prompt, *prompt_without_context, *response;
} rows[] = {
    { "alpaca", TASK_AND_CONTEXT "### Input:\n{context}\n\n### Response:", TASK_ALONE "### Response:", "{response}" },
    { "dolly", TASK_ALONE "Input:\n{context}\n\n### Response:\n", TASK_ALONE "### Response:\n", "{response}\n\n### End" },
    { "plain", "{context}\n{instruction}\n", "{instruction}\n", "{response}" },
    { "prompt_completion", "{prompt}", NULL, "{response}" },
    { "text", "", NULL, "{text}" },
};
static const char *const names[] = { "alpaca", "dolly", "plain", "prompt_completion", "text", NULL };
_Static_assert(COUNT(names) == COUNT(rows) + 1, "one name per row");

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

static enum status parse_pair(struct parsed_template *out, struct arena *arena, const struct dataset_format *format, const char *name,
                              const char *const text[3], const char *const where[3], struct error *err)
{
    static const char *const part_name[3] = { "prompt", "prompt without context", "response" };
    struct pattern *const pattern[3] = { &out->prompt, &out->prompt_without_context, &out->response };
    for (int i = 0; i < 3; i++) {
        char title[120];
        snprintf(title, sizeof title, "%s's %s", name ? name : "the template", part_name[i]);
        if (text[i])
            TRY(parse(pattern[i], arena, &(struct parsing){ format, where[i], title, text[i], err }));
    }
    out->context = text[1] ? format_field(format, "context") : -1;
    return OK;
}

enum status template_parse(struct parsed_template *out, struct arena *arena, const struct dataset_format *format, const struct source *source,
                           const char *where_prompt, const char *where_response, struct error *err)
{
    *out = (struct parsed_template){ .context = -1 };
    if (source->prompt && source->response) {
        const char *const text[3] = { source->prompt, NULL, source->response }, *const where[3] = { where_prompt, NULL, where_response };
        return parse_pair(out, arena, format, NULL, text, where, err);
    }
    const char *name = source->template_name ? source->template_name : format->template_name;
    const char *const where[3] = { source->where, source->where, source->where };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *const text[3] = { rows[i].prompt, rows[i].prompt_without_context, rows[i].response };
        if (strcmp(rows[i].name, name) != 0)
            continue;
        char title[100];
        snprintf(title, sizeof title, "template %s", name);
        return parse_pair(out, arena, format, title, text, where, err);
    }
    fail_with(err, BAD_CONFIG, "%s: there is no template '%.100s'", "", source->where, name);
    return cure_with_names(err, name, names, COUNT(rows), "templates by name");
}

/* Whether any field gave more than blanks. */
static bool add_pattern(struct text *out, const struct pattern *pattern, const struct record *record)
{
    bool given = false;
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

bool template_render(const struct parsed_template *parsed, const struct record *record, struct text *out, size_t *split)
{
    bool without = parsed->context >= 0 && record->value[parsed->context].length == 0;
    text_clear(out);
    add_pattern(out, without ? &parsed->prompt_without_context : &parsed->prompt, record);
    *split = out->length;
    text_add(out, "", 0);
    return add_pattern(out, &parsed->response, record);
}
