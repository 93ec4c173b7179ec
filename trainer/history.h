/* What a run left to look at: metrics.jsonl as a table, config.yaml and manifest.json as lists of facts.
 *
 * A column is a key that some line has, in the order of their first lines; a cell that a line lacks is absent. So training and evaluation lines, and keys that
 * later versions add, need no names here.
 */
#ifndef GRAFT_TRAINER_HISTORY_H
#define GRAFT_TRAINER_HISTORY_H

#include "common/arena.h"
#include "common/status.h"

#include <stdint.h>

enum { MOST_COLUMNS = 32 }; /* that a run may have */

struct cell {
    double number;    /* NaN: no number here */
    const char *text; /* of a value that is none; NULL: a number, or absent */
};

struct column {
    const char *key;
    struct cell *cell; /* one of each line */
};

struct fact {
    const char *key, *value; /* "training.learning_rate", "0.0001" */
};

struct facts {
    struct fact *fact;
    int count;
};

struct history {
    const char *folder;
    struct column *column;
    int columns;
    int64_t lines;
    int64_t *step;                   /* of each line */
    struct facts settings, manifest; /* none where the run has no such file (yet) */
};

/* Reads a run's folder into the arena. The last line of metrics.jsonl may be half written: it is left out with a warning. Errors: BAD_FILE with file:line. */
enum status history_read(struct history *history, struct arena *arena, const char *folder, struct error *err) MUST_USE;
/* NULL: no line has the key. */
const struct column *history_column(const struct history *history, const char *key);
/* NULL: there is none. */
const char *facts_find(const struct facts *facts, const char *key);
bool cell_is_absent(const struct cell *cell);

#endif
