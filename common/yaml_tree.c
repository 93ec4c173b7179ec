/* The tree behind yaml.h: growing it, looking into it, and overrides from the command line ("training.seed=2"). */
#include "common/text.h"
#include "common/yaml_build.h"

#include <string.h>

enum { LONGEST_PATH = 32 };

static const char command_line[] = "command line";

struct yaml *yaml_new(struct arena *arena, enum yaml_kind kind, const char *where)
{
    struct yaml *node = NEW(arena, struct yaml);
    *node = (struct yaml){ .kind = kind, .where = where };
    return node;
}

void yaml_add_item(struct arena *arena, struct yaml *parent, const char *key, const char *key_where, struct yaml *item)
{
    size_t count = (size_t)parent->count;
    /* Full at every power of two: no capacity to carry. */
    if ((count & (count - 1)) == 0) {
        size_t capacity = count ? 2 * count : 1;
        parent->item = arena_grow(arena, parent->item, count, capacity, sizeof *parent->item);
        if (parent->kind == YAML_MAP) {
            parent->key = arena_grow(arena, parent->key, count, capacity, sizeof *parent->key);
            parent->key_where = arena_grow(arena, parent->key_where, count, capacity, sizeof *parent->key_where);
        }
    }
    parent->item[count] = item;
    if (parent->kind == YAML_MAP) {
        parent->key[count] = key;
        parent->key_where[count] = key_where;
    }
    parent->count++;
}

static int key_index(const struct yaml *map, const char *key)
{
    for (int i = 0; i < map->count; i++)
        if (strcmp(map->key[i], key) == 0)
            return i;
    return -1;
}

struct yaml *yaml_find(const struct yaml *map, const char *key)
{
    int i = map && map->kind == YAML_MAP ? key_index(map, key) : -1;
    return i < 0 ? NULL : map->item[i];
}

bool yaml_is_null(const struct yaml *value)
{
    static const char *const spelling[] = { "", "~", "null", "Null", "NULL" };
    if (value->kind != YAML_SCALAR || value->quoted)
        return false;
    for (size_t i = 0; i < COUNT(spelling); i++)
        if (strcmp(value->text, spelling[i]) == 0)
            return true;
    return false;
}

/* Splits "a.b.c" in place; 0 if a part is empty or there are too many. */
static int split_path(char *path, const char *part[LONGEST_PATH])
{
    int parts = 0;
    for (char *c = path; c; parts++) {
        if (parts == LONGEST_PATH || *c == '.' || *c == 0)
            return 0;
        part[parts] = c;
        c = strchr(c, '.');
        if (c)
            *c++ = 0;
    }
    return parts;
}

/* The slot of the list item that `part` numbers. */
static enum status list_slot(const struct yaml *list, const char *part, struct yaml ***slot, struct error *err)
{
    int64_t number;
    if (!text_to_int(part, &number) || number < 0 || number >= list->count) {
        fail_with(err, BAD_OPTION, "command line: '%s' is no item of the list at %s", "", part, list->where);
        return list->count ? cure_with(err, "items are numbered 0 to %d", list->count - 1)
                           : cure_with(err, "the list is empty: give it whole, as in name=[a, b]");
    }
    *slot = &list->item[number];
    return OK;
}

/* The slot in `node` that `part` names; a key that is not there yet gets one. */
static enum status find_slot(struct arena *arena, struct yaml *node, const char *part, struct yaml ***slot, struct error *err)
{
    if (node->kind == YAML_LIST)
        return list_slot(node, part, slot, err);
    if (yaml_is_null(node))
        node->kind = YAML_MAP;
    if (node->kind != YAML_MAP)
        return fail_with(err, BAD_OPTION, "command line: cannot set '%s' inside the single value at %s", "check the dotted path", part, node->where);
    int i = key_index(node, part);
    if (i < 0) {
        i = node->count;
        yaml_add_item(arena, node, part, command_line, yaml_new(arena, YAML_MAP, command_line));
    }
    *slot = &node->item[i];
    return OK;
}

enum status yaml_override(struct arena *arena, struct yaml *root, const char *assignment, struct error *err)
{
    const char *part[LONGEST_PATH], *equals = strchr(assignment, '=');
    int parts = equals ? split_path(arena_text(arena, assignment, (size_t)(equals - assignment)), part) : 0;
    if (parts == 0)
        return fail_with(err, BAD_OPTION, "command line: '%s' is no assignment", "write key=value, as in training.learning_rate=1e-4", assignment);
    struct yaml *value, *node = root, **slot = &node;
    TRY(yaml_parse_placed(arena, command_line, command_line, equals + 1, strlen(equals + 1), &value, err));
    if (!value) {
        value = yaml_new(arena, YAML_SCALAR, command_line);
        value->text = "";
    }
    for (int i = 0; i < parts; i++) {
        TRY(find_slot(arena, *slot, part[i], &slot, err));
    }
    **slot = *value;
    return OK;
}
