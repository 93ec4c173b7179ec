/* The records of a data file, one at a time: JSONL, the elements of one top-level array, or (where asked for) the members of one top-level object.
 *
 * The file is mapped and only one record is parsed at once, so memory stays small however large the file is. The elements of an
 * array are found by a scan that knows strings, escapes and brackets and nothing more; each piece is then parsed like a line.
 */
#include "common/files.h"
#include "common/gzip.h"
#include "common/json.h"

#include <inttypes.h>
#include <string.h>

enum { DEEPEST = 512, LARGEST_RECORD = 1 << 28 };

struct json_lines {
    struct map map;
    struct unpacked unpacked;
    struct arena *arena;
    const char *at, *end, *line_begin;
    int64_t line;
    char closing; /* of the top level: ']', '}', or 0: lines */
    bool began;
    const char *key;
};

static const char array_cure[] = "the elements of a top-level array are separated by single commas and end with ']'";
static const char object_cure[] = "the members of a top-level object are \"key\": value, separated by single commas, and end with '}'";
static const char lines_cure[] = "each line must be one whole JSON value (JSONL), or the whole file one array";

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void new_line(struct json_lines *lines)
{
    lines->line++;
    lines->line_begin = lines->at + 1;
}

static void skip_blanks(struct json_lines *lines)
{
    for (; lines->at < lines->end && is_blank(*lines->at); lines->at++)
        if (*lines->at == '\n')
            new_line(lines);
}

#define PANDAS(read) "convert it: python3 -c 'import pandas, sys; pandas." read "(sys.argv[1]).to_json(sys.argv[2], orient=\"records\", lines=True)' "
#define CSV(delimiter)                                                                                                                                         \
    "convert it: python3 -c 'import csv, json, sys; [print(json.dumps(row)) for row in csv.DictReader(open(sys.argv[1], newline=\"\", "                        \
    "encoding=\"utf-8-sig\"), delimiter=\"" delimiter "\")]' "
#define ITSELF "fetch the file itself"

/* What people give for JSON, by how it begins, or by how its name ends where no JSON begins. */
static const struct foreign {
    const char *begins, *name_ends, *what, *cure;
} foreign[] = {
    { "PAR1", NULL, "a file of Parquet", PANDAS("read_parquet") "IN.parquet OUT.jsonl" },
    { "ARROW1", NULL, "a file of Arrow", PANDAS("read_feather") "IN.arrow OUT.jsonl" },
    { "\xff\xff\xff\xff", NULL, "a stream of Arrow",
      "convert it: python3 -c 'import datasets, sys; datasets.Dataset.from_file(sys.argv[1]).to_json(sys.argv[2])' IN.arrow OUT.jsonl" },
    { "\x28\xb5\x2f\xfd", NULL, "packed by zstd", "unpack it: zstd -d FILE (of packed files graft reads those of gzip)" },
    { "\xfd\x37zXZ", NULL, "packed by xz", "unpack it: xz -d FILE (of packed files graft reads those of gzip)" },
    { "BZh", NULL, "packed by bzip2", "unpack it: bzip2 -d FILE (of packed files graft reads those of gzip)" },
    { "PK\x03\x04", NULL, "a zip archive", "unpack it: unzip FILE" },
    { "version https://git-lfs", NULL, "a Git LFS pointer", ITSELF ": git lfs pull, in the folder it was cloned into" },
    { "<!DOCTYPE", NULL, "a web page", ITSELF ", not the page that shows it" },
    { "<html", NULL, "a web page", ITSELF ", not the page that shows it" },
    { NULL, ".csv", "a file of CSV", CSV(",") "IN.csv > OUT.jsonl" },
    { NULL, ".tsv", "a file of CSV", CSV("\\t") "IN.tsv > OUT.jsonl" },
};

static bool begins_with(const char *bytes, size_t size, const char *magic)
{
    return size >= strlen(magic) && memcmp(bytes, magic, strlen(magic)) == 0;
}

static bool name_ends(const char *name, const char *ending)
{
    const size_t length = strlen(name), behind = strlen(ending);
    return length >= behind && strcmp(name + length - behind, ending) == 0;
}

