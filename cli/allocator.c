/* Starts the program again with malloc's caches of small pieces turned off: what `graft plan` predicts then holds.
 *
 * Each thread of glibc's malloc keeps freed small pieces aside and does not join them with their neighbours. oneDNN takes and frees buffers of a MiB or two for
 * every product, each with a scrap in front of it where a page begins; a scrap that is kept aside holds a hole open, the next buffer does not fit into it, and
 * the heap grows by chance by several MB. Only the environment can say so, and only before a program starts.
 */
#include "cli/allocator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "GLIBC_TUNABLES"
#define CACHES   "glibc.malloc.tcache_count="

/* The variable says so in the new process, which therefore does not start another. Its path is asked for, so that it keeps its name in lists of processes. */
void allocator_prepare(char **argv)
{
#ifndef GRAFT_SANITIZE /* whose malloc is another */
    char program[4096], value[4096];
    const char *before = getenv(VARIABLE);
    if (before && strstr(before, CACHES))
        return;
    const int length = snprintf(value, sizeof value, "%s%s" CACHES "0", before ? before : "", before && *before ? ":" : "");
    const ssize_t got = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0 || (size_t)length >= sizeof value || got <= 0 || (size_t)got >= sizeof program - 1 || setenv(VARIABLE, value, 1) != 0)
        return;
    program[got] = '\0';
    execv(program, argv);
#else
    (void)argv;
#endif
}
