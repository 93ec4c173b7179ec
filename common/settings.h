/* Settings as rows: one table parses, checks, documents and saves.
 *
 * A row says name, type, where the value goes, default, range and meaning. The same rows read a YAML map, fill --help and write the
 * resolved configuration. Unknown keys are errors with position and the nearest valid name.
 */
#ifndef GRAFT_COMMON_SETTINGS_H
#define GRAFT_COMMON_SETTINGS_H

#include "common/arena.h"
#include "common/status.h"
#include "common/text.h"
#include "common/yaml.h"

#include <stdint.h>

enum setting_type {
    SETTING_BOOL,   /* bool: true, false (YAML 1.2 core; yes/no/on/off are errors that say so) */
    SETTING_INT,    /* int64_t */
    SETTING_REAL,   /* double; "2e-4" is a number too */
    SETTING_TEXT,   /* const char *; NULL when absent and the default is NULL */
    SETTING_PATH,   /* const char *: relative paths are taken relative to the folder of the file they stand in */
    SETTING_CHOICE, /* int: index into .choices (a NULL-terminated list) */
    SETTING_OWN,    /* parsed by .parse (maps, lists, scalar-or-list) */
};

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;        /* offsetof in the section's struct */
    const char *fallback; /* the default as it would stand in YAML, without quotes; NULL: absent is fine (zero / NULL); "!" : required;
                             OWN: for --help only, parse() gets NULL and supplies it */
    double min, max;      /* INT and REAL, both ends included; both 0: any; INFINITY as max: no upper end */
    const char *const *choices;
    /* OWN: reads value (NULL when absent) into field; folder is the file's folder. print writes it as flow YAML for the saved
     * configuration. */
    enum status (*parse)(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err);
    void (*print)(struct text *out, const struct setting *row, const void *field);
    const char *help;
};

/* Fills `section` from a YAML map (NULL map: all defaults). `name` is the section's dotted name for messages ("training", "" for the
 * top). A null value counts as absent, and is an error where there is a default. Any key that is no row is an error. */
enum status settings_read(struct arena *arena, const struct setting *row, size_t rows, const struct yaml *map, const char *name, const char *folder,
                          void *section, struct error *err) MUST_USE;
/* The same for one of several tables that share a map: known[] lists the keys of the others (NULL-terminated, may be NULL). */
enum status settings_read_shared(struct arena *arena, const struct setting *row, size_t rows, const char *const *known, const struct yaml *map,
                                 const char *name, const char *folder, void *section, struct error *err) MUST_USE;
/* A path from YAML: relative ones start at folder (NULL: as they are), those from the command line at the current folder. */
const char *settings_path(struct arena *arena, const struct yaml *value, const char *folder);
/* True if the map holds the key of that row (to tell "given" from "default"). */
bool settings_given(const struct yaml *map, const char *name);
/* "  name: value" lines for the resolved configuration, indented by `indent` spaces, defaults included; they read back to the same
 * values from any folder (relative paths are made absolute). */
void settings_print(struct text *out, const struct setting *row, size_t rows, const void *section, int indent);
/* Help lines: name, type, default, range, meaning. */
void settings_help(struct text *out, const struct setting *row, size_t rows, const char *section);
/* Appends a scalar so that YAML reads it back as the same text (quoted when needed). */
void text_add_yaml(struct text *text, const char *string);
/* The same for a path, made absolute, so that it means the same file wherever the YAML is kept. */
void text_add_yaml_path(struct text *text, const char *path);

#endif