static enum status check_foreign(const struct json_lines *lines, const char *bytes, size_t size, struct error *err)
{
    const bool json = lines->at < lines->end && (*lines->at == '{' || *lines->at == '[');
    for (size_t i = 0; i < COUNT(foreign); i++) {
        const struct foreign *row = &foreign[i];
        if (row->begins ? begins_with(bytes, size, row->begins) : !json && lines->at < lines->end && name_ends(lines->map.path, row->name_ends)) {
            fail_with(err, BAD_FILE, "%s: %s, not JSON", "", lines->map.path, row->what);
            return cure_with(err, "%s", row->cure);
        }
    }
    return OK;
}

static enum status open_bytes(struct json_lines *lines, struct error *err)
{
    const struct map *map = &lines->map;
    const char *bytes = map->size ? (const char *)map->bytes : "";
    size_t size = map->size;
    if (begins_with(bytes, size, "\x1f\x8b")) {
        TRY(gzip_unpack(&lines->unpacked, map->bytes, map->size, map->path, err));
        bytes = lines->unpacked.bytes;
        size = lines->unpacked.size;
    }
    lines->line = 1;
    lines->at = lines->line_begin = bytes;
    lines->end = bytes + size;
    if (size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
        lines->at = lines->line_begin = bytes + 3;
    skip_blanks(lines);
    TRY(check_foreign(lines, bytes, size, err));
    if (lines->at < lines->end && *lines->at == '[') {
        lines->closing = ']';
        lines->at++;
    }
    return OK;
}

enum status json_lines_open(struct json_lines **out, struct arena *arena, const char *path, struct error *err)
{
    struct json_lines *lines = NEW(arena, struct json_lines);
    *out = NULL;
    lines->arena = arena;
    TRY(map_open(&lines->map, path, err));
    enum status status = open_bytes(lines, err);
    if (status == OK)
        *out = lines;
    else
        json_lines_close(lines);
    return status;
}

bool json_lines_by_key(struct json_lines *lines)
{
    const char *c = lines->at;
    if (lines->closing || c == lines->end || *c != '{')
        return false;
    for (c++; c < lines->end && (*c == ' ' || *c == '\t' || *c == '\r'); c++)
        ;
    if (c == lines->end || *c != '\n')
        return false;
    lines->closing = '}';
    lines->at++;
    return true;
}

const char *json_lines_key(const struct json_lines *lines)
{
    return lines->key;
}

static struct json_record record_of(const struct json_lines *lines, const char *begin, const char *end)
{
    return (struct json_record){ begin, (size_t)(end - begin), lines->map.path, lines->line, begin - lines->line_begin + 1, lines->closing == 0 };
}

static enum status too_large(struct json_lines *lines, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s:%" PRId64 ":%td: a record of more than 256 MiB", "check that this is the intended file, or cut the record into several",
                     lines->map.path, lines->line, lines->at - lines->line_begin + 1);
}

/* How far a record that begins here is looked at, so that a file without an end is not searched for one. */
static const char *record_limit(const struct json_lines *lines)
{
    return lines->end - lines->at > LARGEST_RECORD ? lines->at + LARGEST_RECORD : lines->end;
}

static enum status next_line(struct json_lines *lines, struct json_record *record, struct error *err)
{
    skip_blanks(lines);
    if (lines->at == lines->end)
        return OK;
    const char *begin = lines->at, *limit = record_limit(lines), *end = memchr(begin, '\n', (size_t)(limit - begin));
    if (!end && limit < lines->end)
        return too_large(lines, err);
    lines->at = end ? end : lines->end;
    *record = record_of(lines, begin, lines->at);
    return OK;
}

/* One past a string whose opening quote stands at c; `end` if it is not closed. */
static const char *after_string(const char *c, const char *end)
{
    for (c++; c < end; c++) {
        if (*c == '"')
            return c + 1;
        if (*c == '\\' && c + 1 < end)
            c++;
    }
    return end;
}

/* Where the element that begins at c ends: the ',' or closing bracket behind it, or `end`. NULL if it is nested too deeply. */
static const char *element_end(const char *c, const char *end, char closing)
{
    int depth = 0;
    while (c < end) {
        if (*c == '"') {
            c = after_string(c, end);
            continue;
        }
        if (depth == 0 && (*c == ',' || *c == closing))
            return c;
        if ((*c == '[' || *c == '{') && ++depth > DEEPEST)
            return NULL;
        if (*c == ']' || *c == '}')
            depth -= depth > 0;
        c++;
    }
    return end;
}

