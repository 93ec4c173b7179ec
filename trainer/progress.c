/* One line that says how far a run is. */
#include "trainer/progress.h"
#include "trainer/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const double REDRAW_SECONDS = 0.1;

double monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct progress progress_begin(bool quiet, int64_t first, int64_t total)
{
    double now = monotonic_seconds();
    return (struct progress){ .quiet = quiet, .terminal = isatty(STDERR_FILENO), .began = now, .drawn = now - 1, .first = first, .total = total };
}

void progress_step(struct progress *progress, int64_t step, const struct step_result *result, double learning_rate, double tokens_per_second, bool logged)
{
    double now = monotonic_seconds();
    if (progress->quiet || (progress->terminal ? now - progress->drawn < REDRAW_SECONDS && step < progress->total : !logged))
        return;
    progress->drawn = now;
    double left = (now - progress->began) / (double)(step - progress->first) * (double)(progress->total - step);
    char memory[32];
    fprintf(stderr, "%sstep %lld/%lld  loss %.4f  lr %.2e  %.0f tokens/s  %02d:%02d:%02d left  %s%s", progress->terminal ? "\r\033[K" : "", (long long)step,
            (long long)progress->total, result->loss, learning_rate, tokens_per_second, (int)(left / 3600), (int)(left / 60) % 60, (int)left % 60,
            text_bytes(memory, memory_peak()), progress->terminal ? "" : "\n");
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
