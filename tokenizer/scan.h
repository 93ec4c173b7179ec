/* The two large members of a tokenizer.json, model.vocab and model.merges, read without building a tree of them.
 *
 * A general JSON library spends 60 ms and a hundred thousand small allocations on a vocabulary of 50,000 tokens; a scan costs 5. So
 * scan_cut() takes these two values out of the text, leaves null in their place, and the rest goes to the library as ever.
 */
#ifndef GRAFT_TOKENIZER_SCAN_H
#define GRAFT_TOKENIZER_SCAN_H

#include "common/arena.h"
#include "common/status.h"
#include "common/text.h"

#include <stdint.h>

struct slice {
    const char *bytes; /* NULL: the member is missing */
    size_t length;
    size_t line; /* of the file, where the slice begins */
};

/* skeleton: the text without the two values (line numbers kept). Malformed text is left to the readers of skeleton and slices. */
void scan_cut(struct arena *arena, const char *bytes, size_t size, struct text *skeleton, struct slice *vocab, struct slice *merges);

/* The value of a member of the object that the text is: blanks behind it included; bytes NULL: none. quoted: its name in quotes. */
struct slice scan_member(const char *bytes, size_t size, const char *quoted);

/* A reader of JSON values in a slice. The bytes must be valid UTF-8. */
struct scanner {
    struct arena *arena; /* strings go here */
    const char *where;   /* the file, for messages */
    const char *begin, *at, *end;
    size_t line;
};
struct scanner scanner_new(struct arena *arena, const char *where, struct slice slice);
/* Skips white space; takes c if it comes next. */
bool scan_take(struct scanner *scanner, char c);
/* Like scan_take, but c must come: BAD_FILE with the line otherwise. */
enum status scan_expect(struct scanner *scanner, char c, struct error *err) MUST_USE;
/* A string: escapes resolved, NUL behind it, in the arena. It may hold NULs. */
enum status scan_string(struct scanner *scanner, const char **bytes, uint32_t *length, struct error *err) MUST_USE;
/* An integer in [0, largest]. */
enum status scan_id(struct scanner *scanner, int64_t largest, int32_t *id, struct error *err) MUST_USE;
/* A finite number, as the Python package reads it: it takes the first 19 or so digits as a whole number and multiplies or divides that by a
 * power of ten, which now and then is not the nearest double. */
enum status scan_score(struct scanner *scanner, double *score, struct error *err) MUST_USE;
/* Nothing but white space may be left. */
enum status scan_end(struct scanner *scanner, struct error *err) MUST_USE;

#endif
