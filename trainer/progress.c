/* One line that says how far a run is. */
#include "trainer/progress.h"
#include "trainer/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double REDRAW_SECONDS = 0.1;
enum { USUAL_COLUMNS = 80, FEWEST_BARS = 6, LINE_BYTES = 320 };

double monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct progress progress_begin(bool quiet, int64_t first, int64_t total)
{
    double now = monotonic_seconds();
    return (struct progress){
        .quiet = quiet, .terminal = isatty(STDERR_FILENO), .unicode = locale_has_unicode(), .began = now, .drawn = now - 1, .first = first, .total = total
    };
}

/* Asked for each drawing: a window may be made narrower while the run goes on. */
static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : USUAL_COLUMNS;
}

/* Redraws the line, with as many bars of the curve behind `head` as the terminal has room for; the rate makes room for them. A line that wrapped could not be
 * drawn over. */
static void draw(const struct progress *progress, const char *head, const char *rate, const char *tail)
{
    char bars[SPARKLINE_BYTES] = "", line[LINE_BYTES];
    const int columns = terminal_columns() - 1;
    int room = columns - (int)(strlen(head) + 1 + strlen(rate) + strlen(tail));
    if (room < FEWEST_BARS) {
        room += (int)strlen(rate);
        rate = "";
    }
    if (room >= FEWEST_BARS)
        sparkline_print(&progress->losses, room < SPARKLINE_BARS ? room : SPARKLINE_BARS, progress->unicode, bars);
    const int length = snprintf(line, sizeof line, *bars ? "%s %s%s%s" : "%s%s%s%s", head, bars, rate, tail);
    fprintf(stderr, "\r\033[K%.*s", *bars ? length : columns, line);
}

void progress_step(struct progress *progress, int64_t step, const struct step_result *result, double learning_rate, double tokens_per_second, bool logged)
{
    double now = monotonic_seconds();
    sparkline_add(&progress->losses, result->loss);
    if (progress->quiet || (progress->terminal ? now - progress->drawn < REDRAW_SECONDS && step < progress->total : !logged))
        return;
    progress->drawn = now;
    double left = (now - progress->began) / (double)(step - progress->first) * (double)(progress->total - step);
    char memory[32], head[80], rate[32], tail[96];
    snprintf(head, sizeof head, "step %lld/%lld  loss %.4f", (long long)step, (long long)progress->total, result->loss);
    snprintf(rate, sizeof rate, "  lr %.2e", learning_rate);
    snprintf(tail, sizeof tail, "  %.0f tokens/s  %02d:%02d:%02d left  %s", tokens_per_second, (int)(left / 3600), (int)(left / 60) % 60, (int)left % 60,
             text_bytes(memory, memory_peak()));
    if (progress->terminal)
        draw(progress, head, rate, tail);
    else
        fprintf(stderr, "%s%s%s\n", head, rate, tail);
    fflush(stderr);
}

void progress_say(struct progress *progress, const char *format, ...)
{
    if (progress->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    if (progress->terminal)
        fputs("\r\033[K", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void progress_end(struct progress *progress)
{
    if (!progress->quiet && progress->terminal)
        fputc('\n', stderr);
}
