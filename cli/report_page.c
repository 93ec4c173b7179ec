/* The page of graft report: runs, curves, settings, memory and throughput, evaluations, answers. Everything that comes from a file goes through
 * text_add_html(). */
#include "cli/report.h"
#include "common/html.h"
#include "common/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_text(struct text *page, const char *text)
{
    text_add_html(page, text, strlen(text));
}

static void add_cell(struct text *page, const char *text)
{
    text_add_string(page, "<td>");
    add_text(page, text ? text : "\xE2\x80\x93");
    text_add_string(page, "</td>");
}

void report_number(struct text *page, double value)
{
    text_print(page, isnan(value) ? "<td class=\"n\">\xE2\x80\x93</td>" : "<td class=\"n\">%.6g</td>", value);
}

static void add_bytes(struct text *page, double bytes)
{
    char size[32];
    text_print(page, "<td class=\"n\">%s</td>", bytes >= 0 && bytes < 1e18 ? text_bytes(size, (uint64_t)bytes) : "\xE2\x80\x93");
}

void report_run_name(const struct report *report, int run, struct text *page)
{
    text_print(page, "<span class=\"run\"><svg class=\"swatch\" viewBox=\"0 0 18 4\"><path class=\"c%d d%d\" d=\"M0 2H18\"/></svg>", run % RUN_COLOURS,
               run / RUN_COLOURS);
    add_text(page, report->run[run].name);
    text_add_string(page, "</span>");
}

/* A row's head, which stays in sight. */
static void add_head(const struct report *report, int run, struct text *page)
{
    text_add_string(page, "<tr><th scope=\"row\" title=\"");
    add_text(page, report->run[run].history.folder);
    text_add_string(page, "\">");
    report_run_name(report, run, page);
    text_add_string(page, "</th>");
}

static void begin_table(struct text *page, const char *const *head, int count)
{
    text_add_string(page, "<div class=\"scroll\"><table><thead><tr>");
    for (int i = 0; i < count; i++)
        text_print(page, "<th scope=\"col\"%s>%s</th>", i && *head[i] == '#' ? " class=\"n\"" : "", head[i] + (*head[i] == '#'));
    text_add_string(page, "</tr></thead><tbody>\n");
}

static void end_table(struct text *page)
{
    text_add_string(page, "</tbody></table></div>\n");
}

/* What a column comes to; NaN where there is none. */
struct summary {
    double last, lowest, median, highest, sum;
    int64_t lowest_at, count; /* the step; numbers */
};

