/* graft report: what runs recorded, side by side. */
#include "cli/report.h"
#include "cli/commands.h"
#include "cli/opened.h"

#include <string.h>

struct report_options {
    struct common_options common;
    const char *html, *csv, *tensorboard;
    struct list evaluations, answers;
    int64_t samples;
    bool force;
};

#define AT(field) offsetof(struct report_options, field)
static const struct option report_rows[] = {
    { "html", OPTION_TEXT, AT(html), "FILE", NULL, 0, 0, "one page that needs nothing else: runs, curves, settings and how they differ, evaluations, answers" },
    { "csv", OPTION_TEXT, AT(csv), "FILE", NULL, 0, 0,
      "one table of all lines of metrics.jsonl, comma-separated; a column of each key, the first says the run" },
    { "tensorboard", OPTION_TEXT, AT(tensorboard), "DIR", NULL, 0, 0, "event files for TensorBoard: DIR/RUN for each run" },
    { "evaluation", OPTION_LIST, AT(evaluations), "NAME=FILE", NULL, 0, 0, "html: a result of graft evaluate --output, under that name" },
    { "answers", OPTION_LIST, AT(answers), "NAME=FILE", NULL, 0, 0, "html: answers of graft evaluate --answers, under that name" },
    { "samples", OPTION_INT, AT(samples), "N", "5", 1, 1000, "html: how many answers of each file" },
    { "force", OPTION_FLAG, AT(force), NULL, NULL, 0, 0, "overwrite existing output" },
};
#undef AT

/* The last name of a path, without slashes behind it. */
static const char *last_name(struct arena *arena, const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    return arena_text(arena, path + begin, end - begin);
}

static void name_runs(struct report *report)
{
    bool repeats = false;
    for (int i = 0; i < report->runs; i++) {
        report->run[i].name = last_name(report->arena, report->run[i].history.folder);
        for (int j = 0; j < i; j++)
            repeats |= text_equal(report->run[i].name, report->run[j].name);
        repeats |= !*report->run[i].name;
    }
    for (int i = 0; i < report->runs && repeats; i++)
        report->run[i].name = report->run[i].history.folder;
}

static enum status read_runs(struct report *report, const struct list *folders, struct error *err)
{
    report->runs = folders->count;
    report->run = NEW_ARRAY(report->arena, folders->count, struct shown_run);
    for (int i = 0; i < folders->count; i++)
        TRY(history_read(&report->run[i].history, report->arena, folders->item[i], err));
    name_runs(report);
    return OK;
}

static enum status write_page(const struct report *report, const char *path, bool force, struct error *err)
{
    struct output out;
    struct text page = text_new(report->arena);
    TRY(report_page(report, &page, err));
    TRY(output_open(&out, report->arena, path, force, err));
    output_write(&out, page.bytes, page.length);
    return output_commit(&out);
}

static enum status write_table(const struct report *report, const char *path, bool force, struct error *err)
{
    struct output out;
    TRY(output_open(&out, report->arena, path, force, err));
    report_csv(report, &out);
    return output_commit(&out);
}

static enum status run_report(struct cli *cli, const void *options)
{
    const struct report_options *o = options;
    struct report report = { .arena = cli->arena, .evaluations = o->evaluations, .answers = o->answers, .samples = o->samples };
    if (!o->html && !o->csv && !o->tensorboard)
        return fail_with(cli->err, BAD_OPTION, "graft report: nothing to write", "give --html FILE, --csv FILE or --tensorboard DIR");
    TRY(outputs_check(cli->arena, o->html, o->csv, o->force, cli->err));
    TRY(read_runs(&report, &o->common.arguments, cli->err));
    if (o->tensorboard)
        TRY(report_events_check(&report, o->tensorboard, o->force, cli->err));
    if (o->html)
        TRY(write_page(&report, o->html, o->force, cli->err));
    if (o->csv)
        TRY(write_table(&report, o->csv, o->force, cli->err));
    return o->tensorboard ? report_events(&report, cli->err) : OK;
}

const struct command command_report = {
    .name = "report",
    .arguments = "RUN [RUN ...]",
    .summary = "what runs recorded, side by side: a page, a table, or events for TensorBoard",
    .min_arguments = 1,
    .max_arguments = MOST_RUNS,
    .option = report_rows,
    .options = COUNT(report_rows),
    .bytes = sizeof(struct report_options),
    .run = run_report,
};
