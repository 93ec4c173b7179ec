/* Which adapters a line of input asks for: its member "adapter" names one, a list of them in order, or, with null, none; a line without it has all. */
#ifndef GRAFT_CLI_CHOICES_H
#define GRAFT_CLI_CHOICES_H

#include "cli/opened.h"
#include "common/json.h"

/* The different sets of adapters that lines have asked for so far. */
struct choices {
    struct opened *opened; /* set by the caller, the rest zero */
    struct choice {
        struct adapter **adapter;
        int count;
        const char *where; /* the first line that asks for it */
    } choice[MOST_SETS];
    int count;
};

/* The number of the set that a line asks for; `line` NULL: what a line without the member has. Errors: BAD_DATA (no such name, a name twice, no list of names;
 * more sets than MOST_SETS), BAD_OPTION (two adapters in one set with rows in front, or with a LoRA on the head). */
enum status choices_read(struct choices *choices, const json_t *line, const char *where, int *number, struct error *err) MUST_USE;
/* BAD_DATA for a member of a line that is none of known[0..count) and not "adapter": what is not heard must not look as if it were. */
enum status choices_check_keys(const json_t *line, const char *where, const char *const *known, size_t count, struct error *err) MUST_USE;
/* Lets the sequences of the session choose among the sets. */
void choices_apply(const struct choices *choices);

#endif
