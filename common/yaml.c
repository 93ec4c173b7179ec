/* A YAML file as a tree with positions, from libyaml's events.
 *
 * The subset is what configurations need; everything with action at a distance (anchors, tags, merge keys, several documents) is
 * refused by name, because a reader of the file would have to know it too. Overrides from the command line are in yaml_tree.c.
 */
#include "common/yaml.h"
#include "common/files.h"
#include "common/text.h"
#include "common/yaml_build.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { LARGEST_FILE = 16 << 20, DEEPEST = 32, MOST_NODES = 200000, MOST_KEYS = 4096 };

struct reader {
    struct arena *arena;
    yaml_parser_t parser;
    const char *name, *bytes;
    size_t size;
    const char *fixed_where; /* every position, if not NULL */
    int depth, nodes;
    struct error *err;
};

static const char *place(struct reader *r, yaml_mark_t mark)
{
    if (r->fixed_where)
        return r->fixed_where;
    return arena_print(r->arena, "%s:%zu:%zu", r->name, mark.line + 1, mark.column + 1);
}

static const char *line_begin(const struct reader *r, size_t line)
{
    const char *c = r->bytes, *end = r->bytes + r->size;
    while (line > 0 && c < end)
        line -= *c++ == '\n';
    return c;
}

static bool indented_with_tab(const struct reader *r, size_t line)
{
    const char *c = line_begin(r, line), *end = r->bytes + r->size;
    while (c < end && *c == ' ')
        c++;
    return c < end && *c == '\t';
}

/* libyaml's own complaint, placed. Its reader (encoding, control characters) counts bytes, its scanner and parser lines. */
static enum status parser_error(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_MEMORY_ERROR)
        return fail_with(r->err, NO_MEMORY, "%s: no memory left to read it", "free some memory", r->name);
    yaml_mark_t mark = p->problem_mark;
    if (p->error == YAML_READER_ERROR) {
        mark = (yaml_mark_t){ 0 };
        for (size_t i = 0; i < p->problem_offset && i < r->size; i++) {
            mark.column = r->bytes[i] == '\n' ? 0 : mark.column + 1;
            mark.line += r->bytes[i] == '\n';
        }
        return fail_with(r->err, BAD_CONFIG, "%s: %s", "save the file as plain text in UTF-8", place(r, mark), problem);
    }
    if (indented_with_tab(r, mark.line))
        return fail_with(r->err, BAD_CONFIG, "%s: a tab in the indentation", "indent with spaces", place(r, mark));
    return fail_with(r->err, BAD_CONFIG, "%s: %s%s%s",
                     "check indentation, quotes and brackets here and in the lines above; text with ': ' or ' #' needs quotes", place(r, mark), problem,
                     p->context ? " " : "", p->context ? p->context : "");
}

static enum status next_event(struct reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ? OK : parser_error(r);
}

static enum status refuse(struct reader *r, yaml_mark_t mark, const char *what, const char *name, const char *cure)
{
    return fail_with(r->err, BAD_CONFIG, "%s: %s%s are not supported", cure, place(r, mark), what, name);
}

static enum status check_plain(struct reader *r, const yaml_event_t *event)
{
    const char *anchor = NULL, *tag = NULL;
    char name[80] = "";
    if (event->type == YAML_ALIAS_EVENT) {
        snprintf(name, sizeof name, " (*%.60s)", (const char *)event->data.alias.anchor);
        return refuse(r, event->start_mark, "aliases", name, "write the value out");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = (const char *)event->data.scalar.anchor;
        tag = (const char *)event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = (const char *)event->data.sequence_start.anchor;
        tag = (const char *)event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = (const char *)event->data.mapping_start.anchor;
        tag = (const char *)event->data.mapping_start.tag;
    }
    if (anchor) {
        snprintf(name, sizeof name, " (&%.60s)", anchor);
        return refuse(r, event->start_mark, "anchors", name, "remove the anchor and write values out where they are needed");
    }
    if (tag) {
        snprintf(name, sizeof name, " (%.60s)", tag);
        return refuse(r, event->start_mark, "tags", name, "remove the tag; put text that looks like a number in quotes");
    }
    return OK;
}

static enum status build(struct reader *r, const yaml_event_t *event, struct yaml **out);

static enum status build_list(struct reader *r, struct yaml *list)
{
    for (;;) {
        yaml_event_t event;
        struct yaml *item = NULL;
        TRY(next_event(r, &event));
        bool over = event.type == YAML_SEQUENCE_END_EVENT;
        enum status status = over ? OK : build(r, &event, &item);
        yaml_event_delete(&event);
        if (over || status != OK)
            return status;
        yaml_add_item(r->arena, list, NULL, NULL, item);
    }
}

