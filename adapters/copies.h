/* Frozen tensors that are trained after all: each has a trained copy, and the walk through the model takes the copy (modules_to_save, bias).
 *
 * A tied head and the embedding are one frozen tensor but two modules, and as in PEFT each may have a copy of its own or stay frozen.
 */
#ifndef GRAFT_ADAPTERS_COPIES_H
#define GRAFT_ADAPTERS_COPIES_H

#include "autograd/parameters.h"
#include "models/model.h"

struct copies {
    struct copy {
        const struct tensor *frozen;
        struct tensor *value; /* the parameter */
        bool head;            /* stands for the head where the frozen tensor is the embedding too */
    } * copy;
    int count, room;
};

/* Adds a parameter of the frozen tensor's shape. */
void copies_add(struct copies *copies, struct arena *arena, struct parameters *parameters, const struct tensor *frozen, const char *key, bool head);
/* The seam: the copy in w's dtype, or w itself. */
struct tensor *copies_weight(const struct copies *copies, struct pass *p, struct tensor *w);
/* Whether w, asked for now, is the head: the embedding of a tied model is both, and a walk looks ids up first and ends with the head. */
bool asked_as_head(const struct pass *p, const struct tensor *w);
/* Fills the sealed parameters with the frozen values. */
void copies_start(const struct copies *copies, struct parameters *parameters, const struct model *model);
/* Whether this parameter is a copy. */
bool copies_hold(const struct copies *copies, const struct tensor *parameter);

#endif
