/* A file in memory for readers that map their input: its path is /proc/self/fd/N. */
#ifndef GRAFT_TESTS_FUZZ_FUZZ_FILE_H
#define GRAFT_TESTS_FUZZ_FUZZ_FILE_H

#include "common/status.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Returns the descriptor (to be closed) and its path. */
static inline int fuzz_file(const uint8_t *bytes, size_t size, char path[64])
{
    int file = memfd_create("input", MFD_CLOEXEC);
    CHECK(file >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t written = write(file, bytes + done, size - done);
        CHECK(written > 0);
        done += (size_t)written;
    }
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

/* A failure names itself and its cure, and success reports none. */
static inline void fuzz_check(enum status status, const struct error *err)
{
    CHECK(status == err->code);
    CHECK((status == OK) == (err->what[0] == 0));
    CHECK((status == OK) == (err->cure[0] == 0));
}

#endif
