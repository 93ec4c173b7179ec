/* Settings as rows: reading a YAML map into a struct. Writing and documenting the same rows is in settings_print.c.
 *
 * Numbers are read from the scalar's own text, never through YAML's type rules, so that 1e-4 is a number everywhere and "no" never
 * becomes false behind the user's back.
 */
#include "common/settings.h"
#include "common/files.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What every reader of a value needs. */
struct reading {
    struct arena *arena;
    const struct setting *row;
    const char *section, *folder;
    struct error *err;
};

static const char *dot(const struct reading *r)
{
    return *r->section ? "." : "";
}

static enum status wrong(const struct reading *r, const struct yaml *value, const char *what, const char *cure)
{
    if (value->kind != YAML_SCALAR)
        return fail_with(r->err, BAD_CONFIG, "%s: %s%s%s is a %s, %s", cure, value->where, r->section, dot(r), r->row->name,
                         value->kind == YAML_LIST ? "list" : "map", what);
    return fail_with(r->err, BAD_CONFIG, "%s: %s%s%s: '%.200s' %s", cure, value->where, r->section, dot(r), r->row->name, value->text, what);
}

static bool has_range(const struct setting *row)
{
    return row->min != 0 || row->max != 0;
}

static enum status check_range(const struct reading *r, const struct yaml *value, double number)
{
    if (!has_range(r->row) || (number >= r->row->min && number <= r->row->max))
        return OK;
    wrong(r, value, "is out of range", "");
    if (isinf(r->row->max))
        return cure_with(r->err, "%s must be at least %.15g", r->row->name, r->row->min);
    return cure_with(r->err, "%s must lie between %.15g and %.15g", r->row->name, r->row->min, r->row->max);
}

static enum status read_bool(const struct reading *r, const struct yaml *value, void *field)
{
    static const char *const spelling[2][3] = { { "false", "False", "FALSE" }, { "true", "True", "TRUE" } };
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(value->text, spelling[i / 3][i % 3]) != 0)
            continue;
        if (value->quoted)
            return wrong(r, value, "in quotes is text, not true or false", "remove the quotes");
        *(bool *)field = i / 3;
        return OK;
    }
    return wrong(r, value, "is neither true nor false", "write true or false");
}

static enum status read_int(const struct reading *r, const struct yaml *value, void *field)
{
    int64_t number;
    double real;
    if (!text_to_int(value->text, &number))
        return wrong(r, value, text_to_real(value->text, &real) ? "is no whole number of 64 bits" : "is no whole number",
                     "write a whole number in digits, without point or exponent");
    if (value->quoted)
        return wrong(r, value, "in quotes is text, not a number", "remove the quotes");
    TRY(check_range(r, value, (double)number));
    *(int64_t *)field = number;
    return OK;
}

static enum status read_real(const struct reading *r, const struct yaml *value, void *field)
{
    double number;
    if (!text_to_real(value->text, &number))
        return wrong(r, value, "is no finite number", "write a number such as 0.1 or 2e-4");
    if (value->quoted)
        return wrong(r, value, "in quotes is text, not a number", "remove the quotes");
    TRY(check_range(r, value, number));
    *(double *)field = number;
    return OK;
}

static enum status read_text(const struct reading *r, const struct yaml *value, void *field)
{
    (void)r;
    *(const char **)field = value->text;
    return OK;
}

const char *settings_path(struct arena *arena, const struct yaml *value, const char *folder)
{
    bool typed = strcmp(value->where, "command line") == 0;
    return path_join(arena, folder && !typed ? folder : "", value->text);
}

static enum status read_path(const struct reading *r, const struct yaml *value, void *field)
{
    if (*value->text == 0)
        return wrong(r, value, "is an empty path", "give a path or remove the line");
    *(const char **)field = settings_path(r->arena, value, r->folder);
    return OK;
}

static size_t length_of(const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

/* "did you mean", or the valid words as far as a line holds them. */
static enum status name_valid(struct error *err, struct arena *arena, const char *word, const char *const *valid, size_t count, const char *title)
{
    const char *nearest = text_nearest(word, valid, count);
    if (nearest)
        return cure_with(err, "did you mean '%s'?", nearest);
    struct text list = text_new(arena);
    for (size_t i = 0; i < count; i++) {
        text_print(&list, "%s%s", i ? ", " : "", valid[i]);
        if (list.length > 400 && i + 1 < count) {
            text_print(&list, ", ... (%zu in all)", count);
            break;
        }
    }
    return cure_with(err, "%s: %s", title, list.bytes ? list.bytes : "none");
}

static enum status read_choice(const struct reading *r, const struct yaml *value, void *field)
{
    size_t count = length_of(r->row->choices);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value->text, r->row->choices[i]) != 0)
            continue;
        *(int *)field = (int)i;
        return OK;
    }
    wrong(r, value, "is none of the choices", "");
    return name_valid(r->err, r->arena, value->text, r->row->choices, count, "choose one of");
}

