/* Any bytes as a data file, in every format and with any template: read, shown and laid into a batch without a bad access, or refused.
 *
 * The first byte chooses the format, the second the rest of the settings; with its high bit the file's first line is the prompt of the template.
 */
#include "datasets/dataset.h"
#include "tests/datasets/tiny_tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A file in memory, by name. */
static int file_make(const void *bytes, size_t size, char path[64])
{
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

/* Opened once: what is under test here is the data. */
static const struct tokenizer *tokenizer_that(bool ends)
{
    static struct tokenizer *tokenizer[2];
    static struct arena *arena;
    if (!arena)
        arena = arena_create(NULL);
    if (!tokenizer[ends]) {
        struct error err = { .code = OK };
        char path[64];
        const char *json = byte_tokenizer_json(arena, ends);
        int file = file_make(json, strlen(json), path);
        CHECK(tokenizer_open(&tokenizer[ends], arena, path, &err) == OK);
        close(file);
    }
    return tokenizer[ends];
}

static void use(struct dataset *dataset, struct arena *arena, const struct tokenizer *tokenizer)
{
    struct error err = { .code = OK };
    const struct sequence **list = NEW_ARRAY(arena, dataset->count, const struct sequence *);
    int64_t *first = NEW_ARRAY(arena, dataset->count + 1, int64_t);
    for (int64_t i = 0; i < dataset->count; i++) {
        struct text out = text_new(arena);
        enum status status = sequence_show(&dataset->sequence[i], tokenizer, i % 2, &out, &err);
        CHECK(status == OK && dataset->sequence[i].trained > 0);
        list[i] = &dataset->sequence[i];
    }
    int64_t batches = micro_batches(list, dataset->count, 64, first), trained = 0;
    struct batch *batch = batch_new(arena, dataset->tokens, dataset->count);
    for (int64_t b = 0; b < batches; b++) {
        batch_fill(batch, list + first[b], first[b + 1] - first[b], 0);
        trained += batch->selected;
    }
    CHECK(trained == dataset->trained);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    struct error err = { .code = OK };
    struct arena *arena = arena_create(NULL);
    const struct tokenizer *tokenizer = tokenizer_that(bytes[1] & 1);
    struct dataset dataset;
    char path[64];
    struct source source = { .path = path, .format = format_names()[bytes[0] % 5], .where = "fuzz:1:1" };
    struct data_settings settings = { .max_length = 2 + (bytes[1] & 0x38), .over_length = bytes[1] % 3 };
    size_t from = 2;
    if (bytes[1] & 0x80) {
        const uint8_t *end = memchr(bytes + 2, '\n', size - 2);
        from = end ? (size_t)(end - bytes) : size;
        source.prompt = arena_text(arena, (const char *)bytes + 2, from - 2);
        source.response = " {response}";
    }
    int file = file_make(bytes + from, size - from, path);
    if (dataset_read(&dataset, arena, &source, 1, &settings, tokenizer, EOS, BYTE_VOCAB, &err) == OK)
        use(&dataset, arena, tokenizer);
    else
        CHECK(err.code != OK && err.what[0]);
    close(file);
    arena_destroy(arena);
    return 0;
}
