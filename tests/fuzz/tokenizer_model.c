/* A tokenizer_config.json, text, and the rest of the input: a SentencePiece model. Where the first byte of the text is a tab, the rest is a vocab.json and
 * its merges.txt instead. */
#include "tests/fuzz/fuzz_folder.h"
#include "tests/fuzz/fuzz_ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct tokenizer *tokenizer;
    fuzz_put("tokenizer_config.json", fuzz_next(&rest));
    const struct part text = fuzz_next(&rest);
    const bool pairs = text.size > 0 && text.bytes[0] == '\t';
    fuzz_put("tokenizer.model", pairs ? (struct part){ 0 } : rest);
    fuzz_put("vocab.json", pairs ? fuzz_next(&rest) : (struct part){ 0 });
    fuzz_put("merges.txt", pairs ? fuzz_next(&rest) : (struct part){ 0 });
    fuzz_put("added_tokens.json", pairs ? fuzz_next(&rest) : (struct part){ 0 });
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
