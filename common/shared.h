/* Memory that processes of one host have together. It has no name: it goes with the last process that has it, by whatever cause that ends. */
#ifndef GRAFT_COMMON_SHARED_H
#define GRAFT_COMMON_SHARED_H

#include "common/status.h"

#include <stdint.h>

struct shared {
    void *bytes; /* NULL: none */
    size_t size;
    int file; /* by which others of this host find it; -1: nobody finds it any more */
};

/* Memory to be filled: all of it is there, or this fails. Errors: NO_MEMORY. */
enum status shared_create(struct shared *shared, const char *name, size_t size, struct error *err) MUST_USE;
/* It has been filled: from now on it keeps its size, and is not written to here. Errors: LIBRARY. */
enum status shared_finish(struct shared *shared, struct error *err) MUST_USE;
/* That of another process of this host, by its file there, to be read. Errors: LIBRARY, also where the system does not let this process look into that one, and
 * where the memory is not of that size. */
enum status shared_attach(struct shared *shared, int64_t process, int file, size_t size, struct error *err) MUST_USE;
/* Others find it no more; those who have it keep it. */
void shared_hide(struct shared *shared);
void shared_release(struct shared *shared); /* safe on a zeroed one */

#endif
