/* A template on records: the format, the data, then the name of a template or a pair of prompt and response. What is worded ends in EOS. */
#include "datasets/dataset.h"
#include "tests/fuzz/fuzz_tokenizer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct part format = fuzz_next(&rest), data = fuzz_next(&rest), prompt = fuzz_next(&rest), response = fuzz_next(&rest);
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct dataset dataset;
    char path[64];
    int file = fuzz_file(data.bytes, data.size, path);
    struct source source = { .path = path, .format = arena_text(arena, format.bytes, format.size), .where = "input" };
    struct data_settings settings = { .max_length = 4096, .over_length = OVER_LENGTH_DROP };
    if (response.bytes) {
        source.prompt = arena_text(arena, prompt.bytes, prompt.size);
        source.response = arena_text(arena, response.bytes, response.size);
    } else if (prompt.bytes) {
        source.template_name = arena_text(arena, prompt.bytes, prompt.size);
    }
    enum status status = dataset_read(&dataset, arena, &source, 1, &settings, fuzz_tokenizer(false), EOS, BYTE_VOCAB, &err);
    fuzz_check(status, &err);
    for (int64_t i = 0; status == OK && i < dataset.count; i++) {
        const struct sequence *s = &dataset.sequence[i];
        const bool worded = response.bytes || !prompt.bytes; /* a template by name may put something behind EOS */
        CHECK(s->trained > 0 && s->prompt_count < s->count && s->trained < s->count && (!worded || s->ids[s->count - 1] == EOS));
        fuzz_accepted++;
    }
    close(file);
    arena_destroy(arena);
    return 0;
}
