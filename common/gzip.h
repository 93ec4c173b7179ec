/* A file that gzip packed, unpacked into memory. The only thing that knows zlib is gzip.c. */
#ifndef GRAFT_COMMON_GZIP_H
#define GRAFT_COMMON_GZIP_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct unpacked {
    char *bytes; /* NULL: nothing was unpacked */
    size_t size;
};
/* All members of a gzip file, one behind the other. BAD_FILE naming `where`: cut short, damaged, followed by something else, or more than 4 GiB unpacked;
 * NO_MEMORY. Release whatever the outcome. */
enum status gzip_unpack(struct unpacked *unpacked, const uint8_t *bytes, size_t size, const char *where, struct error *err) MUST_USE;
void gzip_release(struct unpacked *unpacked); /* safe on a zeroed or released one */

#endif
