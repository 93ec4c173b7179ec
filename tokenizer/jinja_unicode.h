/* Characters as Python's str sees them: white space, case, what repr() escapes. */
#ifndef GRAFT_TOKENIZER_JINJA_UNICODE_H
#define GRAFT_TOKENIZER_JINJA_UNICODE_H

#include "common/text.h"

/* str.isspace() */
bool unicode_is_space(uint32_t code);
/* White space at the beginning and at the end of bytes[0..length), valid UTF-8: how many bytes. */
size_t unicode_leading_space(const char *bytes, size_t length);
size_t unicode_trailing_space(const char *bytes, size_t length);
/* Upper, lower or title case exists for it. */
bool unicode_is_cased(uint32_t code);
/* str.isprintable() */
bool unicode_is_printable(uint32_t code);

enum unicode_case { CASE_UPPER, CASE_LOWER, CASE_TITLE };
/* Appends the character in that case. One character becomes one, but for those that Latin text has: ß and the f ligatures in upper case. */
void unicode_add_case(struct text *text, uint32_t code, enum unicode_case which);

/* Characters of valid UTF-8. */
size_t unicode_length(const char *bytes, size_t length);
/* Where the character number `index` begins; `length` if there are fewer. */
size_t unicode_offset(const char *bytes, size_t length, size_t index);

#endif
