/* One tiny model with its weights, for targets that need a model to put something on; made at first use. */
#ifndef GRAFT_TESTS_FUZZ_FUZZ_MODEL_H
#define GRAFT_TESTS_FUZZ_FUZZ_MODEL_H

#include "models/model.h"
#include "tests/harness/tiny_model.h"

static struct device fuzz_device;

/* The weights are in memory for good, so the folder goes at once. */
static inline struct model *fuzz_model(void)
{
    static struct arena *arena;
    static struct model_config config;
    static struct model model;
    struct error err = { 0 };
    if (arena)
        return &model;
    arena = arena_create(NULL);
    const char *folder = tiny_model_make(arena, NULL, &(struct tiny_model){ .layers = 2, .members = "\"attention_bias\": true" });
    CHECK(device_open(&fuzz_device, "cpu", 1, &err) == OK);
    CHECK(model_config_read(&config, arena, folder, &err) == OK);
    CHECK(model_load(&model, arena, &config, F32, &fuzz_device, &err) == OK);
    tiny_model_remove(folder);
    return &model;
}

#endif
