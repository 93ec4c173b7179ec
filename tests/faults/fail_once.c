/* A library to preload into graft: it counts the calls that can fail from main() on, and makes one of them fail.
 *
 *     FAIL=memory:17      the 17th allocation finds no memory; every other call works
 *     FAIL=writing:3      the third call that makes, fills, closes or names a file fails
 *     FAIL=writing:3+     and every such call behind it, as on a disk that is full
 *     FAIL=reading:2      the second open, read, mapping or closing of an existing file fails
 *     FAIL=removing:1     the first removal fails
 *     FAIL=... INTERRUPT=1  instead of failing the process gets two SIGINTs at that call, as from a user who presses twice
 *     FAIL=... STOP=1       the process stops there, as by kill -STOP: whoever watches kills it, or lets it go on, and then the call works
 *     CALLS=FILE          appends a line "kind number function library stack file" for each counted call: who called, and a hash of the callers
 *     FOLDER=PATH         nothing counts but the calls that make, fill, close or name files below this folder, which the lines then name
 *
 * Calls that libc makes inside itself (stdio writing its buffer, pthread mapping a stack) do not come by here: they have tests of their own.
 * What the calls of a kind have in common is how they fail; which call it is, is for the sweep to choose.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { MEMORY, WRITING, READING, REMOVING, KINDS };

static const char *const kind_name[KINDS] = { "memory", "writing", "reading", "removing" };

static struct {
    bool armed; /* main() runs */
    enum kind kind;
    long number; /* 0: nothing fails */
    bool onward, interrupting, stopping;
    const char *folder; /* NULL: everything counts */
    int calls;
    atomic_long count[KINDS];
} plan = { .calls = -1 };

static _Thread_local bool inside; /* backtrace() allocates on its first call */

static uint64_t stack_hash(void)
{
    enum { DEPTH = 10, OWN = 3 };
    void *frame[DEPTH];
    uint64_t hash = 14695981039346656037u;
    int depth = backtrace(frame, DEPTH);
    for (int i = OWN; i < depth; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)frame[i]) * 1099511628211u;
    return hash;
}

/* Who called: the library of the innermost caller that is not libc, which allocates on behalf of others (strdup). */
static const char *library_of(const void *caller)
{
    enum { DEPTH = 12 };
    void *frame[DEPTH];
    Dl_info about = { 0 };
    dladdr(caller, &about);
    int depth = backtrace(frame, DEPTH), i = 0;
    while (i < depth && frame[i] != caller)
        i++;
    while (i < depth && about.dli_fname && strstr(about.dli_fname, "/libc.so") && dladdr(frame[i], &about))
        i++;
    return about.dli_fname ? about.dli_fname : "?";
}

/* What an open file is called, where that is asked for. */
static const char *name_of(int file)
{
    static _Thread_local char name[PATH_MAX];
    char link[32];
    if (!plan.folder)
        return "-";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t length = readlink(link, name, sizeof name - 1);
    name[length > 0 ? length : 0] = '\0';
    return name;
}

/* Names that do not begin at the root begin in the folder, where graft is started. */
static bool counts(enum kind kind, const char *name)
{
    return !plan.folder || (kind == WRITING && (*name != '/' || strncmp(name, plan.folder, strlen(plan.folder)) == 0));
}

/* Counts one call; whether it is the one to fail. */
static bool fails(enum kind kind, const char *name, const char *function, const void *caller)
{
    if (!plan.armed || inside)
        return false;
    int kept = errno;
    if (!counts(kind, name))
        return false;
    long number = atomic_fetch_add(&plan.count[kind], 1) + 1;
    if (plan.calls >= 0) {
        char line[512 + PATH_MAX];
        inside = true;
        int length = snprintf(line, sizeof line, "%s %ld %s %s %016llx %s\n", kind_name[kind], number, function, library_of(caller),
                              (unsigned long long)stack_hash(), name);
        syscall(SYS_write, plan.calls, line, (size_t)length);
        inside = false;
    }
    bool chosen = plan.number > 0 && kind == plan.kind && (plan.onward ? number >= plan.number : number == plan.number);
    if (chosen && plan.stopping)
        kill(getpid(), SIGSTOP);
    for (int i = 0; i < 2 && chosen && plan.interrupting; i++)
        kill(getpid(), SIGINT);
    errno = kept;
    return chosen && !plan.interrupting && !plan.stopping;
}

