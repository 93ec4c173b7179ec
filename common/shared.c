/* Memory behind a nameless file, found through /proc. */
#include "common/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status no_memory(const char *name, size_t size, struct error *err)
{
    return fail_with(err, NO_MEMORY, "%s: no memory for %zu bytes (%.1f GiB) that processes share: %s", "use a smaller model, or a machine with more memory",
                     name, size, (double)size / (1 << 30), strerror(errno));
}

enum status shared_create(struct shared *shared, const char *name, size_t size, struct error *err)
{
    /* asked for more than there is, the kernel would take all there is before it says so */
    const size_t there_is = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    *shared = (struct shared){ .file = -1 };
    errno = ENOMEM;
    if (size <= there_is)
        shared->file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (shared->file < 0)
        return no_memory(name, size, err);
    errno = posix_fallocate(shared->file, 0, (off_t)size);
    void *bytes = errno ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shared->file, 0);
    if (bytes == MAP_FAILED) {
        (void)no_memory(name, size, err);
        shared_hide(shared);
        return err->code;
    }
    (void)madvise(bytes, size, MADV_HUGEPAGE); /* where the system has them for such memory */
    shared->bytes = bytes;
    shared->size = size;
    return OK;
}

enum status shared_finish(struct shared *shared, struct error *err)
{
    if (mprotect(shared->bytes, shared->size, PROT_READ) == 0 && fcntl(shared->file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return OK;
    return fail_with(err, LIBRARY, "memory that processes share could not be sealed: %s", "start one process", strerror(errno));
}

enum status shared_attach(struct shared *shared, int64_t process, int file, size_t size, struct error *err)
{
    char path[64];
    struct stat is = { 0 };
    *shared = (struct shared){ .file = -1 };
    snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%d", process, file);
    const int opened = open(path, O_RDONLY | O_CLOEXEC);
    const bool fits = opened >= 0 && fstat(opened, &is) == 0 && (uint64_t)is.st_size == size && (fcntl(opened, F_GET_SEALS) & F_SEAL_SHRINK);
    void *bytes = fits ? mmap(NULL, size, PROT_READ, MAP_SHARED, opened, 0) : MAP_FAILED;
    const int why = opened >= 0 && !fits ? EINVAL : errno;
    if (opened >= 0)
        close(opened);
    if (bytes == MAP_FAILED)
        return fail_with(err, LIBRARY, "%s: memory that processes share cannot be used: %s", "run both as the same user", path, strerror(why));
    shared->bytes = bytes;
    shared->size = size;
    return OK;
}

void shared_hide(struct shared *shared)
{
    if (shared->file >= 0)
        close(shared->file);
    shared->file = -1;
}

void shared_release(struct shared *shared)
{
    if (!shared->bytes)
        return;
    munmap(shared->bytes, shared->size);
    shared_hide(shared);
    shared->bytes = NULL;
}
