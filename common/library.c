/* Shared libraries: the places where they are looked for are rows. */
#include "common/library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Patterns behind a folder of PATH. */
static const char *const beside_programs[] = { "../lib64", "../lib", "../lib/python3*/site-packages/nvidia/*/lib",
                                               "../lib/python3*/dist-packages/nvidia/*/lib" };
static const char usual[] = "/usr/local/cuda/bin";

static void *try_to_open(const char *path, char why[256])
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *said = dlerror();
        snprintf(why, 256, "%.255s", said ? said : "it cannot be opened");
    }
    return library;
}

/* folder[0..length) is taken as it is, also where it has characters that mean something in a pattern. */
static void *open_beside(const char *folder, size_t length, const char *file, char why[256])
{
    char pattern[4096], *end = pattern;
    if (length == 0 || length > sizeof pattern / 4)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (strchr("*?[\\", folder[i]))
            *end++ = '\\';
        *end++ = folder[i];
    }
    const size_t room = sizeof pattern - (size_t)(end - pattern);
    void *library = NULL;
    for (size_t i = 0; i < sizeof beside_programs / sizeof *beside_programs && !library; i++) {
        glob_t found;
        const int written = snprintf(end, room, "/%s/%s", beside_programs[i], file);
        if (written < 0 || (size_t)written >= room)
            continue;
        if (glob(pattern, 0, NULL, &found) == 0)
            for (size_t j = 0; j < found.gl_pathc && !library; j++)
                library = try_to_open(found.gl_pathv[j], why);
        globfree(&found);
    }
    return library;
}

void *library_open(const char *file, char why[256])
{
    void *library = try_to_open(file, why);
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at && !library;) {
        const size_t length = strcspn(at, ":");
        library = open_beside(at, length, file, why);
        at += length + (at[length] == ':');
    }
    return library ? library : open_beside(usual, sizeof usual - 1, file, why);
}

void *library_function(void *library, const char *name)
{
    return dlsym(library, name);
}

void library_path(const void *function, char *path, size_t size)
{
    Dl_info about;
    snprintf(path, size, "%s", dladdr(function, &about) && about.dli_fname ? about.dli_fname : "");
}
