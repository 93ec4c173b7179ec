/* A tokenizer.json, text for it, and the two files beside it that name special tokens. Encoded ids must decode again, one at a time or all at once. */
#include "tests/fuzz/fuzz_folder.h"
#include "tests/fuzz/fuzz_ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokenizer *tokenizer;
    fuzz_put("tokenizer.json", fuzz_next(&rest));
    const struct part text = fuzz_next(&rest);
    fuzz_put("tokenizer_config.json", fuzz_next(&rest));
    fuzz_put("special_tokens_map.json", fuzz_next(&rest));
    enum status status = tokenizer_open(&tokenizer, arena, fuzz_folder(), &err);
    fuzz_check(status, &err);
    if (status == OK) {
        fuzz_accepted++;
        fuzz_use_tokenizer(tokenizer, arena, text);
    }
    tokenizer_close(tokenizer);
    arena_destroy(arena);
    return 0;
}
