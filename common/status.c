/* How graft reports that something went wrong: the few lines behind status.h. */
#include "common/status.h"
#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text that is too long loses its middle: where stands at its begin, what at its end. */
static void set_what(struct error *err, const char *text)
{
    static const char gap[] = " ... ";
    size_t length = strlen(text), kept = (sizeof err->what - sizeof gap) / 2;
    if (length < sizeof err->what)
        memcpy(err->what, text, length + 1);
    else
        snprintf(err->what, sizeof err->what, "%.*s%s%s", (int)kept, text, gap, text + length - kept);
    text_make_printable(err->what);
}

enum status fail_with(struct error *err, enum status code, const char *what, const char *cure, ...)
{
    CHECK(code != OK);
    if (err->code != OK)
        return code;
    err->code = code;
    char whole[16 * sizeof err->what];
    va_list arguments;
    va_start(arguments, cure);
    vsnprintf(whole, sizeof whole, what, arguments);
    va_end(arguments);
    set_what(err, whole);
    snprintf(err->cure, sizeof err->cure, "%s", cure);
    return code;
}

enum status cure_with(struct error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->cure, sizeof err->cure, format, arguments);
    va_end(arguments);
    text_make_printable(err->cure);
    return err->code;
}

enum status place_failure(struct error *err, const char *where)
{
    char whole[16 * sizeof err->what];
    snprintf(whole, sizeof whole, "%s: %s", where, err->what);
    set_what(err, whole);
    return err->code;
}

int status_exit_code(enum status code)
{
    if (code == OK)
        return 0;
    if (code == INTERRUPTED)
        return 130;
    return code < NO_MEMORY ? 2 : 1;
}

void check_failed(const char *claim, const char *file, int line)
{
    fprintf(stderr, "graft: bug: %s:%d: this should hold: %s\n", file, line, claim);
    abort();
}
