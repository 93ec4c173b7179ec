/* The records of a data file, one at a time: JSONL, or the elements of one top-level array.
 *
 * The file is mapped and only one record is parsed at once, so memory stays small however large the file is. The elements of an
 * array are found by a scan that knows strings, escapes and brackets and nothing more; each piece is then parsed like a line.
 */
#include "common/files.h"
#include "common/json.h"

#include <inttypes.h>
#include <string.h>

enum { DEEPEST = 512, LARGEST_RECORD = 1 << 28 };

struct json_lines {
    struct map map;
    const char *at, *end, *line_begin;
    int64_t line;
    bool is_array, began;
};

static const char array_cure[] = "the elements of a top-level array are separated by single commas and end with ']'";
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

enum status json_lines_open(struct json_lines **out, struct arena *arena, const char *path, struct error *err)
{
    struct json_lines *lines = NEW(arena, struct json_lines);
    *out = NULL;
    TRY(map_open(&lines->map, path, err));
    lines->line = 1;
    lines->at = lines->line_begin = lines->map.size ? (const char *)lines->map.bytes : "";
    lines->end = lines->at + lines->map.size;
    if (lines->map.size >= 3 && memcmp(lines->at, "\xEF\xBB\xBF", 3) == 0)
        lines->at = lines->line_begin = lines->at + 3;
    skip_blanks(lines);
    lines->is_array = lines->at < lines->end && *lines->at == '[';
    if (lines->is_array)
        lines->at++;
    *out = lines;
    return OK;
}

static enum status parse_piece(struct json_lines *lines, const char *begin, const char *end, json_t **value, struct error *err)
{
    return json_parse_at(begin, (size_t)(end - begin), lines->map.path, lines->line, begin - lines->line_begin + 1, value, err);
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

static enum status next_line(struct json_lines *lines, json_t **value, int64_t *line, struct error *err)
{
    skip_blanks(lines);
    if (lines->at == lines->end)
        return OK;
    const char *begin = lines->at, *limit = record_limit(lines), *end = memchr(begin, '\n', (size_t)(limit - begin));
    if (!end && limit < lines->end)
        return too_large(lines, err);
    lines->at = end ? end : lines->end;
    *line = lines->line;
    enum status status = parse_piece(lines, begin, lines->at, value, err);
    /* A bracket alone on its line: a value written over several lines. */
    bool spread = lines->at - begin == 1 || (lines->at - begin == 2 && begin[1] == '\r');
    return status != OK && spread ? cure_with(err, "%s", lines_cure) : status;
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

/* Where the element that begins at c ends: the ',' or ']' behind it, or `end`. NULL if it is nested too deeply. */
static const char *element_end(const char *c, const char *end)
{
    int depth = 0;
    while (c < end) {
        if (*c == '"') {
            c = after_string(c, end);
            continue;
        }
        if (depth == 0 && (*c == ',' || *c == ']'))
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
    return fail_with(err, BAD_FILE, "%s:%" PRId64 ":%td: %s", array_cure, lines->map.path, lines->line, lines->at - lines->line_begin + 1, what);
}

static enum status array_over(struct json_lines *lines, struct error *err)
{
    lines->at++;
    skip_blanks(lines);
    if (lines->at < lines->end)
        return array_error(lines, "something stands behind the top-level array", err);
    lines->is_array = false; /* and the next call finds the end of the file */
    return OK;
}

static enum status next_element(struct json_lines *lines, json_t **value, int64_t *line, struct error *err)
{
    skip_blanks(lines);
    bool at_end = lines->at == lines->end, closes = !at_end && *lines->at == ']';
    if (closes)
        return array_over(lines, err);
    if (lines->began && !at_end) {
        if (*lines->at != ',')
            return array_error(lines, "a ',' or ']' belongs here", err);
        lines->at++;
        skip_blanks(lines);
        at_end = lines->at == lines->end;
    }
    if (at_end)
        return array_error(lines, "the file ends inside its top-level array", err);
    if (*lines->at == ',' || *lines->at == ']')
        return array_error(lines, "an element belongs here", err);
    const char *begin = lines->at, *limit = record_limit(lines), *end = element_end(begin, limit);
    if (end == limit && limit < lines->end)
        return too_large(lines, err);
    if (!end)
        return array_error(lines, "an element is nested more than 512 deep", err);
    lines->began = true;
    *line = lines->line;
    TRY(parse_piece(lines, begin, end, value, err));
    for (; lines->at < end; lines->at++)
        if (*lines->at == '\n')
            new_line(lines);
    return OK;
}

enum status json_lines_next(struct json_lines *lines, json_t **value, int64_t *line, struct error *err)
{
    *value = NULL;
    *line = lines->line;
    return lines->is_array ? next_element(lines, value, line, err) : next_line(lines, value, line, err);
}

void json_lines_close(struct json_lines *lines)
{
    if (lines)
        map_close(&lines->map);
}
