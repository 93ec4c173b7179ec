/* Files written whole or not at all: a file without a name, fsync, the name, fsync of the folder.
 *
 * A name cannot be given over another file's, so replacing takes two steps: a name beside the target, then a rename. Writing keeps its first failure for the
 * end, so code that prints reads like printing. Pipes and devices (stdout, /dev/null) cannot be replaced by a rename: they are streams, written as the buffer
 * fills.
 */
#include "common/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 64 << 10, LARGEST_WRITE = 1 << 30, ATTEMPTS = 100 };

static const char free_space[] = "free some space or choose another folder, then run again";

/* The folder of a path, in `folder`, which has room for the path. */
static const char *folder_of(char *folder, const char *path)
{
    strcpy(folder, path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        return ".";
    slash[slash == folder] = 0;
    return folder;
}

static enum status cannot_write(struct error *err, const char *path, const char *doing)
{
    const char *cure = errno == EACCES || errno == EPERM || errno == EROFS ? "choose a folder that this user may write to"
                       : errno == EPIPE || errno == EBADF                  ? "the reader of the output went away: keep it open or write to a file"
                       : errno == ENOENT                                   ? "make the folder first"
                                                                           : free_space;
    return fail_with(err, DISK, "%s: %s: %s", cure, path, doing, strerror(errno));
}

/* The name under which the kernel knows an open file that has no other. */
struct link_name {
    char path[32];
};

static struct link_name link_name(int file)
{
    struct link_name name;
    snprintf(name.path, sizeof name.path, "/proc/self/fd/%d", file);
    return name;
}

/* Opens a file that vanishes with the process; false where there is no such thing, or no way to name it later. */
static bool open_nameless(struct output *out)
{
    char folder[sizeof out->path];
    out->file = file_open(folder_of(folder, out->path), O_WRONLY | O_TMPFILE);
    if (out->file < 0)
        return false;
    out->is_nameless = access(link_name(out->file).path, F_OK) == 0;
    if (!out->is_nameless)
        close(out->file);
    return out->is_nameless;
}

/* Calls `make` with names beside the target until one is free; it returns a descriptor, or 0 or more for done. */
static enum status name_beside(struct output *out, int (*make)(const struct output *out), int *made)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        snprintf(out->beside, sizeof out->beside, "%s.%ld-%d.partial", out->path, (long)getpid(), attempt);
        *made = make(out);
        if (*made >= 0)
            return OK;
        if (errno != EEXIST)
            break;
    }
    out->beside[0] = 0;
    return cannot_write(out->err, out->path, "cannot write beside it");
}

static int make_file(const struct output *out)
{
    return file_open(out->beside, O_WRONLY | O_CREAT | O_EXCL);
}

static int make_link(const struct output *out)
{
    return linkat(AT_FDCWD, link_name(out->file).path, AT_FDCWD, out->beside, AT_SYMLINK_FOLLOW);
}

static enum status open_file(struct output *out)
{
    return open_nameless(out) ? OK : name_beside(out, make_file, &out->file);
}

static enum status open_stream(struct output *out, int file)
{
    out->is_stream = true;
    out->file = file;
    return file < 0 ? cannot_write(out->err, out->path, "cannot open") : OK;
}

/* Decides what the target is: new, a file to replace (behind links), or a stream. */
static enum status open_target(struct output *out, const char *path)
{
    struct stat about;
    if (strlen(path) >= sizeof out->path)
        return fail_with(out->err, DISK, "a path of %zu bytes: %.100s...", "use a path shorter than 1024 bytes", strlen(path), path);
    memcpy(out->path, path, strlen(path) + 1);
    if (stat(path, &about) == 0) {
        if (S_ISDIR(about.st_mode))
            return fail_with(out->err, EXISTS, "%s: is a folder, not a file", "name a file inside it", path);
        if (!S_ISREG(about.st_mode))
            return open_stream(out, file_open(path, O_WRONLY));
        if (!out->overwrite)
            return fail_with(out->err, EXISTS, "%s: already exists", "choose another name or give --force", path);
        char *target = realpath(path, NULL);
        if (target && strlen(target) < sizeof out->path)
            memcpy(out->path, target, strlen(target) + 1);
        free(target);
    }
    return open_file(out);
}

enum status output_open(struct output *out, struct arena *arena, const char *path, bool overwrite, struct error *err)
{
    *out = (struct output){ .err = err, .overwrite = overwrite, .file = -1 };
    if (!path || strcmp(path, "-") == 0) {
        snprintf(out->path, sizeof out->path, "standard output");
        TRY(open_stream(out, STDOUT_FILENO));
    } else {
        TRY(open_target(out, path));
    }
    out->buffer = arena_alloc(arena, BUFFER);
    return OK;
}

