/* Small random models on disk, for tests that need a model and not its knowledge: config.json and model.safetensors in a folder of their own. */
#ifndef GRAFT_TESTS_TINY_MODEL_H
#define GRAFT_TESTS_TINY_MODEL_H

#include "common/arena.h"

#include <stdbool.h>
#include <stdint.h>

/* 0 and NULL choose what stands behind. */
struct tiny_model {
    const char *model_type; /* llama */
    int64_t vocab;          /* 31 */
    int64_t width;          /* 16 */
    int64_t layers;         /* 2 */
    int64_t heads;          /* 4 */
    int64_t kv_heads;       /* 2 */
    int64_t head_size;      /* width / heads */
    int64_t mlp_width;      /* 24 */
    int64_t max_positions;  /* 64 */
    bool tied;              /* false */
    const char *dtype;      /* F32; BF16 or F16 as safetensors spells them */
    const char *members;    /* more of config.json, as it stands there: "\"attention_bias\": true" */
    uint64_t seed;          /* equal seeds and names give equal values: norms around 1, all else around 0 */
};

/* Writes the model and returns its folder. folder NULL: a new one below TMPDIR, for tiny_model_remove(). tokens: bos 0, eos 1, pad 2. */
const char *tiny_model_make(struct arena *arena, const char *folder, const struct tiny_model *wanted);
/* Removes a folder and everything in it. */
void tiny_model_remove(const char *folder);

#endif
