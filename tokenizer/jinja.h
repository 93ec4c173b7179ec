/* Jinja templates as chat models carry them: the language of jinja2 3.1 as transformers sets it up, evaluated under limits.
 *
 * A template is a program from outside. So nothing of it runs while it is parsed, nothing it does reaches anything but its output, and work,
 * memory, depth and output are bounded: what would go beyond ends in an error with place and limit. What graft does not know of the language (a
 * tag, a filter, a test, a method) is refused by name when the template is parsed, whether or not a rendering would reach it.
 *
 * Facts: jinja2 3.1.6 (lexer.py, parser.py, compiler.py, filters.py, tests.py) and transformers' utils/chat_template_utils.py: trim_blocks and
 * lstrip_blocks are on, one newline at the end of the text is dropped, values cannot be changed once made, `tojson` escapes nothing for HTML.
 */
#ifndef GRAFT_TOKENIZER_JINJA_H
#define GRAFT_TOKENIZER_JINJA_H

#include "common/arena.h"
#include "common/status.h"

#include <jansson.h>
#include <stdint.h>

enum {
    JINJA_LARGEST_TEMPLATE = 1 << 20, /* bytes */
    JINJA_MOST_STEPS = 16 << 20,      /* nodes evaluated, names and items looked at, and every 16 bytes gone through */
    JINJA_MOST_MEMORY = 128 << 20,    /* bytes */
    JINJA_LONGEST_OUTPUT = 16 << 20,  /* bytes, also of a captured block */
    JINJA_DEEPEST_TEMPLATE = 100,     /* brackets, operators and blocks inside each other */
    JINJA_DEEPEST_RUN = 400,          /* the same while rendering, with the macros that call each other */
    JINJA_DEEPEST_VALUE = 100,        /* lists and mappings inside each other */
    JINJA_LONGEST_RANGE = 100000,     /* jinja2's sandbox has the same */
};

struct jinja;

/* Parses text[0..length), UTF-8. `where` names it in errors ("tokenizer_config.json: chat_template"), which go on with line and column. Everything
 * lives in arena; the text may go. Errors: BAD_FILE. */
enum status jinja_parse(struct jinja **jinja, struct arena *arena, const char *where, const char *text, size_t length, struct error *err) MUST_USE;
/* Whether a {% generation %} block stands anywhere in it. */
bool jinja_has_generation(const struct jinja *jinja);

/* A name that the template may use: `text`, or if that is NULL `json`, or if both are NULL none. */
struct jinja_variable {
    const char *name, *text;
    const json_t *json;
};

struct jinja_span {
    size_t begin, end; /* bytes of the text, [begin, end) */
};

struct jinja_rendering {
    const char *text; /* NUL-terminated; the template can put further NULs in */
    size_t length;
    struct jinja_span *generation; /* what came out of {% generation %} blocks, in order */
    size_t generations;
};

/* Renders. now: the moment that strftime_now() tells, in seconds since 1970, as local time; 0: the template finds strftime_now undefined. The result
 * lives in arena. Thread-safe. Errors: BAD_DATA, with the place in the template; the message of raise_exception() as it is. */
enum status jinja_render(const struct jinja *jinja, struct arena *arena, const struct jinja_variable *variable, size_t variables, int64_t now,
                         struct jinja_rendering *out, struct error *err) MUST_USE;

#endif
