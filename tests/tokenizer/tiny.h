/* Tokenizers small enough to be written into a test. */
#ifndef GRAFT_TESTS_TOKENIZER_TINY_H
#define GRAFT_TESTS_TOKENIZER_TINY_H

#include "common/files.h"
#include "tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define VOCAB  "{\"a\":0,\"b\":1,\"ab\":2,\"\\u2581\":3,\"c\":4,\"\\u2581a\":5,\"<0xC3>\":6,\"<0xA9>\":7,\" \":8,\"\\u00e9\":9}"
#define MERGES "[\"a b\",[\"\\u2581\",\"a\"]]"
#define MODEL  "\"model\":{\"type\":\"BPE\",\"vocab\":" VOCAB ",\"merges\":" MERGES "}"

/* Opens a tokenizer.json of these bytes, in a folder of its own; NULL with err set if it is refused. */
static inline struct tokenizer *open_beside(struct arena *arena, const char *bytes, size_t length, const char *config, struct error *err)
{
    char folder[] = "/tmp/graft_tokenizer_XXXXXX";
    assert_non_null(mkdtemp(folder));
    const char *path = path_join(arena, folder, "tokenizer.json"), *beside = path_join(arena, folder, "tokenizer_config.json");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    if (config) {
        file = fopen(beside, "wb");
        assert_non_null(file);
        assert_true(fputs(config, file) >= 0);
        fclose(file);
    }
    struct tokenizer *tokenizer;
    enum status status = tokenizer_open(&tokenizer, arena, folder, err);
    assert_int_equal(status == OK, tokenizer != NULL);
    unlink(path);
    unlink(beside);
    rmdir(folder);
    return tokenizer;
}

static inline struct tokenizer *open_text(struct arena *arena, const char *json, struct error *err)
{
    return open_beside(arena, json, strlen(json), NULL, err);
}

static inline struct tokenizer *open_good(struct arena *arena, const char *json)
{
    struct error err = { 0 };
    struct tokenizer *tokenizer = open_text(arena, json, &err);
    if (!tokenizer)
        fail_msg("%s", err.what);
    return tokenizer;
}

#define LLAMA_PARTS                                                                                                                                            \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},"                                                   \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"                                                                         \
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},\"content\":\" \"},"                          \
    "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"

#endif
