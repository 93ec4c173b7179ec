/* What a run left, read back. Nothing in these files is trusted: lines, columns and facts are bounded, and so is the depth of a tree, by its reader. */
#include "trainer/history.h"
#include "common/files.h"
#include "common/json.h"
#include "common/log.h"
#include "common/yaml.h"

#include <math.h>
#include <string.h>

enum { MOST_LINES = 1 << 20, MOST_FACTS = 1000 };
static const int64_t LAST_STEP = (int64_t)1 << 53; /* as far as a double counts */

static const char own_cure[] = "is this the file that graft wrote?";

bool cell_is_absent(const struct cell *cell)
{
    return !cell->text && isnan(cell->number);
}

const struct column *history_column(const struct history *history, const char *key)
{
    for (int i = 0; i < history->columns; i++)
        if (text_equal(history->column[i].key, key))
            return &history->column[i];
    return NULL;
}

const char *facts_find(const struct facts *facts, const char *key)
{
    for (int i = 0; i < facts->count; i++)
        if (text_equal(facts->fact[i].key, key))
            return facts->fact[i].value;
    return NULL;
}

/* metrics.jsonl */

struct reading {
    struct history *history;
    struct arena *arena;
    const char *path;
    int64_t room; /* for lines */
    struct error *err;
};

static enum status find_column(struct reading *r, const char *key, const char *where, struct column **column)
{
    struct history *h = r->history;
    *column = (struct column *)history_column(h, key);
    if (*column)
        return OK;
    if (h->columns == MOST_COLUMNS)
        return fail_with(r->err, BAD_FILE, "%s: '%.64s' would be key %d of this file", own_cure, where, key, MOST_COLUMNS + 1);
    *column = &h->column[h->columns++];
    **column = (struct column){ arena_text(r->arena, key, strlen(key)), NEW_ARRAY(r->arena, r->room, struct cell) };
    for (int64_t i = 0; i < r->room; i++)
        (*column)->cell[i].number = NAN;
    return OK;
}

static enum status set_cell(struct reading *r, struct cell *cell, const char *key, const json_t *value, const char *where)
{
    if (json_is_object(value) || json_is_array(value))
        return fail_with(r->err, BAD_FILE, "%s: '%.64s' is %s, not a number or a text", own_cure, where, key, json_is_object(value) ? "an object" : "an array");
    if (json_is_number(value))
        cell->number = json_number_value(value);
    else if (json_is_string(value))
        cell->text = arena_text(r->arena, json_string_value(value), json_string_length(value));
    else if (json_is_boolean(value))
        cell->text = json_is_true(value) ? "true" : "false";
    return OK;
}

static enum status add_line(struct reading *r, json_t *line, const char *where)
{
    struct history *h = r->history;
    const char *key;
    json_t *value;
    int64_t step = -1;
    if (!json_is_object(line))
        return fail_with(r->err, BAD_FILE, "%s: not an object", own_cure, where);
    TRY(json_get_int(line, where, "step", 0, LAST_STEP, &step, r->err));
    if (step < 0)
        return fail_with(r->err, BAD_FILE, "%s: no 'step'", own_cure, where);
    json_object_foreach(line, key, value)
    {
        struct column *column;
        TRY(find_column(r, key, where, &column));
        TRY(set_cell(r, &column->cell[h->lines], key, value, where));
    }
    h->step[h->lines++] = step;
    return OK;
}

static bool is_blank(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", bytes[i]) || !bytes[i])
            return false;
    return true;
}

static enum status read_line(struct reading *r, const char *bytes, size_t size, int64_t number, bool is_whole)
{
    json_t *line = NULL;
    struct error half = { 0 };
    if (is_blank(bytes, size))
        return OK;
    enum status status = json_parse_at(bytes, size, r->path, number, 1, &line, is_whole ? r->err : &half);
    if (status != OK && !is_whole) { /* it is being written, or was when the run ended */
        warn("%s:%lld: half a line at the end of the file, left out", r->path, (long long)number);
        return OK;
    }
    if (status == OK)
        status = add_line(r, line, arena_print(r->arena, "%s:%lld", r->path, (long long)number));
    json_decref(line);
    return status;
}

static enum status read_lines(struct reading *r, const char *bytes, size_t size)
{
    struct history *h = r->history;
    int64_t number = 0;
    r->room = 1;
    for (size_t i = 0; i < size; i++)
        r->room += bytes[i] == '\n';
    if (r->room > MOST_LINES)
        return fail_with(r->err, BAD_FILE, "%s: more than %d lines", "give a copy of the folder with fewer lines of it", r->path, MOST_LINES);
    h->column = NEW_ARRAY(r->arena, MOST_COLUMNS, struct column);
    h->step = NEW_ARRAY(r->arena, r->room, int64_t);
    for (size_t at = 0; at < size;) {
        const char *end = memchr(bytes + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - bytes) - at : size - at;
        TRY(read_line(r, bytes + at, length, ++number, end != NULL));
        at += length + 1;
    }
    return h->lines ? OK : fail_with(r->err, BAD_FILE, "%s: no line of a step", "the run has to log a step first (training.logging_steps)", r->path);
}

