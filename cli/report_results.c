/* What evaluations found: of each run while it trained, and of the files of graft evaluate that are given. Answers are shown from such files alone, with the
 * file and the record that they are from. */
#include "cli/report.h"
#include "common/html.h"
#include "common/json.h"

#include <math.h>
#include <string.h>

/* "NAME=FILE" apart. */
static enum status split(const struct report *report, const char *option, const char *item, char **name, const char **file, struct error *err)
{
    const char *equals = strchr(item, '=');
    if (!equals || equals == item || !equals[1])
        return fail_with(err, BAD_OPTION, "--%s %s: no NAME=FILE", "a name for the page, '=', and the file", option, item);
    *name = arena_text(report->arena, item, (size_t)(equals - item));
    *file = equals + 1;
    return OK;
}

static void add_text(struct text *page, const char *text)
{
    text_add_html(page, text, strlen(text));
}

static void add_head(struct text *page, const char *name)
{
    text_add_string(page, "<tr><th scope=\"row\">");
    add_text(page, name);
    text_add_string(page, "</th>");
}

static void end_table(struct text *page)
{
    text_add_string(page, "</tbody></table></div>\n");
}

/* The last evaluation of a run: the last line that has an eval_loss. */
static bool add_while_training(const struct report *report, int run, struct text *rows)
{
    static const char *const key[] = { "eval_loss", "eval_perplexity", "eval_tokens" };
    const struct history *h = &report->run[run].history;
    const struct column *loss = history_column(h, key[0]);
    int64_t line = h->lines - 1;
    while (loss && line >= 0 && isnan(loss->cell[line].number))
        line--;
    if (!loss || line < 0)
        return false;
    text_add_string(rows, "<tr><th scope=\"row\">");
    report_run_name(report, run, rows);
    text_add_string(rows, "</th>");
    report_number(rows, (double)h->step[line]);
    for (size_t i = 0; i < COUNT(key); i++) {
        const struct column *column = history_column(h, key[i]);
        report_number(rows, column ? column->cell[line].number : NAN);
    }
    text_add_string(rows, "</tr>\n");
    return true;
}

static enum status add_figure(const json_t *json, const char *file, const char *key, double unit, struct text *page, struct error *err)
{
    const json_t *figure = json_object_get(json, key);
    double mean = NAN, error = NAN;
    TRY(json_get_real(figure, file, "mean", &mean, err));
    TRY(json_get_real(figure, file, "standard_error", &error, err));
    if (isnan(mean))
        text_add_string(page, "<td class=\"n\">\xE2\x80\x93</td>");
    else
        text_print(page, isnan(error) ? "<td class=\"n\">%.5g</td>" : "<td class=\"n\">%.5g <small>\xC2\xB1 %.2g</small></td>", mean * unit, error * unit);
    return OK;
}

static enum status add_result(const char *name, const char *file, const json_t *json, struct text *page, struct error *err)
{
    double perplexity = NAN, records = NAN;
    const char *data = "\xE2\x80\x93";
    if (!json_is_object(json) || !json_object_get(json, "loss"))
        return fail_with(err, BAD_FILE, "%s: not a result of graft evaluate: no 'loss'", "give what graft evaluate --output wrote", file);
    TRY(json_get_real(json, file, "perplexity", &perplexity, err));
    TRY(json_get_real(json, file, "records", &records, err));
    TRY(json_get_text(json, file, "data", &data, err));
    add_head(page, name);
    TRY(add_figure(json, file, "loss", 1, page, err));
    report_number(page, perplexity);
    TRY(add_figure(json, file, "exact_match", 100, page, err));
    report_number(page, records);
    text_add_string(page, "<td>");
    add_text(page, data);
    text_add_string(page, "</td><td>");
    add_text(page, file);
    text_add_string(page, "</td></tr>\n");
    return OK;
}