static void read_plan(void)
{
    const char *fail = getenv("FAIL"), *calls = getenv("CALLS");
    for (int kind = 0; fail && kind < KINDS; kind++) {
        size_t length = strlen(kind_name[kind]);
        if (strncmp(fail, kind_name[kind], length) != 0 || fail[length] != ':')
            continue;
        char *end;
        plan.kind = (enum kind)kind;
        plan.number = strtol(fail + length + 1, &end, 10);
        plan.onward = *end == '+';
    }
    plan.interrupting = getenv("INTERRUPT") != NULL;
    plan.stopping = getenv("STOP") != NULL;
    plan.folder = getenv("FOLDER");
    if (calls)
        plan.calls = (int)syscall(SYS_openat, AT_FDCWD, calls, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (calls && plan.calls <= STDERR_FILENO)
        plan.calls = (int)syscall(SYS_fcntl, plan.calls, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

#define NEXT(name) ((__typeof__(&name))next(#name))
static void *next(const char *name)
{
    bool was = inside;
    inside = true;
    void *function = dlsym(RTLD_NEXT, name);
    inside = was;
    if (!function)
        _exit(99);
    return function;
}

/* Resolved once: these are called thousands of times. */
#define OWN(name)                                                                                                                                              \
    static __typeof__(&name) own_##name;                                                                                                                       \
    if (!own_##name)                                                                                                                                           \
        own_##name = NEXT(name);

#define FAIL_WITH(kind, name, code, result)                                                                                                                    \
    if (fails(kind, name, __func__, __builtin_return_address(0))) {                                                                                            \
        errno = code;                                                                                                                                          \
        return result;                                                                                                                                         \
    }

typedef int main_function(int, char **, char **);
static main_function *real_main;

static int armed_main(int argc, char **argv, char **environment)
{
    read_plan();
    plan.armed = true;
    int code = real_main(argc, argv, environment);
    plan.armed = false;
    return code;
}

int __libc_start_main(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    real_main = main;
    return NEXT(__libc_start_main)(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}

void *malloc(size_t size)
{
    OWN(malloc)
    FAIL_WITH(MEMORY, "-", ENOMEM, NULL)
    return own_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    OWN(calloc)
    FAIL_WITH(MEMORY, "-", ENOMEM, NULL)
    return own_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    OWN(realloc)
    if (size > 0) /* a realloc to nothing frees */
        FAIL_WITH(MEMORY, "-", ENOMEM, NULL)
    return own_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    OWN(aligned_alloc)
    FAIL_WITH(MEMORY, "-", ENOMEM, NULL)
    return own_aligned_alloc(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    OWN(memalign)
    FAIL_WITH(MEMORY, "-", ENOMEM, NULL)
    return own_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    OWN(posix_memalign)
    return fails(MEMORY, "-", __func__, __builtin_return_address(0)) ? ENOMEM : own_posix_memalign(memory, alignment, size);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    OWN(mmap)
    FAIL_WITH(flags & MAP_ANONYMOUS ? MEMORY : READING, "-", ENOMEM, MAP_FAILED)
    return own_mmap(address, size, protection, flags, file, offset);
}

static bool changes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
}

int open(const char *path, int flags, ...)
{
    OWN(open)
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    FAIL_WITH(changes(flags) ? WRITING : READING, path, changes(flags) ? ENOSPC : EIO, -1)
    return own_open(path, flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    OWN(fopen)
    FAIL_WITH(*mode == 'r' ? READING : WRITING, path, EIO, NULL)
    return own_fopen(path, mode);
}

ssize_t read(int file, void *bytes, size_t size)
{
    OWN(read)
    FAIL_WITH(READING, "-", EIO, -1)
    return own_read(file, bytes, size);
}

int fstat(int file, struct stat *about)
{
    OWN(fstat)
    FAIL_WITH(READING, "-", EIO, -1)
    return own_fstat(file, about);
}

ssize_t write(int file, const void *bytes, size_t size)
{
    OWN(write)
    FAIL_WITH(WRITING, name_of(file), ENOSPC, -1)
    return own_write(file, bytes, size);
}

int fsync(int file)
{
    OWN(fsync)
    FAIL_WITH(WRITING, name_of(file), EIO, -1)
    return own_fsync(file);
}

int ftruncate(int file, off_t size)
{
    OWN(ftruncate)
    FAIL_WITH(WRITING, name_of(file), ENOSPC, -1)
    return own_ftruncate(file, size);
}

int rename(const char *from, const char *to)
{
    OWN(rename)
    FAIL_WITH(WRITING, to, EIO, -1)
    return own_rename(from, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    OWN(renameat2)
    FAIL_WITH(WRITING, to, EIO, -1)
    return own_renameat2(from_folder, from, to_folder, to, flags);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    OWN(linkat)
    FAIL_WITH(WRITING, to, ENOSPC, -1)
    return own_linkat(from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to)
{
    OWN(link)
    FAIL_WITH(WRITING, to, ENOSPC, -1)
    return own_link(from, to);
}

int unlink(const char *path)
{
    OWN(unlink)
    FAIL_WITH(REMOVING, "-", EIO, -1)
    return own_unlink(path);
}

int rmdir(const char *path)
{
    OWN(rmdir)
    FAIL_WITH(REMOVING, "-", EIO, -1)
    return own_rmdir(path);
}

int mkdir(const char *path, mode_t mode)
{
    OWN(mkdir)
    FAIL_WITH(WRITING, path, ENOSPC, -1)
    return own_mkdir(path, mode);
}

/* The descriptor is gone even when close() reports a failure. */
int close(int file)
{
    OWN(close)
    bool failing = fails(fcntl(file, F_GETFL) & O_ACCMODE ? WRITING : READING, name_of(file), __func__, __builtin_return_address(0));
    int closed = own_close(file);
    if (failing)
        errno = EIO;
    return failing ? -1 : closed;
}