static void write_all(struct output *out, const char *bytes, size_t size)
{
    while (size > 0 && out->status == OK) {
        ssize_t written = write(out->file, bytes, size < LARGEST_WRITE ? size : LARGEST_WRITE);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            out->status = cannot_write(out->err, out->path, "writing failed");
            return;
        }
        bytes += written;
        size -= (size_t)written;
    }
}

static void flush(struct output *out)
{
    write_all(out, out->buffer, out->buffered);
    out->buffered = 0;
}

void output_write(struct output *out, const void *bytes, size_t size)
{
    CHECK(out->buffer);
    if (size > BUFFER - out->buffered)
        flush(out);
    if (size > BUFFER) {
        write_all(out, bytes, size);
    } else if (size > 0) {
        memcpy(out->buffer + out->buffered, bytes, size);
        out->buffered += size;
    }
}

void output_string(struct output *out, const char *text)
{
    output_write(out, text, strlen(text));
}

void output_print(struct output *out, const char *format, ...)
{
    char small[1024];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    if ((size_t)length < sizeof small) {
        output_write(out, small, (size_t)length);
    } else {
        char *large = malloc((size_t)length + 1);
        if (large) {
            vsnprintf(large, (size_t)length + 1, format, again);
            output_write(out, large, (size_t)length);
        } else if (out->status == OK) {
            out->status = fail_with(out->err, NO_MEMORY, "%s: no memory for a line of %d bytes", "free some memory", out->path, length);
        }
        free(large);
    }
    va_end(again);
}

enum status output_flush(struct output *out)
{
    CHECK(out->buffer);
    flush(out);
    return out->status;
}

static enum status close_file(struct output *out)
{
    int file = out->file;
    out->file = -1;
    out->buffer = NULL;
    if (file >= 0 && file != STDOUT_FILENO && close(file) != 0)
        return cannot_write(out->err, out->path, "closing failed");
    return OK;
}

/* Some file systems cannot fsync; that is their property, not a failure of this file. */
static bool synced(int file)
{
    return fsync(file) == 0 || errno == EINVAL || errno == ENOTSUP;
}

static enum status taken_meanwhile(struct output *out)
{
    return fail_with(out->err, EXISTS, "%s: was made by someone else meanwhile", "choose another name or give --force", out->path);
}

static enum status rename_into_place(struct output *out)
{
    if (out->overwrite)
        return rename(out->beside, out->path) == 0 ? OK : cannot_write(out->err, out->path, "cannot put the file in place");
    if (renameat2(AT_FDCWD, out->beside, AT_FDCWD, out->path, RENAME_NOREPLACE) == 0)
        return OK;
    if (errno == EEXIST)
        return taken_meanwhile(out);
    if (errno != EINVAL && errno != ENOSYS)
        return cannot_write(out->err, out->path, "cannot put the file in place");
    /* link() refuses to replace as well, on file systems that know no RENAME_NOREPLACE. */
    if (link(out->beside, out->path) == 0)
        return unlink(out->beside) == 0 ? OK : cannot_write(out->err, out->beside, "cannot remove");
    return rename(out->beside, out->path) == 0 ? OK : cannot_write(out->err, out->path, "cannot put the file in place");
}

/* Gives the finished file a name: its own if that must be free, else one beside it. */
static enum status give_name(struct output *out)
{
    int made;
    if (out->overwrite)
        return name_beside(out, make_link, &made);
    if (linkat(AT_FDCWD, link_name(out->file).path, AT_FDCWD, out->path, AT_SYMLINK_FOLLOW) == 0)
        return OK;
    return errno == EEXIST ? taken_meanwhile(out) : cannot_write(out->err, out->path, "cannot put the file in place");
}

/* A rename is durable only after its folder is. */
static enum status sync_folder(struct output *out)
{
    char folder[sizeof out->path];
    int file = file_open(folder_of(folder, out->path), O_RDONLY | O_DIRECTORY);
    if (file < 0)
        return errno == EACCES ? OK : cannot_write(out->err, out->path, "cannot open its folder"); /* may be written, not read */
    enum status status = synced(file) ? OK : cannot_write(out->err, out->path, "cannot sync its folder");
    close(file);
    return status;
}

/* Everything but the name: the bytes are on the disk and the file is closed. */
static enum status finish(struct output *out)
{
    CHECK(out->buffer);
    flush(out);
    enum status status = out->status;
    if (status == OK && !out->is_stream && !synced(out->file))
        status = cannot_write(out->err, out->path, "fsync failed");
    if (status == OK && out->is_nameless)
        status = give_name(out);
    enum status closed = close_file(out);
    return status == OK ? closed : status;
}