static int by_value(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static struct summary summarize(const struct report *report, int run, const char *key)
{
    const struct history *h = &report->run[run].history;
    const struct column *column = history_column(h, key);
    struct summary s = { NAN, NAN, NAN, NAN, 0, 0, 0 };
    if (!column)
        return s;
    struct arena *arena = arena_create_like(report->arena);
    double *sorted = NEW_ARRAY(arena, h->lines, double);
    for (int64_t i = 0; i < h->lines; i++) {
        const double value = column->cell[i].number;
        if (isnan(value))
            continue;
        if (s.count == 0 || value < s.lowest) {
            s.lowest = value;
            s.lowest_at = h->step[i];
        }
        s.highest = s.count == 0 || value > s.highest ? value : s.highest;
        s.last = value;
        s.sum += value;
        sorted[s.count++] = value;
    }
    qsort(sorted, (size_t)s.count, sizeof *sorted, by_value);
    if (s.count > 0)
        s.median = sorted[(s.count - 1) / 2] / 2 + sorted[s.count / 2] / 2;
    arena_destroy(arena);
    return s;
}

static void add_runs(const struct report *report, struct text *page)
{
    static const char *const head[] = { "run", "outcome", "#steps", "#last loss", "#lowest eval loss", "#at step", "#tokens/s", "#peak memory" };
    begin_table(page, head, COUNT(head));
    for (int r = 0; r < report->runs; r++) {
        const struct history *h = &report->run[r].history;
        const struct summary eval = summarize(report, r, "eval_loss");
        const char *outcome = facts_find(&h->manifest, "outcome");
        add_head(report, r, page);
        add_cell(page, outcome ? outcome : "no manifest.json yet");
        report_number(page, (double)h->step[h->lines - 1]);
        report_number(page, summarize(report, r, "loss").last);
        report_number(page, eval.lowest);
        report_number(page, eval.count ? (double)eval.lowest_at : NAN);
        report_number(page, summarize(report, r, "tokens_per_second").median);
        add_bytes(page, summarize(report, r, "memory_bytes").highest);
        text_add_string(page, "</tr>\n");
    }
    end_table(page);
}

static double fact_number(const struct facts *facts, const char *key)
{
    const char *text = facts_find(facts, key);
    double value;
    return text && text_to_real(text, &value) ? value : NAN;
}

static void add_throughput(const struct report *report, struct text *page)
{
    static const char *const head[] = { "run",      "#peak memory", "#median tokens/s", "#lowest", "#highest", "#trained tokens of logged steps", "#seconds",
                                        "#threads", "device" };
    text_add_string(page, "<h2>Memory and throughput</h2>\n");
    begin_table(page, head, COUNT(head));
    for (int r = 0; r < report->runs; r++) {
        const struct facts *manifest = &report->run[r].history.manifest;
        const struct summary rate = summarize(report, r, "tokens_per_second"), trained = summarize(report, r, "trained_tokens");
        add_head(report, r, page);
        add_bytes(page, summarize(report, r, "memory_bytes").highest);
        report_number(page, rate.median);
        report_number(page, rate.lowest);
        report_number(page, rate.highest);
        text_print(page, trained.count ? "<td class=\"n\">%.0f</td>" : "<td class=\"n\">\xE2\x80\x93</td>", trained.sum);
        report_number(page, fact_number(manifest, "seconds"));
        report_number(page, fact_number(manifest, "threads"));
        add_cell(page, facts_find(manifest, "device"));
        text_add_string(page, "</tr>\n");
    }
    end_table(page);
}

/* Settings and manifests: a row of each key that some run has, a value of each run. Rows are found by sorting, because runs that share no key make many. */

struct row {
    const char *key, **value; /* one of each run; NULL: it has none */
    int64_t place;            /* of its first fact among all */
    bool differs;
};

struct rows {
    struct row *row;
    int64_t count;
};

struct entry {
    const struct fact *fact;
    int run;
    int64_t place;
};

static int by_key(const void *a, const void *b)
{
    const struct entry *one = a, *other = b;
    const int order = strcmp(one->fact->key, other->fact->key);
    return order ? order : (one->place > other->place) - (one->place < other->place);
}

static int by_place(const void *a, const void *b)
{
    const struct row *one = a, *other = b;
    return (one->place > other->place) - (one->place < other->place);
}

static const struct facts *facts_of(const struct report *report, int run, bool manifest)
{
    return manifest ? &report->run[run].history.manifest : &report->run[run].history.settings;
}

static struct rows compare(const struct report *report, bool manifest)
{
    struct rows rows = { 0 };
    int64_t entries = 0;
    for (int r = 0; r < report->runs; r++)
        entries += facts_of(report, r, manifest)->count;
    struct entry *entry = NEW_ARRAY(report->arena, entries, struct entry);
    rows.row = NEW_ARRAY(report->arena, entries, struct row);
    entries = 0;
    for (int r = 0; r < report->runs; r++)
        for (int i = 0; i < facts_of(report, r, manifest)->count; i++, entries++)
            entry[entries] = (struct entry){ &facts_of(report, r, manifest)->fact[i], r, entries };
    qsort(entry, (size_t)entries, sizeof *entry, by_key);
    for (int64_t i = 0; i < entries; i++) {
        if (i == 0 || strcmp(entry[i].fact->key, entry[i - 1].fact->key) != 0)
            rows.row[rows.count++] = (struct row){ entry[i].fact->key, NEW_ARRAY(report->arena, report->runs, const char *), entry[i].place, false };
        const char **value = &rows.row[rows.count - 1].value[entry[i].run];
        *value = *value ? *value : entry[i].fact->value;
    }
    for (int64_t i = 0; i < rows.count; i++)
        for (int r = 1; r < report->runs; r++)
            rows.row[i].differs |= !text_equal(rows.row[i].value[0], rows.row[i].value[r]);
    qsort(rows.row, (size_t)rows.count, sizeof *rows.row, by_place);
    return rows;
}

/* The rows that differ, or those that do not, or both; how many. */
static int add_facts(const struct report *report, const struct rows *rows, bool differing, bool same, struct text *page)
{
    int count = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->row[i];
        if (!(row->differs ? differing : same))
            continue;
        text_add_string(page, "<tr><th scope=\"row\">");
        add_text(page, row->key);
        text_add_string(page, "</th>");
        for (int r = 0; r < (differing ? report->runs : 1); r++)
            add_cell(page, row->value[r]);
        text_add_string(page, "</tr>\n");
        count++;
    }
    return count;
}

