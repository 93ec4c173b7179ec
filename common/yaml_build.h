/* How the two files of the YAML room make trees; everybody else includes common/yaml.h. */
#ifndef GRAFT_COMMON_YAML_BUILD_H
#define GRAFT_COMMON_YAML_BUILD_H

#include "common/yaml.h"

struct yaml *yaml_new(struct arena *arena, enum yaml_kind kind, const char *where);
/* Appends to a list (key NULL) or a map. */
void yaml_add_item(struct arena *arena, struct yaml *parent, const char *key, const char *key_where, struct yaml *item);
/* As yaml_parse, but every position reads `fixed_where` (unless NULL), and *root is NULL if there is no document. */
enum status yaml_parse_placed(struct arena *arena, const char *name, const char *fixed_where, const char *bytes, size_t size, struct yaml **root,
                              struct error *err) MUST_USE;

#endif