enum status report_evaluations(const struct report *report, struct text *page, struct error *err)
{
    struct text rows = text_new(report->arena);
    int evaluated = 0;
    for (int r = 0; r < report->runs; r++)
        evaluated += add_while_training(report, r, &rows);
    if (evaluated || report->evaluations.count)
        text_add_string(page, "<h2>Evaluation</h2>\n");
    if (evaluated) {
        text_add_string(page, "<div class=\"scroll\"><table><thead><tr><th>last while training</th><th class=\"n\">step</th><th class=\"n\">loss</th><th "
                              "class=\"n\">perplexity</th><th class=\"n\">tokens</th></tr></thead><tbody>\n");
        text_add(page, rows.bytes, rows.length);
        end_table(page);
    }
    if (report->evaluations.count)
        text_add_string(page, "<div class=\"scroll\"><table><thead><tr><th>graft evaluate</th><th class=\"n\">loss</th><th class=\"n\">perplexity</th><th "
                              "class=\"n\">exact match, %</th><th class=\"n\">records</th><th>data</th><th>from</th></tr></thead><tbody>\n");
    for (int i = 0; i < report->evaluations.count; i++) {
        char *name;
        const char *file;
        json_t *json = NULL;
        TRY(split(report, "evaluation", report->evaluations.item[i], &name, &file, err));
        enum status status = json_read(file, &json, err);
        if (status == OK)
            status = add_result(name, file, json, page, err);
        json_decref(json);
        TRY(status);
    }
    if (report->evaluations.count)
        end_table(page);
    return OK;
}

static void add_said(struct text *page, const char *what, const char *text)
{
    text_print(page, "<dt>%s</dt><dd>", what);
    add_text(page, text);
    text_add_string(page, "</dd>");
}

static enum status add_answer(const json_t *json, const char *where, struct text *page, struct error *err)
{
    const char *record = NULL, *answer = NULL, *reference = NULL;
    bool correct = false;
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: not an object", "give what graft evaluate --answers wrote", where);
    TRY(json_get_text(json, where, "where", &record, err));
    TRY(json_get_text(json, where, "answer", &answer, err));
    TRY(json_get_text(json, where, "reference", &reference, err));
    TRY(json_get_bool(json, where, "correct", &correct, err));
    if (!answer)
        return fail_with(err, BAD_FILE, "%s: no 'answer'", "give what graft evaluate --answers wrote", where);
    text_print(page, "<article class=\"%s\"><h4>", correct ? "correct" : "other");
    add_text(page, record ? record : where);
    text_print(page, "<b>%s</b></h4><dl>", correct ? "exact match" : "no exact match");
    add_said(page, "answer", answer);
    if (reference)
        add_said(page, "reference", reference);
    text_add_string(page, "</dl></article>\n");
    return OK;
}

static enum status add_answers(const struct report *report, const char *file, struct json_lines *lines, struct text *page, struct error *err)
{
    for (int64_t i = 0; i < report->samples; i++) {
        json_t *json = NULL;
        int64_t line = 0;
        TRY(json_lines_next(lines, &json, &line, err));
        if (!json && i == 0)
            return fail_with(err, BAD_FILE, "%s: no answers", "give what graft evaluate --answers wrote", file);
        if (!json)
            return OK;
        enum status status = add_answer(json, arena_print(report->arena, "%s:%lld", file, (long long)line), page, err);
        json_decref(json);
        TRY(status);
    }
    return OK;
}

enum status report_answers(const struct report *report, struct text *page, struct error *err)
{
    if (report->answers.count)
        text_add_string(page, "<h2>Answers</h2>\n");
    for (int i = 0; i < report->answers.count; i++) {
        char *name;
        const char *file;
        struct json_lines *lines = NULL;
        TRY(split(report, "answers", report->answers.item[i], &name, &file, err));
        text_add_string(page, "<section><h3>");
        add_text(page, name);
        text_add_string(page, " <small>the first of ");
        add_text(page, file);
        text_add_string(page, "</small></h3>\n<div class=\"answers\">\n");
        enum status status = json_lines_open(&lines, report->arena, file, err);
        if (status == OK)
            status = add_answers(report, file, lines, page, err);
        json_lines_close(lines);
        TRY(status);
        text_add_string(page, "</div></section>\n");
    }
    return OK;
}