enum status output_commit(struct output *out)
{
    enum status status = finish(out);
    if (out->is_stream)
        return out->status = status;
    if (status == OK && out->beside[0])
        status = rename_into_place(out);
    if (status == OK)
        out->beside[0] = 0;
    else
        output_discard(out);
    if (status == OK)
        status = sync_folder(out);
    return out->status = status;
}

/* Swaps the new file with the one that is there, so that the step can be taken back; where none is, or none can be swapped, a rename has to do. */
static enum status swap_into_place(struct output *out)
{
    if (renameat2(AT_FDCWD, out->beside, AT_FDCWD, out->path, RENAME_EXCHANGE) == 0)
        return OK;
    if (errno != ENOENT && errno != EINVAL && errno != ENOSYS)
        return cannot_write(out->err, out->path, "cannot put the file in place");
    out->is_first = errno == ENOENT;
    TRY(rename_into_place(out));
    out->beside[0] = 0;
    return OK;
}

/* Removes what a file just put in place has replaced. */
static enum status drop_replaced(struct output *out)
{
    if (out->beside[0] && unlink(out->beside) != 0)
        return cannot_write(out->err, out->beside, "the new files are in place, but this old one could not be removed");
    out->beside[0] = 0;
    return OK;
}

/* Where not even that works, what was replaced stays beside the new file, and the failure's cure says so. */
static void take_back(struct output *out)
{
    if (!out->beside[0] && out->is_first)
        unlink(out->path);
    if (!out->beside[0] || renameat2(AT_FDCWD, out->beside, AT_FDCWD, out->path, RENAME_EXCHANGE) == 0)
        return;
    char folder[sizeof out->path];
    cure_with(out->err,
              "some files of %s are new already and do not belong to the others: when the disk works again, rename each *.partial there back to what its name "
              "begins with",
              folder_of(folder, out->path));
    out->beside[0] = 0;
}

enum status output_commit_all(struct output *out, int count)
{
    enum status status = OK;
    int placed = 0;
    for (int i = 0; i < count && status == OK; i++) {
        CHECK(out[i].overwrite && !out[i].is_stream);
        status = finish(&out[i]);
    }
    while (status == OK && placed < count && (status = swap_into_place(&out[placed])) == OK)
        placed++;
    while (status != OK && placed > 0)
        take_back(&out[--placed]);
    for (int i = 0; i < count && status == OK; i++)
        status = sync_folder(&out[i]);
    for (int i = 0; i < count && placed == count; i++) {
        enum status dropped = drop_replaced(&out[i]);
        status = status == OK ? dropped : status;
    }
    for (int i = 0; i < count; i++)
        output_discard(&out[i]);
    return status;
}

void output_discard(struct output *out)
{
    struct error ignored = { 0 };
    out->err = &ignored;
    if (out->buffer)
        (void)!close_file(out);
    if (out->beside[0])
        unlink(out->beside);
    out->beside[0] = 0;
    out->err = NULL;
}

enum status file_append(const char *path, const char *bytes, size_t size, struct error *err)
{
    int file = file_open(path, O_WRONLY | O_APPEND | O_CREAT);
    if (file < 0)
        return cannot_write(err, path, "cannot open for appending");
    enum status status = OK;
    ssize_t written;
    do
        written = write(file, bytes, size);
    while (written < 0 && errno == EINTR);
    if (written < 0)
        status = cannot_write(err, path, "writing failed");
    else if ((size_t)written != size)
        status = fail_with(err, DISK, "%s: only %zd of %zu bytes were written", free_space, path, written, size);
    if (close(file) != 0 && status == OK)
        status = cannot_write(err, path, "closing failed");
    return status;
}

enum status file_sync(const char *path, int64_t *size, struct error *err)
{
    struct stat about;
    *size = 0;
    int file = file_open(path, O_RDONLY);
    if (file < 0)
        return errno == ENOENT ? OK : cannot_write(err, path, "cannot open");
    enum status status = fstat(file, &about) == 0 && synced(file) ? OK : cannot_write(err, path, "fsync failed");
    close(file);
    if (status == OK)
        *size = about.st_size;
    return status;
}

enum status file_cut(const char *path, int64_t size, struct error *err)
{
    return truncate(path, size) == 0 ? OK : cannot_write(err, path, "cannot be cut");
}

enum status file_remove(const char *path, struct error *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return fail_with(err, DISK, "%s: could not be removed: %s", "check the folder's permissions", path, strerror(errno));
    return OK;
}
