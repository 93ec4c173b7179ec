/* JSON as graft meets it: jansson, with errors that name file, line and column, and checked access.
 *
 * Values read from files are borrowed from the document; json_document_close() ends them all. Depth is bounded by jansson (2048).
 */
#ifndef GRAFT_COMMON_JSON_H
#define GRAFT_COMMON_JSON_H

#include "common/arena.h"
#include "common/status.h"
#include "common/text.h"

#include <jansson.h>
#include <stdint.h>

/* Parses bytes; `where` names the file they are from ("data.jsonl"), messages begin "data.jsonl:line:column:". Any value may stand on
 * top. Duplicate keys and NUL are errors; integers beyond 64 bits become reals (so json_get_int refuses them). On success the caller owns *value (json_decref).
 */
enum status json_parse(const char *bytes, size_t size, const char *where, json_t **value, struct error *err) MUST_USE;
/* The same for a piece of a file that begins at that line and column (both from 1). */
enum status json_parse_at(const char *bytes, size_t size, const char *where, int64_t line, int64_t column, json_t **value, struct error *err) MUST_USE;
/* Reads a whole JSON file (at most 64 MiB). */
enum status json_read(const char *path, json_t **value, struct error *err) MUST_USE;

/* Lines of a JSONL file, or the elements of a file whose top level is an array; blank lines are skipped, a BOM is skipped, CRLF is fine. A file that gzip
 * packed is unpacked into memory (lines are those of its content). Parquet, Arrow, CSV and what other programs packed are BAD_FILE with a line that
 * converts them. */
struct json_lines;
enum status json_lines_open(struct json_lines **lines, struct arena *arena, const char *path, struct error *err) MUST_USE;
/* Where the file is one object written over several lines: its members are the records from now on (true), and json_lines_key() is the key of the last one
 * read. */
bool json_lines_by_key(struct json_lines *lines);
const char *json_lines_key(const struct json_lines *lines);
/* *value is the next record, NULL at the end; the caller owns it. *line is its first line in the file (1-based). */
enum status json_lines_next(struct json_lines *lines, json_t **value, int64_t *line, struct error *err) MUST_USE;
/* The same in two steps, so that threads can share the parsing: the next record as it stands in the file (bytes NULL at the end), and its value. A record is
 * good until the lines are closed. */
struct json_record {
    const char *bytes;
    size_t size;
    const char *path;     /* of the file */
    int64_t line, column; /* where it begins, from 1 */
    bool is_line;
};
enum status json_lines_find(struct json_lines *lines, struct json_record *record, struct error *err) MUST_USE;
enum status json_record_parse(const struct json_record *record, json_t **value, struct error *err) MUST_USE;
void json_lines_close(struct json_lines *lines); /* NULL is fine */

/* Checked access to a member of an object. `where` names the object in errors. A missing or null member, or a NULL object, leaves *out
 * as it is (so set the default first) and returns OK; an object that is none, a value of another type, or out of range, is BAD_FILE naming where, key and
 * value. */
enum status json_get_int(const json_t *object, const char *where, const char *key, int64_t min, int64_t max, int64_t *out, struct error *err) MUST_USE;
enum status json_get_real(const json_t *object, const char *where, const char *key, double *out, struct error *err) MUST_USE;
enum status json_get_bool(const json_t *object, const char *where, const char *key, bool *out, struct error *err) MUST_USE;
enum status json_get_text(const json_t *object, const char *where, const char *key, const char **out, struct error *err) MUST_USE;
/* An array of integers, each within [min, max], into the arena. A missing member gives *out = NULL, *count = 0. */
enum status json_get_ids(struct arena *arena, const json_t *object, const char *where, const char *key, int64_t min, int64_t max, int32_t **out, int64_t *count,
                         struct error *err) MUST_USE;

/* The text of a value, to be freed; NULL without memory. `style`: jansson's flags. Fifteen digits print 0.05 as such; if a number needs more, all get
 * seventeen. */
char *json_print(const json_t *json, size_t style);
/* Appends a JSON string literal (quotes included), non-ASCII kept as UTF-8, invalid UTF-8 replaced by U+FFFD. */
void text_add_json(struct text *text, const char *bytes, size_t length);
/* Appends a number with 9 significant digits, as JSON ("null" if not finite). */
void text_add_number(struct text *text, double value);

#endif
