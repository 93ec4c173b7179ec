/* Texts of config.json for tests: written in single quotes; one that does not name model_type is a llama. */
#ifndef GRAFT_TESTS_MODELS_CONFIG_TEXT_H
#define GRAFT_TESTS_MODELS_CONFIG_TEXT_H

#include "models/family.h"
#include "tests/unit/scratch.h"

static inline const char *json_text(struct scratch *s, const char *members)
{
    char *text = arena_print(s->arena, "{%s%s}", strstr(members, "'model_type'") ? "" : *members ? "'model_type':'llama'," : "'model_type':'llama'", members);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return text;
}

static inline enum status read_folder(struct scratch *s, const char *members, const char *generation, struct model_config *config)
{
    const char *text = json_text(s, members);
    scratch_write(s, "config.json", text, strlen(text));
    remove(scratch_path(s, "generation_config.json"));
    if (generation) {
        text = json_text(s, generation);
        scratch_write(s, "generation_config.json", text, strlen(text));
    }
    return model_config_read(config, s->arena, s->folder, &s->err);
}

static inline struct model_config accept(struct scratch *s, const char *members)
{
    struct model_config config;
    enum status status = read_folder(s, members, NULL, &config);
    if (status != OK)
        print_error("%s\n", members);
    assert_fine(s, status);
    return config;
}

#endif
