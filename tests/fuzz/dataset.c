/* Any bytes as a data file, in every format and with any template: read, shown and laid into a batch without a bad access, or refused.
 *
 * The first byte chooses the format ("`" the first of 16, "a" the second, ..), the second the rest of the settings; with its high bit the file's first line is
 * the prompt of the template.
 */
#include "datasets/dataset.h"
#include "tests/fuzz/fuzz_tokenizer.h"

#include <string.h>

static void use(struct dataset *dataset, struct arena *arena, const struct tokenizer *tokenizer)
{
    struct error err = { .code = OK };
    const struct sequence **list = NEW_ARRAY(arena, dataset->count, const struct sequence *);
    int64_t *first = NEW_ARRAY(arena, dataset->count + 1, int64_t);
    for (int64_t i = 0; i < dataset->count; i++) {
        struct text out = text_new(arena);
        enum status status = sequence_show(&dataset->sequence[i], tokenizer, (enum show_style)(i % 3), &out, &err);
        CHECK(status == OK && dataset->sequence[i].trained > 0);
        list[i] = &dataset->sequence[i];
    }
    int64_t batches = micro_batches(list, dataset->count, 64, first), trained = 0;
    struct batch *batch = batch_new(arena, dataset->tokens, dataset->count);
    for (int64_t b = 0; b < batches; b++) {
        batch_fill(batch, list + first[b], first[b + 1] - first[b], NULL);
        trained += batch->selected;
    }
    CHECK(trained == dataset->trained);
}

/* What a run does with data that were read: the gate, a part held out, an order. */
static void prepare(struct dataset *dataset, struct arena *arena, const struct data_settings *settings)
{
    struct error err = { .code = OK };
    struct dataset eval;
    const int64_t count = dataset->count, tokens = dataset->tokens;
    int64_t groups = count > 0; /* a tree is not split */
    for (int64_t i = 1; i < count; i++)
        groups += dataset->sequence[i].group != dataset->sequence[i - 1].group;
    fuzz_check(dataset_gate(dataset, settings, &err), &err);
    err = (struct error){ .code = OK };
    enum status status = dataset_split(dataset, &eval, arena, 0.3, 1, &err);
    fuzz_check(status, &err);
    CHECK((status == OK) == (groups > 1));
    if (status != OK)
        return;
    CHECK(dataset->count > 0 && eval.count > 0 && dataset->count + eval.count == count && dataset->tokens + eval.tokens == tokens);
    int64_t *order = NEW_ARRAY(arena, count, int64_t), sum = 0;
    dataset_order(order, count, 1, 0, true);
    for (int64_t i = 0; i < count; i++)
        sum += order[i];
    CHECK(sum == count * (count - 1) / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    struct error err = { .code = OK };
    struct arena *arena = arena_create(NULL);
    const struct tokenizer *tokenizer = fuzz_tokenizer(bytes[1] & 1);
    struct dataset dataset;
    char path[64];
    struct source source = { .path = path, .format = format_names()[bytes[0] % 16], .where = "fuzz:1:1" };
    struct data_settings settings = { .max_length = 2 + (bytes[1] & 0x38), .over_length = bytes[1] % 3 };
    size_t from = 2;
    if (bytes[1] & 0x80) {
        const uint8_t *end = memchr(bytes + 2, '\n', size - 2);
        from = end ? (size_t)(end - bytes) : size;
        source.prompt = arena_text(arena, (const char *)bytes + 2, from - 2);
        source.response = " {response}";
    }
    if (!source.prompt && text_equal(source.format, "messages"))
        source.template_name = "chatml";
    int file = fuzz_file(bytes + from, size - from, path);
    enum status status = dataset_read(&dataset, arena, &source, 1, &settings, tokenizer, EOS, BYTE_VOCAB, &err);
    fuzz_check(status, &err);
    fuzz_accepted += status == OK;
    if (status == OK) {
        use(&dataset, arena, tokenizer);
        prepare(&dataset, arena, &settings);
    }
    close(file);
    arena_destroy(arena);
    return 0;
}
