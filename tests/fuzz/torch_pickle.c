/* Any bytes as a file of torch.save, as the program inside a sound archive with one storage of 64 bytes, and as what stands behind the head of the form before
 * zip.
 */
#include "models/torch_pickle.h"
#include "tests/fuzz/fuzz_file.h"

#include <stdlib.h>

enum { STORAGE = 64, OVERHEAD = 4096 };

static unsigned touched(const struct safetensors *file)
{
    unsigned sum = 0;
    for (int64_t i = 0; i < file->count; i++) {
        const struct safetensor *t = &file->tensor[i];
        CHECK(safetensors_find(file, t->name) == t);
        CHECK(t->bytes <= file->map.size && (t->bytes == 0 || t->offset <= file->map.size - t->bytes));
        for (uint64_t b = 0; b < t->bytes && i < 64; b++)
            sum += ((const uint8_t *)t->data)[b];
    }
    return sum;
}

static void check(const void *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct safetensors file;
    char path[64];
    int descriptor = fuzz_file(bytes, size, path);
    enum status status = torch_pickle_open(&file, arena, path, &err);
    fuzz_check(status, &err);
    fuzz_accepted += status == OK;
    volatile unsigned sum = status == OK ? touched(&file) : 0;
    (void)sum;
    safetensors_close(&file);
    close(descriptor);
    arena_destroy(arena);
}

static uint32_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~(uint32_t)0;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

struct writer {
    uint8_t *bytes;
    size_t size;
};

static void put(struct writer *w, uint64_t number, int width)
{
    for (int i = 0; i < width; i++)
        w->bytes[w->size++] = (uint8_t)(number >> 8 * i);
}

static void put_bytes(struct writer *w, const void *bytes, size_t size)
{
    if (size)
        memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
}

struct entry {
    const char *name;
    const uint8_t *bytes;
    size_t size, at;
};

/* What the header of an entry and its record in the directory have in common. */
static void put_common(struct writer *w, const struct entry *entry)
{
    put(w, 20, 2);
    put(w, 0, 8);
    put(w, checksum(entry->bytes, entry->size), 4);
    put(w, entry->size, 4);
    put(w, entry->size, 4);
    put(w, strlen(entry->name), 2);
    put(w, 0, 2);
}

static void check_program(const uint8_t *bytes, size_t size)
{
    static const uint8_t storage[STORAGE] = { 1, 2, 3 };
    struct entry entry[] = { { "a/data.pkl", bytes, size, 0 }, { "a/data/0", storage, sizeof storage, 0 } };
    struct writer w = { .bytes = calloc(1, size + OVERHEAD) };
    CHECK(w.bytes);
    for (size_t i = 0; i < COUNT(entry); i++) {
        entry[i].at = w.size;
        put(&w, 0x04034b50, 4);
        put_common(&w, &entry[i]);
        put_bytes(&w, entry[i].name, strlen(entry[i].name));
        put_bytes(&w, entry[i].bytes, entry[i].size);
    }
    const size_t directory = w.size;
    for (size_t i = 0; i < COUNT(entry); i++) {
        put(&w, 0x02014b50, 4);
        put(&w, 20, 2);
        put_common(&w, &entry[i]);
        put(&w, 0, 8);
        put(&w, 0, 2);
        put(&w, entry[i].at, 4);
        put_bytes(&w, entry[i].name, strlen(entry[i].name));
    }
    const size_t end = w.size;
    put(&w, 0x06054b50, 4);
    put(&w, 0, 4);
    put(&w, COUNT(entry), 2);
    put(&w, COUNT(entry), 2);
    put(&w, end - directory, 4);
    put(&w, directory, 4);
    put(&w, 0, 2);
    check(w.bytes, w.size);
    free(w.bytes);
}

static void check_before_zip(const uint8_t *bytes, size_t size)
{
    static const char head[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";
    struct writer w = { .bytes = calloc(1, size + OVERHEAD) };
    CHECK(w.bytes);
    put_bytes(&w, head, sizeof head - 1);
    put_bytes(&w, bytes, size);
    check(w.bytes, w.size);
    free(w.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    check(bytes, size);
    check_program(bytes, size);
    check_before_zip(bytes, size);
    return 0;
}
