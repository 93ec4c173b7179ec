/* The recorded cases of tests/reference/records: a tiny model, an adapter that PEFT saved, and what transformers and PEFT computed with them. */
#ifndef GRAFT_TESTS_ADAPTERS_RECORDS_H
#define GRAFT_TESTS_ADAPTERS_RECORDS_H

#include "common/files.h"
#include "tests/adapters/small.h"

#define RECORDS TESTS_FOLDER "/reference/records"

/* Names of all cases, sorted; at least one, or the test has nothing to say. */
static inline const char **record_names(struct scratch *s, int *count)
{
    struct dirent **entry;
    int found = scandir(RECORDS, &entry, NULL, alphasort);
    assert_true(found > 2);
    const char **name = NEW_ARRAY(s->arena, found, const char *);
    *count = 0;
    for (int i = 0; i < found; i++) {
        if (folder_exists(arena_print(s->arena, RECORDS "/%s/adapter", entry[i]->d_name)))
            name[(*count)++] = arena_text(s->arena, entry[i]->d_name, strlen(entry[i]->d_name));
        free(entry[i]);
    }
    free(entry);
    assert_true(*count > 0);
    return name;
}

/* A part of a case; model and data are those of the case that its name begins with, up to the dot. */
static inline const char *record_path(struct scratch *s, const char *name, const char *part)
{
    const bool own = strcmp(part, "adapter") == 0 || *part == 0;
    return arena_print(s->arena, RECORDS "/%.*s/%s", own ? (int)strlen(name) : (int)strcspn(name, "."), name, part);
}

static inline void record_model(struct scratch *s, struct model *model, struct device *device, const char *name, enum dtype dtype)
{
    struct model_config config;
    assert_fine(s, device_open(device, "cpu", 1, &s->err));
    assert_fine(s, model_config_read(&config, s->arena, record_path(s, name, "model"), &s->err));
    assert_fine(s, model_load(model, s->arena, &config, dtype, device, &s->err));
}

#endif
