/* graft report: what runs recorded, side by side. */
#include "cli/report.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "common/files.h"

#include <string.h>

struct report_options {
    struct common_options common;
    const char *html;
    struct list evaluations, answers;
    int64_t samples;
    bool force;
};

#define AT(field) offsetof(struct report_options, field)
static const struct option report_rows[] = {
    { "html", OPTION_TEXT, AT(html), "FILE", NULL, 0, 0, "one page that needs nothing else: runs, curves, settings and how they differ, evaluations, answers" },
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

static enum status run_report(struct cli *cli, const void *options)
{
    const struct report_options *o = options;
    struct report report = { .arena = cli->arena, .evaluations = o->evaluations, .answers = o->answers, .samples = o->samples };
    if (!o->html)
        return fail_with(cli->err, BAD_OPTION, "graft report: nothing to write", "give --html FILE");
    TRY(output_check(o->html, o->force, cli->err));
    TRY(read_runs(&report, &o->common.arguments, cli->err));
    return write_page(&report, o->html, o->force, cli->err);
}

const struct command command_report = {
    .name = "report",
    .arguments = "RUN [RUN ...]",
    .summary = "what runs recorded, side by side: a page of curves, settings and results",
    .min_arguments = 1,
    .max_arguments = MOST_RUNS,
    .option = report_rows,
    .options = COUNT(report_rows),
    .bytes = sizeof(struct report_options),
    .run = run_report,
};
