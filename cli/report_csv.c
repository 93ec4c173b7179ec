/* graft report --csv: the lines of metrics.jsonl of all runs as one table, for spreadsheets and data frames.
 *
 * The first column is the run; then stands every key that some run has, in the order in which they appear. A cell that a line lacks is empty. Quotes are those
 * of RFC 4180, lines end with a line feed.
 */
#include "cli/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text that a spreadsheet would take for a formula gets an apostrophe in front, so that a run's file commands nothing where the table is opened. */
static void write_text(struct output *out, const char *text)
{
    const bool is_formula = *text && strchr("=+-@\t\r", *text);
    if (!is_formula && !strpbrk(text, "\",\r\n")) {
        output_string(out, text);
        return;
    }
    output_string(out, is_formula ? "\"'" : "\"");
    for (const char *quote; (quote = strchr(text, '"')); text = quote + 1) {
        output_write(out, text, (size_t)(quote - text));
        output_string(out, "\"\"");
    }
    output_string(out, text);
    output_string(out, "\"");
}

/* As few digits as give the same number again, of fifteen and seventeen. */
static void write_number(struct output *out, double value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.15g", value);
    if (strtod(digits, NULL) != value)
        snprintf(digits, sizeof digits, "%.17g", value);
    output_string(out, digits);
}

static int all_keys(const struct report *report, const char **key)
{
    int keys = 0;
    for (int r = 0; r < report->runs; r++) {
        const struct history *history = &report->run[r].history;
        for (int c = 0; c < history->columns; c++) {
            bool is_new = true;
            for (int earlier = 0; earlier < r && is_new; earlier++)
                is_new = !history_column(&report->run[earlier].history, history->column[c].key);
            if (is_new)
                key[keys++] = history->column[c].key;
        }
    }
    return keys;
}

void report_csv(const struct report *report, struct output *out)
{
    const char **key = NEW_ARRAY(report->arena, report->runs * MOST_COLUMNS, const char *);
    const struct column **column = NEW_ARRAY(report->arena, report->runs * MOST_COLUMNS, const struct column *);
    const int keys = all_keys(report, key);
    output_string(out, "run");
    for (int k = 0; k < keys; k++) {
        output_string(out, ",");
        write_text(out, key[k]);
    }
    output_string(out, "\n");
    for (int r = 0; r < report->runs; r++) {
        const struct shown_run *run = &report->run[r];
        for (int k = 0; k < keys; k++)
            column[k] = history_column(&run->history, key[k]);
        for (int64_t line = 0; line < run->history.lines; line++) {
            write_text(out, run->name);
            for (int k = 0; k < keys; k++) {
                const struct cell *cell = column[k] ? &column[k]->cell[line] : NULL;
                output_string(out, ",");
                if (cell && cell->text)
                    write_text(out, cell->text);
                else if (cell && !isnan(cell->number))
                    write_number(out, cell->number);
            }
            output_string(out, "\n");
        }
    }
}
