/* Small things with text: growing buffers, UTF-8, distances for "did you mean". */
#ifndef GRAFT_COMMON_TEXT_H
#define GRAFT_COMMON_TEXT_H

#include "common/arena.h"

#include <stdbool.h>
#include <stdint.h>

/* A growing byte string; bytes[length] is always 0 once anything was added. Lives in its arena. */
struct text {
    struct arena *arena;
    char *bytes;
    size_t length, capacity;
};
struct text text_new(struct arena *arena);
void text_add(struct text *text, const char *bytes, size_t length);
void text_add_string(struct text *text, const char *string);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_integer(struct text *text, int64_t value);
/* Appends one code point as UTF-8 (0 <= code <= 0x10FFFF). */
void text_add_code(struct text *text, uint32_t code);
/* Empties it, keeping the storage. */
void text_clear(struct text *text);

/* Decodes one code point at bytes[0..length), length >= 1; returns its size in bytes (1..4), or 0 if those bytes are no valid
 * UTF-8 (overlong forms and surrogates are invalid). */
int utf8_decode(const char *bytes, size_t length, uint32_t *code);
/* Writes 1..4 bytes to out; returns how many. */
int utf8_encode(uint32_t code, char out[4]);
/* True if all of bytes[0..length) is valid UTF-8; otherwise *bad is the offset of the first invalid byte (bad may be NULL). */
bool utf8_valid(const char *bytes, size_t length, size_t *bad);

/* The candidate nearest to `word` (edit distance with swaps, blind to case, at most a third of its length), or NULL. */
const char *text_nearest(const char *word, const char *const *candidate, size_t count);

/* Control characters become '?': names from files must not command the terminal, nor add a line of their own. Returns `text`. */
char *text_make_printable(char *text);

bool text_equal(const char *a, const char *b); /* both may be NULL; NULL equals only NULL */
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);

/* Whole-string numbers, no blanks, no overflow; reals finite unless the text says otherwise is an error. false: not a number. */
bool text_to_int(const char *text, int64_t *value);
bool text_to_real(const char *text, double *value);

/* "1.5 GiB", "312 KiB", "17 B"; returns `out`. */
const char *text_bytes(char out[32], uint64_t bytes);

#endif
