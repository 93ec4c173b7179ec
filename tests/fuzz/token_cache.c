/* A token cache without its seal: the target seals what it is given, so that not the hash but what is read behind it has to notice. What is accepted is walked
 * through, every id and text.
 */
#include "common/files.h"
#include "datasets/token_cache.h"
#include "tests/fuzz/fuzz_file.h"

#include <stdlib.h>

enum { SEAL = 512, VOCAB = 997 };

/* libhdf5 (1.10) itself loses a few hundred bytes with some files that it refuses: a leak sanitizer is told to look at ours alone. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static void walk(const struct dataset *dataset)
{
    int64_t tokens = 0, trained = 0;
    for (int64_t i = 0; i < dataset->count; i++) {
        const struct sequence *s = &dataset->sequence[i];
        CHECK(s->count > 0 && s->trained > 0 && s->trained <= s->count);
        for (int64_t t = 0; t < s->count; t++)
            CHECK(s->ids[t] >= 0 && s->ids[t] < VOCAB && s->labels[t] < VOCAB);
        CHECK(strlen(s->where) < dataset->map->size && (!s->prompt || strlen(s->prompt) + strlen(s->response) < dataset->map->size));
        tokens += s->count;
        trained += s->trained;
    }
    CHECK(tokens == dataset->tokens && trained == dataset->trained);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct dataset dataset;
    char path[64], found[CACHE_KEY], hash[65];
    char *file = calloc(1, SEAL + size);
    CHECK(file);
    memcpy(file + SEAL, bytes, size);
    hash_bytes(bytes, size, hash);
    snprintf(file, SEAL, "graft, sealed HDF5\n%zu\n%s\n", SEAL + size, hash);
    const int descriptor = fuzz_file(file, SEAL + size, path);
    enum status status = token_cache_read(&dataset, arena, path, NULL, found, VOCAB, &err);
    fuzz_check(status, &err);
    if (status == OK) {
        fuzz_accepted++;
        walk(&dataset);
        struct text report = text_new(arena);
        dataset_report(&dataset, "train", &report);
    }
    dataset_close(&dataset);
    close(descriptor);
    free(file);
    arena_destroy(arena);
    return 0;
}