static enum status check_key(struct reader *r, const struct yaml *map, const yaml_event_t *event)
{
    if (event->type == YAML_ALIAS_EVENT)
        return check_plain(r, event);
    if (event->type != YAML_SCALAR_EVENT)
        return fail_with(r->err, BAD_CONFIG, "%s: a key must be one word, not a list or map", "put text with braces or brackets in quotes",
                         place(r, event->start_mark));
    TRY(check_plain(r, event));
    const char *key = (const char *)event->data.scalar.value;
    if (strcmp(key, "<<") == 0)
        return refuse(r, event->start_mark, "merge keys", " (<<)", "write the keys out");
    if (*key == 0)
        return fail_with(r->err, BAD_CONFIG, "%s: an empty key", "write a name before the ':'", place(r, event->start_mark));
    if (strlen(key) != event->data.scalar.length)
        return fail_with(r->err, BAD_CONFIG, "%s: a key with a NUL in it", "remove the \\0", place(r, event->start_mark));
    if (map->count >= MOST_KEYS)
        return fail_with(r->err, BAD_CONFIG, "%s: more than 4096 keys in one map", "use a data file instead", place(r, event->start_mark));
    for (int i = 0; i < map->count; i++)
        if (strcmp(map->key[i], key) == 0)
            return fail_with(r->err, BAD_CONFIG, "%s: key '%s' stands here a second time; first at %s", "keep one of the two", place(r, event->start_mark), key,
                             map->key_where[i]);
    return OK;
}

static enum status build_map(struct reader *r, struct yaml *map)
{
    for (;;) {
        yaml_event_t key, event;
        struct yaml *item = NULL;
        TRY(next_event(r, &key));
        bool over = key.type == YAML_MAPPING_END_EVENT;
        enum status status = over ? OK : check_key(r, map, &key);
        if (!over && status == OK)
            status = next_event(r, &event);
        if (over || status != OK) {
            yaml_event_delete(&key);
            return status;
        }
        status = build(r, &event, &item);
        yaml_event_delete(&event);
        if (status == OK)
            yaml_add_item(r->arena, map, arena_text(r->arena, (const char *)key.data.scalar.value, key.data.scalar.length), place(r, key.start_mark), item);
        yaml_event_delete(&key);
        TRY(status);
    }
}

/* One node from its first event; the caller deletes the event. */
static enum status build(struct reader *r, const yaml_event_t *event, struct yaml **out)
{
    TRY(check_plain(r, event));
    if (++r->nodes > MOST_NODES)
        return fail_with(r->err, BAD_CONFIG, "%s: more than 200000 values", "use a data file instead", place(r, event->start_mark));
    struct yaml *node = *out = yaml_new(r->arena, YAML_SCALAR, place(r, event->start_mark));
    if (event->type == YAML_SCALAR_EVENT) {
        node->text = arena_text(r->arena, (const char *)event->data.scalar.value, event->data.scalar.length);
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (strlen(node->text) != event->data.scalar.length)
            return fail_with(r->err, BAD_CONFIG, "%s: text with a NUL in it", "remove the \\0", node->where);
        return OK;
    }
    node->kind = event->type == YAML_SEQUENCE_START_EVENT ? YAML_LIST : YAML_MAP;
    if (r->depth == DEEPEST)
        return fail_with(r->err, BAD_CONFIG, "%s: nested more than 32 deep", "nest less deeply", node->where);
    r->depth++;
    TRY(node->kind == YAML_LIST ? build_list(r, node) : build_map(r, node));
    r->depth--;
    return OK;
}

/* The one document of the stream; *root stays NULL if there is none. */
static enum status read_document(struct reader *r, struct yaml **root)
{
    for (;;) {
        yaml_event_t event;
        enum status status = OK;
        TRY(next_event(r, &event));
        enum yaml_event_type_e type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && *root)
            status = fail_with(r->err, BAD_CONFIG, "%s: a second document begins", "keep one document per file: remove the '---'", place(r, event.start_mark));
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT && type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT)
            status = build(r, &event, root);
        yaml_event_delete(&event);
        if (status != OK || type == YAML_STREAM_END_EVENT)
            return status;
    }
}

enum status yaml_parse_placed(struct arena *arena, const char *name, const char *fixed_where, const char *bytes, size_t size, struct yaml **root,
                              struct error *err)
{
    struct reader r = { .arena = arena, .name = name, .fixed_where = fixed_where, .bytes = bytes, .size = size, .err = err };
    *root = NULL;
    if (size > LARGEST_FILE)
        return fail_with(err, BAD_CONFIG, "%s: %zu bytes of YAML", "a configuration has at most 16 MiB", name, size);
    if (size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        r.bytes += 3;
        r.size -= 3;
    }
    if (!yaml_parser_initialize(&r.parser))
        return fail_with(err, NO_MEMORY, "%s: no memory left to read it", "free some memory", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.bytes, r.size);
    enum status status = read_document(&r, root);
    yaml_parser_delete(&r.parser);
    return status;
}

enum status yaml_parse(struct arena *arena, const char *name, const char *bytes, size_t size, struct yaml **root, struct error *err)
{
    TRY(yaml_parse_placed(arena, name, NULL, bytes, size, root, err));
    bool nothing = !*root || ((*root)->kind == YAML_SCALAR && !(*root)->quoted && *(*root)->text == 0);
    if (nothing)
        *root = yaml_new(arena, YAML_MAP, arena_print(arena, "%s:1:1", name));
    return OK;
}

enum status yaml_read(struct arena *arena, const char *path, struct yaml **root, struct error *err)
{
    char *bytes;
    size_t size;
    TRY(file_read(arena, path, LARGEST_FILE, &bytes, &size, err));
    TRY(yaml_parse(arena, path, bytes, size, root, err));
    if ((*root)->kind != YAML_MAP)
        return fail_with(err, BAD_CONFIG, "%s: the file is no map of keys and values", "write lines of the form 'key: value'", (*root)->where);
    return OK;
}
