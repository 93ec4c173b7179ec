/* Any bytes as config.json, and behind "====" as generation_config.json: refused, or sizes that cannot overflow and rotary frequencies that are numbers. */
#include "models/rope.h"
#include "tests/fuzz/fuzz_folder.h"

#include <math.h>

static void check_sizes(const struct model_config *c)
{
    CHECK(c->family && c->dtype && c->vocab > 0 && c->width > 0 && c->mlp_width > 0 && c->layers > 0);
    CHECK(c->heads % c->kv_heads == 0 && c->head_size > 0 && c->rotary_size % 2 == 0 && c->rotary_size <= c->head_size &&
          (c->rotary_size > 0) == (c->shape.positions == ROTARY) && c->heads * c->head_size <= 1 << 24);
    CHECK(c->bos >= -1 && c->bos < c->vocab && c->pad >= -1 && c->pad < c->vocab);
    for (int i = 0; i < c->eos_count; i++)
        CHECK(c->eos[i] >= 0 && c->eos[i] < c->vocab);
    CHECK(model_config_size(c) > 0 && model_config_size(c) < INT64_C(1) << 61);
}

static void check_rope(struct arena *arena, const struct model_config *c)
{
    float *inv_freq = NEW_ARRAY(arena, c->rotary_size / 2, float);
    CHECK(isfinite(rope_frequencies(c, inv_freq)));
    for (int64_t i = 0; i < c->rotary_size / 2; i++)
        CHECK(isfinite(inv_freq[i]) && inv_freq[i] >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct model_config config;
    struct model model;
    fuzz_put("config.json", fuzz_next(&rest));
    fuzz_put("generation_config.json", fuzz_next(&rest));
    enum status status = model_config_read(&config, arena, fuzz_folder(), &err);
    fuzz_check(status, &err);
    if (status == OK) {
        fuzz_accepted++;
        check_sizes(&config);
        if (config.shape.positions == ROTARY)
            check_rope(arena, &config);
        if (config.layers <= 4)
            CHECK(model_describe(&model, arena, &config, F32, &err) == OK && model.tensors > 0);
    }
    arena_destroy(arena);
    return 0;
}
