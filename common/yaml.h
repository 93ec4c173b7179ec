/* A YAML file as a tree with positions. The only thing that knows libyaml is yaml.c.
 *
 * A subset on purpose: one document, scalars, lists, maps; anchors, aliases, tags and merge keys are refused by name; duplicate keys are
 * errors; depth at most 32, files at most 16 MiB.
 */
#ifndef GRAFT_COMMON_YAML_H
#define GRAFT_COMMON_YAML_H

#include "common/arena.h"
#include "common/status.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml {
    enum yaml_kind kind;
    const char *where; /* "run.yaml:12:5", or "command line" for an override: ready for messages */
    const char *text;  /* scalar */
    bool quoted;       /* scalar: was in quotes (then never a number, a bool or null) */
    int count;
    const char **key;       /* map: count keys */
    const char **key_where; /* map: where each key stands */
    struct yaml **item;     /* list and map: count values */
};

enum status yaml_read(struct arena *arena, const char *path, struct yaml **root, struct error *err) MUST_USE;
/* `name` stands for the file in messages. */
enum status yaml_parse(struct arena *arena, const char *name, const char *bytes, size_t size, struct yaml **root, struct error *err) MUST_USE;
/* Applies "dotted.path=value"; value is YAML (flow form for lists and maps: "[q_proj, v_proj]"). Missing maps on the way are made. List
 * items are addressed by number ("data.train.0.path=x"). */
enum status yaml_override(struct arena *arena, struct yaml *root, const char *assignment, struct error *err) MUST_USE;
/* The value of a key, NULL if absent (or if map is no map). */
struct yaml *yaml_find(const struct yaml *map, const char *key);
/* An unquoted ~, null or nothing. */
bool yaml_is_null(const struct yaml *value);

#endif
