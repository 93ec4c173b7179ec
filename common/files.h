/* Files: mapped for reading, written whole or not at all, hashed.
 *
 * Everything written goes through struct output: bytes go to a file that has no name yet, in the target's folder; output_commit() flushes,
 * fsyncs and gives it the name; output_discard() (also after any failure) lets go of it. Whoever opened one must end it in one of the two ways;
 * when the process ends in between, by whatever cause, the file is gone with it. On file systems without nameless files (NFS, for one) it is
 * called NAME.PROCESS-N.partial meanwhile, and a process that is killed leaves that.
 */
#ifndef GRAFT_COMMON_FILES_H
#define GRAFT_COMMON_FILES_H

#include "common/arena.h"
#include "common/status.h"

#include <stdint.h>

struct map {
    const uint8_t *bytes; /* NULL when size is 0 */
    size_t size;
    char path[1024];
};
/* Maps a regular file read-only. Errors: BAD_FILE (missing, a folder, unreadable), with the path. */
enum status map_open(struct map *map, const char *path, struct error *err) MUST_USE;
/* Address space for so many bytes of a file that is not there, named for messages. Nothing of it can be read. Errors: NO_MEMORY. */
enum status map_reserve(struct map *map, const char *path, size_t size, struct error *err) MUST_USE;
void map_close(struct map *map); /* safe on a zeroed or closed map */
/* Bytes of a mapping that will not be read soon leave this process's memory (they stay in the system's cache, and reading brings them back). */
void map_forget(const void *bytes, size_t size);

/* The whole file as NUL-terminated bytes in the arena; files over `limit` bytes are BAD_FILE. */
enum status file_read(struct arena *arena, const char *path, size_t limit, char **bytes, size_t *size, struct error *err) MUST_USE;
/* open(2) with O_CLOEXEC and mode 0666 less the umask, never giving descriptors 0 to 2; -1 and errno on failure. */
int file_open(const char *path, int flags);
bool file_exists(const char *path); /* anything but a folder */
bool folder_exists(const char *path);
/* Makes a folder and its parents; fine if it exists. Errors: DISK. */
enum status folder_make(const char *path, struct error *err) MUST_USE;
/* "folder/name" in the arena; `name` alone if folder is empty or name is absolute. */
char *path_join(struct arena *arena, const char *folder, const char *name);
/* The folder of a path ("." if it has none). */
char *path_folder(struct arena *arena, const char *path);

/* Where libcrypto takes its memory from: functions that never return NULL, for it would crash. Before the first hash, or it has no effect. */
typedef void *hash_take_memory(size_t bytes, const char *file, int line);
typedef void *hash_take_memory_again(void *old, size_t bytes, const char *file, int line);
typedef void hash_give_memory_back(void *memory, const char *file, int line);
void hash_memory(hash_take_memory *take, hash_take_memory_again *again, hash_give_memory_back *give_back);
/* SHA-256 of bytes or of a file, as 64 hex digits and a NUL. */
void hash_bytes(const void *bytes, size_t size, char hex[65]);
/* The same of bytes of a mapping, piece by piece: no more than a piece of them is resident on account of it, and none afterwards. */
void hash_mapped(const void *bytes, size_t size, char hex[65]);
enum status hash_file(const char *path, char hex[65], struct error *err) MUST_USE;

struct output {
    int file;
    bool is_stream; /* stdout, a pipe or a device: written as the buffer fills */
    bool overwrite;
    bool is_nameless; /* has no name yet */
    bool is_first;    /* no file of its name was there before */
    size_t buffered;
    char path[1024], beside[1100];
    struct error *err; /* the first failure of writing; reported by output_commit */
    enum status status;
    char *buffer;
};
/* Begins a file. path NULL or "-" means stdout; pipes and devices are streams too. EXISTS if it exists and overwrite is false.
 * *err must live as long as *out. Writing to a pipe without reader is DISK only while the process ignores SIGPIPE. */
enum status output_open(struct output *out, struct arena *arena, const char *path, bool overwrite, struct error *err) MUST_USE;
/* Writing never fails in the middle: the first failure is kept and output_commit() reports it. */
void output_write(struct output *out, const void *bytes, size_t size);
void output_string(struct output *out, const char *text);
void output_print(struct output *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum status output_flush(struct output *out) MUST_USE;  /* pushes buffered bytes to the file (or stdout) */
enum status output_commit(struct output *out) MUST_USE; /* flush, fsync, name (or flush of stdout) */
/* Commits files that belong together, all begun with overwrite: each is on the disk before the first gets its name, and if one cannot get its name the others
 * are again what they were. Closes all, whatever the outcome. */
enum status output_commit_all(struct output *out, int count) MUST_USE;
void output_discard(struct output *out); /* safe after commit and on a zeroed struct */

/* Appends one line to a log file that other programs may follow (metrics.jsonl): a single write(2). Errors: DISK. */
enum status file_append(const char *path, const char *bytes, size_t size, struct error *err) MUST_USE;
/* Brings a log file to the disk. *size: the bytes it has; 0 if it does not exist. Errors: DISK. */
enum status file_sync(const char *path, int64_t *size, struct error *err) MUST_USE;
/* Cuts a log file back to so many bytes. Errors: DISK. */
enum status file_cut(const char *path, int64_t size, struct error *err) MUST_USE;
/* Removes a file; fine if it does not exist. Errors: DISK. */
enum status file_remove(const char *path, struct error *err) MUST_USE;

#endif
