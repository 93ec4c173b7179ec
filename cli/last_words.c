/* The ends that no status can carry: they happen inside a library, or inside an instruction that reads a mapped file.
 *
 * Nothing has to be tidied up here, because outputs have no name before they are whole. Nor is anything remembered for the occasion: which file
 * an address belongs to is asked of the kernel, so neither the mappings nor this file need a variable that outlives a call.
 */
#include "cli/last_words.h"
#include "common/files.h"
#include "common/json.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

_Noreturn void out_of_memory(size_t bytes)
{
    fprintf(stderr, "graft: error: no memory left for %zu more bytes\n  cure: free memory, or use smaller inputs, batches or models\n", bytes);
    _exit(1); /* what libraries do at exit() may wait for locks that they hold right now */
}

static void *granted(void *memory, size_t bytes)
{
    if (!memory && bytes)
        out_of_memory(bytes);
    return memory;
}

/* Without memory jansson drops characters of the text that it reads, and libcrypto crashes: neither may see a NULL. */
static void *json_take(size_t bytes)
{
    return granted(malloc(bytes), bytes);
}

static void *hash_take(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return granted(malloc(bytes), bytes);
}

static void *hash_take_again(void *old, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return granted(realloc(old, bytes), bytes);
}

static void hash_give_back(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

static void cxx_exhausted(void)
{
    static const char text[] = "graft: error: no memory left inside a library\n  cure: free memory, or use smaller inputs, batches or models\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

/* oneDNN is C++: its exceptions would pass through C and end the process without a word. C++ asks a handler before it throws, and lets it be set by a function
 * that has no name in C but in the library; without that library there is nothing to set. */
static void set_cxx_handler(void)
{
    typedef void handler(void);
    handler *(*set)(handler *);
    *(void **)&set = dlsym(RTLD_DEFAULT, "_ZSt15set_new_handlerPFvvE");
    if (set)
        (void)set(cxx_exhausted);
}

/* What follows runs inside a signal handler: no allocation, no stdio. */

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static const char *read_hex(const char *c, uintptr_t *value)
{
    static const char digits[] = "0123456789abcdef";
    *value = 0;
    for (const char *digit; *c && (digit = strchr(digits, *c)); c++)
        *value = *value << 4 | (uintptr_t)(digit - digits);
    return c;
}

/* The path in a line of /proc/self/maps, "begin-end rights offset device inode   path", if that mapping holds the address; else NULL. */
static const char *path_of(const char *line, uintptr_t address)
{
    uintptr_t begin, end;
    const char *c = read_hex(line, &begin);
    if (*c != '-')
        return NULL;
    read_hex(c + 1, &end);
    return begin <= address && address < end ? strchr(line, '/') : NULL;
}

/* Fills line with that of the mapping that holds the address and returns the path in it; NULL if there is none. */
static const char *mapped_file(uintptr_t address, char *line, size_t size)
{
    char chunk[512];
    const char *path = NULL;
    size_t length = 0;
    ssize_t got = 0;
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (maps >= 0 && !path && (got = read(maps, chunk, sizeof chunk)) > 0)
        for (ssize_t i = 0; i < got && !path; i++) {
            if (chunk[i] != '\n') {
                if (length + 1 < size)
                    line[length++] = chunk[i];
                continue;
            }
            line[length] = 0;
            length = 0;
            path = path_of(line, address);
        }
    if (maps >= 0)
        close(maps);
    return path;
}

static void wait_for_the_end(int signal)
{
    (void)signal;
    for (;;)
        pause();
}

/* A bus error in a mapped file is the file's; any other is a bug, and the returning instruction dies of it as it would have without this handler. Several
 * threads may meet it at once: the first speaks, the others wait for the end. */
static void bus_error(int number, siginfo_t *about, void *context)
{
    (void)context;
    const struct sigaction others = { .sa_handler = wait_for_the_end }, none = { .sa_handler = SIG_DFL };
    struct sigaction before;
    char line[4352];
    const char *path = mapped_file((uintptr_t)about->si_addr, line, sizeof line);
    sigaction(number, path ? &others : &none, &before);
    if (!path)
        return;
    if (before.sa_handler == wait_for_the_end)
        wait_for_the_end(number);
    say("graft: error: ");
    say(path);
    say(": could not be read any more: it was cut short meanwhile, or its disk failed\n"
        "  cure: leave input files as they are while graft runs (replace one by renaming a new one over it), then run again\n");
    _exit(1);
}

void last_words_prepare(void)
{
    const struct sigaction bus = { .sa_sigaction = bus_error, .sa_flags = SA_SIGINFO };
    signal(SIGPIPE, SIG_IGN); /* a closed stdout is an error to report, not a silent end */
    signal(SIGXFSZ, SIG_IGN); /* and so is a limit on the size of files */
    sigaction(SIGBUS, &bus, NULL);
    set_cxx_handler();
    json_set_alloc_funcs(json_take, free);
    hash_memory(hash_take, hash_take_again, hash_give_back);
}