static void add_fact_table(const struct report *report, const char *what, bool columns, const struct text *rows, struct text *page)
{
    text_print(page, "<div class=\"scroll\"><table class=\"facts\"><thead><tr><th scope=\"col\">%s</th>", what);
    for (int r = 0; r < (columns ? report->runs : 1); r++) {
        text_add_string(page, "<th scope=\"col\">");
        if (columns)
            report_run_name(report, r, page);
        else
            text_add_string(page, report->runs > 1 ? "all runs" : "value");
        text_add_string(page, "</th>");
    }
    text_add_string(page, "</tr></thead><tbody>\n");
    text_add(page, rows->bytes, rows->length);
    end_table(page);
}

static void add_settings(const struct report *report, struct text *page)
{
    struct text differing = text_new(report->arena), same = text_new(report->arena), manifest = text_new(report->arena);
    const struct rows settings = compare(report, false), made_of = compare(report, true);
    const int different = report->runs > 1 ? add_facts(report, &settings, true, false, &differing) : 0;
    const int equal = add_facts(report, &settings, false, true, &same);
    text_add_string(page, "<h2>Settings</h2>\n");
    if (different)
        add_fact_table(report, "differs", true, &differing, page);
    else if (report->runs > 1)
        text_add_string(page, equal ? "<p>All settings are the same.</p>\n" : "<p>No run has a config.yaml.</p>\n");
    if (equal) {
        text_print(page, "<details%s><summary>%d settings%s</summary>\n", report->runs == 1 ? " open" : "", equal,
                   report->runs > 1 ? " that are the same" : "");
        add_fact_table(report, "setting", false, &same, page);
        text_add_string(page, "</details>\n");
    }
    if (add_facts(report, &made_of, true, true, &manifest)) {
        text_add_string(page, "<details><summary>What the runs are made of (manifest.json)</summary>\n");
        add_fact_table(report, "key", true, &manifest, page);
        text_add_string(page, "</details>\n");
    }
}

enum status report_page(const struct report *report, struct text *page, struct error *err)
{
    html_begin(page, "graft report", report_style, report_script);
    text_add_string(page, report->runs == 1 ? "<main>\n<h1>One run</h1>\n" : "");
    if (report->runs > 1)
        text_print(page, "<main>\n<h1>%d runs</h1>\n", report->runs);
    add_runs(report, page);
    text_add_string(page, "<h2>Curves</h2>\n<p class=\"legend\">");
    for (int r = 0; r < report->runs; r++)
        report_run_name(report, r, page);
    text_add_string(page, "</p>\n<div class=\"charts\">\n");
    report_charts(report, page);
    text_add_string(page, "</div>\n");
    add_settings(report, page);
    add_throughput(report, page);
    TRY(report_evaluations(report, page, err));
    TRY(report_answers(report, page, err));
    text_add_string(page, "<p class=\"foot\">graft " GRAFT_VERSION ", from metrics.jsonl, config.yaml and manifest.json of each run</p>\n</main>\n");
    html_end(page, report_script);
    return OK;
}
