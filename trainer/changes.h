/* What differs between a run that goes on and the run it goes on from: settings key by key, then what the run is made of. */
#ifndef GRAFT_TRAINER_CHANGES_H
#define GRAFT_TRAINER_CHANGES_H

#include "trainer/identity.h"

/* Keys, "training.seed" and the like or names of identity parts, that the user lets change; a key stands for what is below it too. */
struct allowed {
    const char *const *key;
    int count;
};

/* A run as it was or is. identity NULL: not known, of both runs then. */
struct described {
    const char *config; /* as config_print() writes it */
    const struct identity *identity;
};

/* Warns of every difference that can change a result, and refuses (BAD_CONFIG) unless each is allowed; names an allowed key that neither run knows
 * (BAD_OPTION). where: names the run before in messages. */
enum status changes_check(struct arena *arena, const char *where, const struct described *before, const struct described *now, const struct allowed *allowed,
                          struct error *err) MUST_USE;
/* The settings that may change freely, for --help. */
void changes_help(struct text *out);

#endif
