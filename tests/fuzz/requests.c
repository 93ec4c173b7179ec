/* The first line names a command, the rest is its --input: JSON lines to score, to continue, to encode or to decode, on a tiny model. */
#include "cli/commands.h"
#include "tests/datasets/tiny_tokenizers.h"
#include "tests/fuzz/fuzz_folder.h"
#include "tests/harness/tiny_model.h"

/* Each command with options of its own. */
static const struct {
    const struct command *command;
    const char *option, *more;
} rows[] = {
    { &command_score, "--dtype=float32", "--force" },
    { &command_generate, "--max-new-tokens=2", "--stop=b" },
    { &command_tokenize, "--no-special-tokens", "--force" },
    { &command_detokenize, "--keep-special-tokens", "--force" },
};

/* With a tokenizer of the model's size beside it. */
static const char *model_folder(void)
{
    static bool made;
    if (!made) {
        struct arena *arena = arena_create(NULL);
        const char *json = byte_tokenizer_json(arena, false);
        tiny_model_make(arena, fuzz_folder(), &(struct tiny_model){ .vocab = BYTE_VOCAB, .layers = 1, .width = 8, .heads = 2, .kv_heads = 1 });
        fuzz_put("tokenizer.json", (struct part){ json, strlen(json) });
        arena_destroy(arena);
        made = true;
    }
    return fuzz_folder();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    char path[64], *text = arena_text(arena, (const char *)bytes, size), *rest = text;
    const char *name = strsep(&rest, "\n");
    const size_t from = rest ? (size_t)(rest - text) : size;
    const int file = fuzz_file(bytes + from, size - from, path);
    size_t row = 0;
    while (row + 1 < COUNT(rows) && !text_equal(rows[row].command->name, name))
        row++;
    const struct command *command = rows[row].command;
    const char *word[] = { arena_print(arena, "--model=%s", model_folder()),
                           arena_print(arena, "--input=%s", path),
                           "--output=/dev/null",
                           "--quiet",
                           "--threads=1",
                           rows[row].option,
                           rows[row].more };
    struct common_options *options = arena_alloc(arena, command->bytes);
    CHECK(options_parse(arena, command, COUNT(word), (char **)(uintptr_t)word, options, &err) == OK);
    enum status status = command->run(&(struct cli){ .arena = arena, .err = &err }, options);
    fuzz_check(status, &err);
    fuzz_accepted += status == OK;
    close(file);
    arena_destroy(arena);
    return 0;
}
