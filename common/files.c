/* Files: reading (mapped or whole), folders, paths, hashes. Writing whole files is in output.c. */
#include "common/files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPE_CHUNK = 64 << 10, MAP_CHUNK = 1 << 20, SHA256_BYTES = 32 };

int file_open(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0666);
    if (file < 0 || file > STDERR_FILENO)
        return file;
    /* With stdout closed the next file would become stdout, and results would be written into it. */
    int above = fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), kept = errno;
    close(file);
    errno = kept;
    return above;
}

static enum status cannot_read(const char *path, struct error *err)
{
    /* What no other path or permission would cure is the machine's doing, not the user's. */
    static const struct {
        int reason;
        enum status code;
        const char *cure;
    } rows[] = {
        { ENOENT, BAD_FILE, "check the path; a relative path in a YAML file starts at that file's folder" },
        { EACCES, BAD_FILE, "make the file readable for this user" },
        { EIO, DISK, "check the disk or the network that the file is on, then run again" },
        { ENOMEM, NO_MEMORY, "free some memory, then run again" },
        { EMFILE, DISK, "allow more open files (ulimit -n)" },
        { ENFILE, DISK, "close other programs: the system has no file handle left" },
    };
    const int reason = errno;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].reason == reason)
            return fail_with(err, rows[i].code, "%s: %s", rows[i].cure, path, strerror(reason));
    return fail_with(err, BAD_FILE, "%s: %s", "check the path and the file system", path, strerror(reason));
}

static enum status not_regular(const char *path, mode_t mode, struct error *err)
{
    if (S_ISDIR(mode))
        return fail_with(err, BAD_FILE, "%s: is a folder, not a file", "name a file inside it", path);
    return fail_with(err, BAD_FILE, "%s: is not a regular file", "write the data to a file first", path);
}

enum status map_open(struct map *map, const char *path, struct error *err)
{
    *map = (struct map){ 0 };
    if (strlen(path) >= sizeof map->path)
        return fail_with(err, BAD_FILE, "a path of %zu bytes: %.100s...", "use a path shorter than 1024 bytes", strlen(path), path);
    /* O_NONBLOCK: a named pipe must be refused, not waited for. */
    int file = file_open(path, O_RDONLY | O_NONBLOCK);
    if (file < 0)
        return cannot_read(path, err);
    enum status status = OK;
    struct stat about;
    if (fstat(file, &about) != 0) {
        status = cannot_read(path, err);
        goto done;
    }
    if (!S_ISREG(about.st_mode)) {
        status = not_regular(path, about.st_mode, err);
        goto done;
    }
    if (about.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes == MAP_FAILED) {
            status = cannot_read(path, err);
            goto done;
        }
        map->bytes = bytes;
        map->size = (size_t)about.st_size;
    }
    memcpy(map->path, path, strlen(path));
done:
    close(file);
    return status;
}

/* Whole pages only: what shares a page with other bytes stays. */
void map_forget(const void *bytes, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)bytes + page - 1) / page * page, end = ((uintptr_t)bytes + size) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED); /* a wish: if it is not heard, only memory is lost */
}

enum status map_reserve(struct map *map, const char *path, size_t size, struct error *err)
{
    *map = (struct map){ 0 };
    void *bytes = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return fail_with(err, NO_MEMORY, "%s: no address space for %zu bytes", "allow the process more (ulimit -v)", path, size);
    map->bytes = bytes;
    map->size = size;
    snprintf(map->path, sizeof map->path, "%s", path);
    return OK;
}

void map_close(struct map *map)
{
    if (map->bytes)
        munmap((void *)(uintptr_t)map->bytes, map->size);
    *map = (struct map){ 0 };
}

static enum status too_large(const char *path, size_t limit, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: larger than the %zu bytes allowed here", "check that this is the intended file", path, limit);
}

