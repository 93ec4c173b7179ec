/* The words of a template: text between tags, and what stands inside tags. */
#ifndef GRAFT_TOKENIZER_JINJA_LEX_H
#define GRAFT_TOKENIZER_JINJA_LEX_H

#include "common/arena.h"
#include "common/status.h"

#include <stdint.h>

enum jinja_word_type {
    WORD_END, /* of the template */
    WORD_DATA,
    WORD_BLOCK_BEGIN,
    WORD_BLOCK_END,
    WORD_PRINT_BEGIN,
    WORD_PRINT_END,
    WORD_NAME,
    WORD_STRING,
    WORD_INT,
    WORD_REAL,
    WORD_OPERATOR,
};

struct jinja_word {
    enum jinja_word_type type;
    uint32_t at;       /* offset in the source */
    const char *bytes; /* DATA, NAME and OPERATOR (NUL-terminated), STRING with its escapes resolved */
    size_t length;
    int64_t integer;
    double real;
};

/* The source as positions count it: line ends are \n, one at the very end is gone. */
struct jinja_source {
    const char *where, *bytes;
    size_t length;
};

/* Cuts the source into words, the last one WORD_END. White space that tags take away is gone. */
enum status jinja_lex(struct arena *arena, const struct jinja_source *source, struct jinja_word **words, struct error *err) MUST_USE;

/* fail_with() with "where:line:column: " in front; control characters become '?'. */
enum status jinja_fail_at(const struct jinja_source *source, size_t at, enum status code, struct error *err, const char *what, const char *cure, ...)
    __attribute__((format(printf, 5, 7)));

#endif
