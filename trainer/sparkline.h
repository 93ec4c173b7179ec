/* A curve in one line of text: as many bars as fit, each the mean of as many values, over all that was added.
 *
 * Nothing is kept but the bars. When their room is full, neighbours become one and each further bar takes twice as many values, so a run of any length fits.
 */
#ifndef GRAFT_TRAINER_SPARKLINE_H
#define GRAFT_TRAINER_SPARKLINE_H

#include "common/text.h"

#include <stdint.h>

enum { SPARKLINE_BARS = 24, SPARKLINE_BYTES = 3 * SPARKLINE_BARS + 1 };

struct sparkline {
    double sum[SPARKLINE_BARS];
    int64_t count[SPARKLINE_BARS]; /* values of each bar; below `stride` only in the last */
    int bars;
    int64_t stride;
};

/* Values that are not finite are left out. Starts from zeroes. */
void sparkline_add(struct sparkline *line, double value);
/* The newest `width` bars (1 to SPARKLINE_BARS), from the lowest to the highest of them; "" before the first value. unicode: blocks U+2581 to U+2588, a column
 * each; otherwise ASCII. Returns the columns that it takes. */
int sparkline_print(const struct sparkline *line, int width, bool unicode, char out[SPARKLINE_BYTES]);
/* Whether the locale of the environment (LC_ALL, else LC_CTYPE, else LANG) is one of UTF-8. */
bool locale_has_unicode(void);

#endif