/* Reads to the end, growing as it goes: pipes have no size, and files may grow meanwhile. */
static enum status read_all(struct arena *arena, int file, const char *path, size_t limit, size_t capacity, char **bytes, size_t *size, struct error *err)
{
    char *buffer = arena_alloc(arena, capacity);
    size_t length = 0;
    for (;;) {
        ssize_t got = read(file, buffer + length, capacity - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot_read(path, err);
        if (got == 0)
            break;
        length += (size_t)got;
        if (length > limit)
            return too_large(path, limit, err);
        if (length == capacity) {
            buffer = arena_grow(arena, buffer, length, 2 * capacity, 1);
            capacity *= 2;
        }
    }
    buffer[length] = 0;
    *bytes = buffer;
    *size = length;
    return OK;
}

enum status file_read(struct arena *arena, const char *path, size_t limit, char **bytes, size_t *size, struct error *err)
{
    int file = file_open(path, O_RDONLY);
    if (file < 0)
        return cannot_read(path, err);
    struct stat about;
    enum status status = OK;
    if (fstat(file, &about) != 0)
        status = cannot_read(path, err);
    else if (S_ISDIR(about.st_mode))
        status = not_regular(path, about.st_mode, err);
    else if (S_ISREG(about.st_mode) && (uint64_t)about.st_size > limit)
        status = too_large(path, limit, err);
    else
        status = read_all(arena, file, path, limit, S_ISREG(about.st_mode) ? (size_t)about.st_size + 1 : PIPE_CHUNK, bytes, size, err);
    close(file);
    return status;
}

bool file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && !S_ISDIR(about.st_mode);
}

bool folder_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

enum status folder_make(const char *path, struct error *err)
{
    char part[1024];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return fail_with(err, DISK, "'%s': cannot make a folder from a path of %zu bytes", "give a path of 1 to 1023 bytes", path, length);
    for (size_t end = 1; end <= length; end++) {
        if (end < length && path[end] != '/')
            continue;
        memcpy(part, path, end);
        part[end] = 0;
        if (mkdir(part, 0777) == 0)
            continue;
        int reason = errno;
        if (folder_exists(part))
            continue;
        if (reason == EEXIST)
            return fail_with(err, DISK, "%s: is a file where a folder is needed", "choose another folder or move the file away", part);
        return fail_with(err, DISK, "%s: cannot make the folder: %s", "choose a folder that this user may write to", part, strerror(reason));
    }
    return OK;
}

char *path_join(struct arena *arena, const char *folder, const char *name)
{
    size_t length = strlen(folder);
    if (length == 0 || name[0] == '/')
        return arena_text(arena, name, strlen(name));
    return arena_print(arena, "%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
}

char *path_folder(struct arena *arena, const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length ? arena_text(arena, path, length) : arena_text(arena, ".", 1);
}

void hash_memory(hash_take_memory *take, hash_take_memory_again *again, hash_give_memory_back *give_back)
{
    (void)CRYPTO_set_mem_functions(take, again, give_back);
}

/* A configuration of OpenSSL can take SHA-256 away. Only the first call counts. */
static void ignore_configuration(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

static void print_digest(const uint8_t digest[SHA256_BYTES], char hex[65])
{
    for (unsigned i = 0; i < SHA256_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void hash_bytes(const void *bytes, size_t size, char hex[65])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    ignore_configuration();
    CHECK(EVP_Digest(size ? bytes : "", size, digest, &length, EVP_sha256(), NULL) == 1 && length == SHA256_BYTES);
    print_digest(digest, hex);
}

void hash_mapped(const void *bytes, size_t size, char hex[65])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    ignore_configuration();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    for (size_t done = 0; done < size; done += MAP_CHUNK) {
        const uint8_t *piece = (const uint8_t *)bytes + done;
        size_t here = size - done < MAP_CHUNK ? size - done : MAP_CHUNK;
        CHECK(EVP_DigestUpdate(context, piece, here) == 1);
        map_forget(piece, here);
    }
    CHECK(EVP_DigestFinal_ex(context, digest, &length) == 1 && length == SHA256_BYTES);
    EVP_MD_CTX_free(context);
    print_digest(digest, hex);
}

enum status hash_file(const char *path, char hex[65], struct error *err)
{
    struct map map;
    TRY(map_open(&map, path, err));
    hash_mapped(map.bytes, map.size, hex);
    map_close(&map);
    return OK;
}
