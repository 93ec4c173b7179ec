/* Warnings on stderr, one line each. */
#include "common/log.h"
#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void warn(const char *format, ...)
{
    char line[2048] = "graft: warning: ";
    size_t begin = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + begin, sizeof line - begin - 1, format, arguments);
    va_end(arguments);
    size_t length = strlen(text_make_printable(line));
    line[length] = '\n';
    fwrite(line, 1, length + 1, stderr);
}