static enum status array_error(struct json_lines *lines, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s:%" PRId64 ":%td: %s", lines->closing == '}' ? object_cure : array_cure, lines->map.path, lines->line,
                     lines->at - lines->line_begin + 1, what);
}

static enum status array_over(struct json_lines *lines, struct error *err)
{
    lines->at++;
    skip_blanks(lines);
    if (lines->at < lines->end)
        return array_error(lines, lines->closing == '}' ? "something stands behind the top-level object" : "something stands behind the top-level array", err);
    lines->closing = 0; /* and the next call finds the end of the file */
    return OK;
}

/* "key": of a member; stands at the value afterwards. */
static enum status read_key(struct json_lines *lines, struct error *err)
{
    const char *begin = lines->at, *limit = record_limit(lines), *end = *begin == '"' ? after_string(begin, limit) : begin;
    json_t *key;
    if (end == begin || end == limit)
        return array_error(lines, "a key in double quotes belongs here", err);
    const struct json_record record = record_of(lines, begin, end);
    TRY(json_record_parse(&record, &key, err));
    lines->key = arena_text(lines->arena, json_string_value(key), json_string_length(key));
    json_decref(key);
    lines->at = end;
    skip_blanks(lines);
    if (lines->at == lines->end || *lines->at != ':')
        return array_error(lines, "a ':' belongs here", err);
    lines->at++;
    skip_blanks(lines);
    return OK;
}

static enum status next_element(struct json_lines *lines, struct json_record *record, struct error *err)
{
    skip_blanks(lines);
    bool at_end = lines->at == lines->end, closes = !at_end && *lines->at == lines->closing;
    if (closes)
        return array_over(lines, err);
    if (lines->began && !at_end) {
        if (*lines->at != ',')
            return array_error(lines, lines->closing == '}' ? "a ',' or '}' belongs here" : "a ',' or ']' belongs here", err);
        lines->at++;
        skip_blanks(lines);
        at_end = lines->at == lines->end;
    }
    if (at_end)
        return array_error(lines, lines->closing == '}' ? "the file ends inside its top-level object" : "the file ends inside its top-level array", err);
    if (lines->closing == '}')
        TRY(read_key(lines, err));
    if (lines->at == lines->end || *lines->at == ',' || *lines->at == lines->closing)
        return array_error(lines, "an element belongs here", err);
    const char *begin = lines->at, *limit = record_limit(lines), *end = element_end(begin, limit, lines->closing);
    if (end == limit && limit < lines->end)
        return too_large(lines, err);
    if (!end)
        return array_error(lines, "an element is nested more than 512 deep", err);
    lines->began = true;
    *record = record_of(lines, begin, end);
    for (; lines->at < end; lines->at++)
        if (*lines->at == '\n')
            new_line(lines);
    return OK;
}

enum status json_lines_find(struct json_lines *lines, struct json_record *record, struct error *err)
{
    *record = (struct json_record){ .line = lines->line };
    return lines->closing ? next_element(lines, record, err) : next_line(lines, record, err);
}

enum status json_record_parse(const struct json_record *record, json_t **value, struct error *err)
{
    const enum status status = json_parse_at(record->bytes, record->size, record->path, record->line, record->column, value, err);
    /* A bracket alone on its line: a value written over several lines. */
    const bool spread = record->is_line && (record->size == 1 || (record->size == 2 && record->bytes[1] == '\r'));
    return status != OK && spread ? cure_with(err, "%s", lines_cure) : status;
}

enum status json_lines_next(struct json_lines *lines, json_t **value, int64_t *line, struct error *err)
{
    struct json_record record;
    *value = NULL;
    const enum status status = json_lines_find(lines, &record, err);
    *line = record.line;
    return status == OK && record.bytes ? json_record_parse(&record, value, err) : status;
}

void json_lines_close(struct json_lines *lines)
{
    if (!lines)
        return;
    gzip_release(&lines->unpacked);
    map_close(&lines->map);
}