/* config.yaml and manifest.json */

static enum status add_fact(struct arena *arena, struct facts *facts, const char *path, const char *key, const char *value, struct error *err)
{
    if (facts->count == MOST_FACTS)
        return fail_with(err, BAD_FILE, "%s: more than %d keys", own_cure, path, MOST_FACTS);
    if (!facts->fact)
        facts->fact = NEW_ARRAY(arena, MOST_FACTS, struct fact);
    facts->fact[facts->count++] = (struct fact){ key, value };
    return OK;
}

/* A value on one line, as YAML has it. */
static void add_flow(struct text *text, const struct yaml *value)
{
    if (value->kind == YAML_SCALAR) {
        text_add_string(text, value->text ? value->text : "null");
        return;
    }
    text_add_string(text, value->kind == YAML_MAP ? "{" : "[");
    for (int i = 0; i < value->count; i++) {
        text_add_string(text, i ? ", " : "");
        if (value->kind == YAML_MAP)
            text_print(text, "%s: ", value->key[i]);
        add_flow(text, value->item[i]);
    }
    text_add_string(text, value->kind == YAML_MAP ? "}" : "]");
}

static enum status add_settings(struct arena *arena, struct facts *facts, const char *path, const char *prefix, const struct yaml *map, struct error *err)
{
    for (int i = 0; i < map->count; i++) {
        const char *key = *prefix ? arena_print(arena, "%s.%s", prefix, map->key[i]) : map->key[i];
        const struct yaml *item = map->item[i];
        struct text value = text_new(arena);
        if (item->kind == YAML_MAP && item->count > 0) {
            TRY(add_settings(arena, facts, path, key, item, err));
            continue;
        }
        add_flow(&value, item);
        TRY(add_fact(arena, facts, path, key, value.bytes ? value.bytes : "", err));
    }
    return OK;
}

static enum status add_manifest(struct arena *arena, struct facts *facts, const char *path, const json_t *json, struct error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: not an object", own_cure, path);
    json_object_foreach((json_t *)json, key, value)
    {
        char *printed = json_is_string(value) ? NULL : json_print(value, JSON_ENCODE_ANY | JSON_COMPACT);
        const char *text = json_is_string(value) ? json_string_value(value) : printed ? printed : "";
        enum status status = add_fact(arena, facts, path, arena_text(arena, key, strlen(key)), arena_text(arena, text, strlen(text)), err);
        free(printed);
        TRY(status);
    }
    return OK;
}

static enum status read_settings(struct history *h, struct arena *arena, struct error *err)
{
    struct yaml *root = NULL;
    const char *path = path_join(arena, h->folder, "config.yaml");
    if (!file_exists(path))
        return OK;
    TRY(yaml_read(arena, path, &root, err));
    if (!root || root->kind != YAML_MAP)
        return fail_with(err, BAD_FILE, "%s: not a map of settings", own_cure, path);
    return add_settings(arena, &h->settings, path, "", root, err);
}

static enum status read_manifest(struct history *h, struct arena *arena, struct error *err)
{
    json_t *json = NULL;
    const char *path = path_join(arena, h->folder, "manifest.json");
    if (!file_exists(path))
        return OK;
    enum status status = json_read(path, &json, err);
    if (status == OK)
        status = add_manifest(arena, &h->manifest, path, json, err);
    json_decref(json);
    return status;
}

enum status history_read(struct history *history, struct arena *arena, const char *folder, struct error *err)
{
    struct map map = { 0 };
    *history = (struct history){ .folder = folder };
    struct reading reading = { .history = history, .arena = arena, .path = path_join(arena, folder, "metrics.jsonl"), .err = err };
    if (!folder_exists(folder))
        return fail_with(err, BAD_FILE, "%s: no such folder", "give the output_dir of a run", folder);
    if (!file_exists(reading.path))
        return fail_with(err, BAD_FILE, "%s: not there", "give the output_dir of a run that has logged a step", reading.path);
    TRY(map_open(&map, reading.path, err));
    enum status status = read_lines(&reading, (const char *)map.bytes, map.size);
    map_close(&map);
    TRY(status);
    TRY(read_settings(history, arena, err));
    return read_manifest(history, arena, err);
}
