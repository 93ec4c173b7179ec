/* A curve in one line of text. */
#include "trainer/sparkline.h"
#include "common/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LEVELS = 8, LOWEST_BLOCK = 0x2581 };

static void halve(struct sparkline *line)
{
    for (int i = 0; i < SPARKLINE_BARS / 2; i++) {
        line->sum[i] = line->sum[2 * i] + line->sum[2 * i + 1];
        line->count[i] = line->count[2 * i] + line->count[2 * i + 1];
    }
    line->bars = SPARKLINE_BARS / 2;
    line->stride *= 2;
}

void sparkline_add(struct sparkline *line, double value)
{
    if (!isfinite(value))
        return;
    if (line->bars == 0)
        line->stride = 1;
    if (line->bars == 0 || line->count[line->bars - 1] == line->stride) {
        if (line->bars == SPARKLINE_BARS)
            halve(line);
        line->sum[line->bars] = 0;
        line->count[line->bars++] = 0;
    }
    line->sum[line->bars - 1] += value;
    line->count[line->bars - 1]++;
}

static double mean(const struct sparkline *line, int bar)
{
    return line->sum[bar] / (double)line->count[bar];
}

int sparkline_print(const struct sparkline *line, int width, bool unicode, char out[SPARKLINE_BYTES])
{
    static const char ascii[LEVELS + 1] = "_.-~=+*#";
    const int first = line->bars > width ? line->bars - width : 0;
    double low = INFINITY, high = -INFINITY;
    for (int i = first; i < line->bars; i++) {
        low = fmin(low, mean(line, i));
        high = fmax(high, mean(line, i));
    }
    for (int i = first; i < line->bars; i++) {
        const double share = high > low ? (mean(line, i) / 2 - low / 2) / (high / 2 - low / 2) : 0;
        const int level = share > 0 ? (int)fmin(share * LEVELS, LEVELS - 1) : 0;
        if (unicode)
            out += utf8_encode((uint32_t)(LOWEST_BLOCK + level), out);
        else
            *out++ = ascii[level];
    }
    *out = 0;
    return line->bars - first;
}

bool locale_has_unicode(void)
{
    static const char *const variable[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (size_t i = 0; i < COUNT(variable); i++) {
        const char *name = getenv(variable[i]);
        if (name && *name) {
            const char *encoding = strchr(name, '.');
            return encoding && (strncasecmp(encoding, ".UTF-8", 6) == 0 || strncasecmp(encoding, ".utf8", 5) == 0);
        }
    }
    return false;
}
