/* What fuzz targets share: files in memory for readers that map their input, inputs of several parts, and what must hold for every answer. */
#ifndef GRAFT_TESTS_FUZZ_FUZZ_FILE_H
#define GRAFT_TESTS_FUZZ_FUZZ_FILE_H

#include "common/status.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Inputs that the reader took so far. driver.c holds seeds to their names with it; each target counts where it means "accepted". */
extern int64_t fuzz_accepted;
int64_t fuzz_accepted;

/* The file's path is /proc/self/fd/N. Returns the descriptor (to be closed). */
static inline int fuzz_file(const void *bytes, size_t size, char path[64])
{
    int file = memfd_create("input", MFD_CLOEXEC);
    CHECK(file >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t written = write(file, (const char *)bytes + done, size - done);
        CHECK(written > 0);
        done += (size_t)written;
    }
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

/* One of the files (or texts) of an input; bytes NULL: the input ended before it. */
struct part {
    const char *bytes;
    size_t size;
};

/* Takes the next part off the front: all up to a line "====", or the rest. */
static inline struct part fuzz_next(struct part *rest)
{
    static const char line[] = "\n====\n";
    const size_t length = sizeof line - 1;
    const char *end = rest->bytes ? memmem(rest->bytes, rest->size, line, length) : NULL;
    const struct part all = *rest;
    *rest = (struct part){ 0 };
    if (!end)
        return all;
    const size_t size = (size_t)(end - all.bytes);
    *rest = (struct part){ end + length, all.size - size - length };
    return (struct part){ all.bytes, size };
}

/* A failure names itself and its cure, and success reports none. */
static inline void fuzz_check(enum status status, const struct error *err)
{
    CHECK(status == err->code);
    CHECK((status == OK) == (err->what[0] == 0));
    CHECK((status == OK) == (err->cure[0] == 0));
}

#endif
