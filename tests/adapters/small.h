/* What the adapter tests share: small models made from a configuration text, adapters from lines of YAML. */
#ifndef GRAFT_TESTS_ADAPTERS_SMALL_H
#define GRAFT_TESTS_ADAPTERS_SMALL_H

#include "adapters/adapter.h"
#include "models/family.h"
#include "tests/unit/scratch.h"

/* A model without data from the text of a config.json in single quotes. */
static inline void described_model(struct scratch *s, struct model *model, char *text)
{
    struct model_config config;
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    scratch_write(s, "config.json", text, strlen(text));
    assert_fine(s, model_config_read(&config, s->arena, s->folder, &s->err));
    assert_fine(s, model_describe(model, s->arena, &config, F32, &s->err));
}

/* Three layers, width 16; `more` are further members of config.json, in single quotes. */
static inline void small_model(struct scratch *s, struct model *model, const char *more)
{
    described_model(s, model,
                    arena_print(s->arena,
                                "{'model_type': 'llama', 'vocab_size': 32, 'hidden_size': 16, 'intermediate_size': 24, 'num_hidden_layers': 3,"
                                " 'num_attention_heads': 4, 'num_key_value_heads': 2, 'max_position_embeddings': 64, 'rms_norm_eps': 1e-5%s}",
                                more));
}

/* The section `adapter` from YAML text. */
static inline enum status small_adapter(struct scratch *s, struct adapter **adapter, const struct model *model, const char *yaml)
{
    struct yaml *section;
    *adapter = NULL;
    TRY(yaml_parse(s->arena, "run.yaml", yaml, strlen(yaml), &section, &s->err));
    return adapter_new(adapter, s->arena, section, s->folder, model, &s->err);
}

#endif
