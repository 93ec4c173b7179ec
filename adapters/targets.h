/* Which modules an adapter touches: PEFT's rules on names as Hugging Face spells them in the live model.
 *
 *   target_modules    a list: a module is meant if its name equals an entry or ends in "." + entry; one text: a regular expression for the whole name;
 *                     "all-linear": every linear layer but the head; absent: the family's default
 *   exclude_modules   the same two forms; wins over target_modules
 *   layers_to_transform  only modules of these layers: the layer is the first number in the name, from the third part on; an entry that is a whole name counts
 * in any layers_pattern    the part, or parts, of the name that the layer's number follows ("layers"), instead of any modules_to_save   trained as full copies,
 * never targeted
 *
 * Source: peft 0.21 tuners/tuners_utils.py (check_target_module_exists, _find_minimal_target_modules), utils/other.py (_set_trainable, get_pattern_key).
 */
#ifndef GRAFT_ADAPTERS_TARGETS_H
#define GRAFT_ADAPTERS_TARGETS_H

#include "models/model.h"

/* Names as they were given: a list, or one text, or nothing. */
struct names {
    const char *where; /* for messages: position and key, "run.yaml:7:19: adapter.target_modules" */
    const char *text;  /* given as one text; else NULL */
    const char **name; /* given as a list */
    int count;
};

struct layer_list {
    const char *where;
    int64_t *layer;
    int count; /* 0: all */
};

struct target_rules {
    struct names target, exclude, save;
    struct layer_list layers;
    struct names containers; /* layers_pattern */
};

struct targets {
    const struct site **site; /* in the model's order */
    int sites;
    const char *embedding; /* the embedding's module if it is targeted, or NULL */
    const char **name;     /* what target_modules means on this model, sorted: to be saved; NULL if it is a regular expression */
    int names;
    const char *text; /* the regular expression, or NULL */
};

/* Errors: BAD_CONFIG if nothing is targeted, or what is targeted is no linear layer or is trained as a copy too, or an entry of modules_to_save fits no
 * module. */
enum status targets_find(struct targets *targets, struct arena *arena, const struct model *model, const struct target_rules *rules, struct error *err) MUST_USE;

/* The name equals `entry` or ends in "." + entry. */
bool name_ends_in(const char *name, const char *entry);
/* The layer that a module's name stands for: its first number that follows one of the containers (none given: any two parts) and is followed by another part;
 * -1: none. */
int64_t name_layer(const char *name, const struct names *containers);
/* modules_to_save covers the tensor (or module) of that name: the module it is in, or one above, ends in an entry. As in PEFT, not only at a dot. */
bool names_save(const struct names *save, const char *name);

#endif
