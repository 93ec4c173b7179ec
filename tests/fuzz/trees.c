/* Any bytes as a file of Open-Assistant's messages, in every mode: each conversation alternates from a question to an answer, or the file is refused.
 *
 * The first byte chooses mode and filters.
 */
#include "datasets/dataset.h"
#include "tests/fuzz/fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 1)
        return 0;
    struct error err = { .code = OK };
    struct arena *arena = arena_create(NULL);
    struct dataset dataset;
    char path[64];
    const char *lang[] = { "en" };
    const struct thread_settings threads = { .mode = bytes[0] % 3,
                                             .top_k = 1 + (bytes[0] & 1),
                                             .lang = lang,
                                             .langs = bytes[0] >> 3 & 1,
                                             .min_quality = bytes[0] & 0x10 ? 0.5 : 0,
                                             .review_result = !(bytes[0] & 0x20),
                                             .deleted = bytes[0] & 0x40,
                                             .synthetic = bytes[0] & 0x40 };
    const struct source source = { .path = path, .format = "oasst", .where = "input", .threads = &threads };
    const struct data_settings settings = { .max_length = 4096, .over_length = OVER_LENGTH_DROP };
    int file = fuzz_file(bytes + 1, size - 1, path);
    enum status status = dataset_read(&dataset, arena, &source, 1, &settings, fuzz_tokenizer(false), EOS, BYTE_VOCAB, &err);
    fuzz_check(status, &err);
    fuzz_accepted += status == OK;
    for (int64_t i = 0; status == OK && i < dataset.count; i++) {
        const struct sequence *s = &dataset.sequence[i];
        CHECK(text_starts(s->prompt, "<|prompter|>") && text_ends(s->prompt, "</s><|assistant|>"));
        CHECK(s->trained > 0 && s->labels[s->count - 1] == EOS);
        CHECK(i == 0 || s->group >= dataset.sequence[i - 1].group);
    }
    CHECK(status != OK || dataset.source[0].conversations == dataset.count + dataset.source[0].dropped);
    close(file);
    arena_destroy(arena);
    return 0;
}
