/* How graft reports that something went wrong: the few lines behind status.h. */
#include "common/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Names from files stand in messages: they must not command the terminal. */
static void printable(char *text)
{
    for (char *c = text; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\n') || *c == 0x7F)
            *c = '?';
}

enum status fail_with(struct error *err, enum status code, const char *what, const char *cure, ...)
{
    CHECK(code != OK);
    if (err->code != OK)
        return code;
    err->code = code;
    va_list arguments;
    va_start(arguments, cure);
    vsnprintf(err->what, sizeof err->what, what, arguments);
    va_end(arguments);
    printable(err->what);
    snprintf(err->cure, sizeof err->cure, "%s", cure);
    return code;
}

enum status cure_with(struct error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->cure, sizeof err->cure, format, arguments);
    va_end(arguments);
    printable(err->cure);
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