static const struct {
    enum status (*read)(const struct reading *, const struct yaml *, void *field);
    const char *not_scalar;
} readers[] = {
    [SETTING_BOOL] = { read_bool, "not true or false" }, [SETTING_INT] = { read_int, "not a whole number" },
    [SETTING_REAL] = { read_real, "not a number" },      [SETTING_TEXT] = { read_text, "not a text" },
    [SETTING_PATH] = { read_path, "not a path" },        [SETTING_CHOICE] = { read_choice, "not one of the choices" },
};

static enum status read_value(const struct reading *r, const struct yaml *value, void *field)
{
    if (value->kind != YAML_SCALAR)
        return wrong(r, value, readers[r->row->type].not_scalar, "write one value on the line of the key");
    return readers[r->row->type].read(r, value, field);
}

static enum status missing(const struct reading *r, const struct yaml *map)
{
    fail_with(r->err, BAD_CONFIG, "%s%s%s%s%s is missing", "", map ? map->where : "", map ? ": " : "", r->section, dot(r), r->row->name);
    return cure_with(r->err, "add '%s:' to %s%s: %s", r->row->name, *r->section ? "section " : "the file", r->section, r->row->help);
}

static enum status read_row(const struct reading *r, const struct yaml *map, void *section)
{
    const struct setting *row = r->row;
    const struct yaml *value = yaml_find(map, row->name);
    void *field = (char *)section + row->offset;
    bool required = text_equal(row->fallback, "!");
    bool absent = !value || yaml_is_null(value);
    if (absent && required)
        return missing(r, map);
    if (row->type == SETTING_OWN)
        return row->parse(r->arena, row, absent ? NULL : value, field, r->folder, r->err);
    if (value && !absent)
        return read_value(r, value, field);
    if (value && row->fallback) {
        fail_with(r->err, BAD_CONFIG, "%s: %s%s%s has no value", "", value->where, r->section, dot(r), row->name);
        return cure_with(r->err, "give a value, or remove the line for the default, %s", row->fallback);
    }
    if (!row->fallback)
        return OK;
    const char *where = arena_print(r->arena, "default of %s%s%s", r->section, dot(r), row->name);
    return read_value(r, &(struct yaml){ .kind = YAML_SCALAR, .where = where, .text = row->fallback }, field);
}

static enum status check_keys(struct arena *arena, const struct setting *row, size_t rows, const char *const *known, const struct yaml *map, const char *name,
                              struct error *err)
{
    size_t others = length_of(known);
    const char **valid = NEW_ARRAY(arena, rows + others, const char *);
    for (size_t i = 0; i < rows + others; i++)
        valid[i] = i < rows ? row[i].name : known[i - rows];
    for (int k = 0; k < map->count; k++) {
        bool found = false;
        for (size_t i = 0; i < rows + others && !found; i++)
            found = strcmp(map->key[k], valid[i]) == 0;
        if (found)
            continue;
        fail_with(err, BAD_CONFIG, "%s: unknown key '%.200s'%s%s", "", map->key_where[k], map->key[k], *name ? " in " : "", name);
        return name_valid(err, arena, map->key[k], valid, rows + others, "valid keys here");
    }
    return OK;
}

enum status settings_read_shared(struct arena *arena, const struct setting *row, size_t rows, const char *const *known, const struct yaml *map,
                                 const char *name, const char *folder, void *section, struct error *err)
{
    if (map && yaml_is_null(map))
        map = NULL;
    if (map && map->kind != YAML_MAP)
        return fail_with(err, BAD_CONFIG, "%s: %s is a %s, not a map", "write lines of the form 'key: value', indented below it", map->where,
                         *name ? name : "the top", map->kind == YAML_LIST ? "list" : "single value");
    if (map)
        TRY(check_keys(arena, row, rows, known, map, name, err));
    for (size_t i = 0; i < rows; i++) {
        const struct reading r = { .arena = arena, .row = &row[i], .section = name, .folder = folder, .err = err };
        TRY(read_row(&r, map, section));
    }
    return OK;
}

enum status settings_read(struct arena *arena, const struct setting *row, size_t rows, const struct yaml *map, const char *name, const char *folder,
                          void *section, struct error *err)
{
    return settings_read_shared(arena, row, rows, NULL, map, name, folder, section, err);
}

bool settings_given(const struct yaml *map, const char *name)
{
    const struct yaml *value = yaml_find(map, name);
    return value && !yaml_is_null(value);
}
