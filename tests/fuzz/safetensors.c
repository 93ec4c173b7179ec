/* Any bytes as a safetensors file. The length of the header is put in front, so that most inputs reach the header itself; the first
 * byte of the input says how many bytes of it are data.
 */
#include "common/safetensors.h"
#include "tests/fuzz/fuzz_file.h"

#include <stdlib.h>
#include <string.h>

static unsigned touched(const struct safetensors *file)
{
    unsigned sum = 0;
    uint64_t total = 0;
    for (int64_t i = 0; i < file->count; i++) {
        const struct safetensor *t = &file->tensor[i];
        CHECK(safetensors_find(file, t->name) == t);
        for (uint64_t b = 0; b < t->bytes; b++)
            sum += ((const uint8_t *)t->data)[b];
        total += t->bytes;
    }
    CHECK(total < file->map.size);
    return sum;
}

static void check(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct safetensors file;
    char path[64];
    int descriptor = fuzz_file(bytes, size, path);
    enum status status = safetensors_open(&file, arena, path, &err);
    fuzz_check(status, &err);
    fuzz_accepted += status == OK;
    volatile unsigned sum = status == OK ? touched(&file) : 0;
    (void)sum;
    safetensors_close(&file);
    close(descriptor);
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    check(bytes, size);
    if (size == 0)
        return 0;
    size_t data = bytes[0] < size - 1 ? bytes[0] : size - 1, header = size - 1 - data;
    uint8_t *framed = calloc(1, size + 7);
    CHECK(framed);
    for (int i = 0; i < 8; i++)
        framed[i] = (uint8_t)((uint64_t)header >> 8 * i);
    memcpy(framed + 8, bytes + 1, size - 1);
    check(framed, size + 7);
    free(framed);
    return 0;
}
