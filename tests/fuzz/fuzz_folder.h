/* A folder for readers that want one: made once, its files replaced for every input, removed when the process ends. */
#ifndef GRAFT_TESTS_FUZZ_FUZZ_FOLDER_H
#define GRAFT_TESTS_FUZZ_FUZZ_FOLDER_H

#include "tests/fuzz/fuzz_file.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>

static char fuzz_folder_path[512];

static inline int fuzz_remove_entry(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

static inline void fuzz_folder_remove(void)
{
    nftw(fuzz_folder_path, fuzz_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *fuzz_folder(void)
{
    const char *parent = getenv("TMPDIR");
    if (fuzz_folder_path[0])
        return fuzz_folder_path;
    snprintf(fuzz_folder_path, sizeof fuzz_folder_path, "%s/graft-fuzz-XXXXXX", parent ? parent : "/tmp");
    CHECK(mkdtemp(fuzz_folder_path));
    CHECK(atexit(fuzz_folder_remove) == 0);
    return fuzz_folder_path;
}

/* A file of that name in the folder; none if the part is missing or empty. */
static inline void fuzz_put(const char *name, struct part part)
{
    char path[640];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    if (part.size == 0) {
        unlink(path);
        return;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(file >= 0 && write(file, part.bytes, part.size) == (ssize_t)part.size);
    close(file);
}

/* A safetensors file from "BYTES {header}": the header's length in front and as many zero bytes behind (at most 65536). */
static inline void fuzz_put_safetensors(const char *name, struct part part)
{
    size_t data = 0, at = 0;
    if (part.size == 0) {
        fuzz_put(name, part);
        return;
    }
    for (; at < part.size && part.bytes[at] >= '0' && part.bytes[at] <= '9'; at++)
        data = 10 * data + (size_t)(part.bytes[at] - '0') > 1 << 16 ? 1 << 16 : 10 * data + (size_t)(part.bytes[at] - '0');
    at += at < part.size && part.bytes[at] == ' ';
    const size_t header = part.size - at;
    char *framed = calloc(1, 8 + header + data);
    CHECK(framed);
    for (int i = 0; i < 8; i++)
        framed[i] = (char)(uint8_t)((uint64_t)header >> 8 * i);
    memcpy(framed + 8, part.bytes + at, header);
    fuzz_put(name, (struct part){ framed, 8 + header + data });
    free(framed);
}

#endif
