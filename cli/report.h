/* graft report: runs side by side. Each way to look at them is a file: a page, a table of values, the event files of TensorBoard. */
#ifndef GRAFT_CLI_REPORT_H
#define GRAFT_CLI_REPORT_H

#include "cli/options.h"
#include "common/files.h"
#include "trainer/history.h"

enum { MOST_RUNS = 32, RUN_COLOURS = 7 };

struct shown_run {
    const char *name; /* the folder's own name, or its path where names repeat */
    struct history history;
    const char *events; /* its file for TensorBoard, once checked */
};

struct report {
    struct arena *arena;
    struct shown_run *run;
    int runs;
    struct list evaluations, answers; /* NAME=FILE, as given */
    int64_t samples;                  /* answers that are shown of each file */
};

/* The whole page. Errors: what the files of evaluations and answers say. */
enum status report_page(const struct report *report, struct text *page, struct error *err) MUST_USE;
/* The figures of all curves that some run has. */
void report_charts(const struct report *report, struct text *page);
/* Every line of every run, as comma-separated values. */
void report_csv(const struct report *report, struct output *out);
/* Where each run's events go below a folder. Errors: EXISTS without `force`, BAD_OPTION where two runs would share a file. */
enum status report_events_check(struct report *report, const char *folder, bool force, struct error *err) MUST_USE;
/* Writes what was checked: the files of all runs, or none. */
enum status report_events(const struct report *report, struct error *err) MUST_USE;
/* Results and answers of graft evaluate; nothing where none are given. */
enum status report_evaluations(const struct report *report, struct text *page, struct error *err) MUST_USE;
enum status report_answers(const struct report *report, struct text *page, struct error *err) MUST_USE;

/* A run's line in its colour, and its name. */
void report_run_name(const struct report *report, int run, struct text *page);
/* <td> with a number of six digits, or a dash where it is NaN. */
void report_number(struct text *page, double value);

extern const char report_style[], report_script[];

#endif
