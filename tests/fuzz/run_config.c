/* A run's YAML, then its overrides one a line, then the adapter_config.json that `init_from: .` finds. What is read prints as a configuration that reads
 * back to the same.
 */
#include "tests/fuzz/fuzz_folder.h"
#include "tests/fuzz/fuzz_model.h"
#include "trainer/config.h"

#include <string.h>

enum { MOST_OVERRIDES = 16 };

struct overrides {
    const char *assignment[MOST_OVERRIDES];
    int count;
};

static struct overrides split(struct arena *arena, struct part lines)
{
    struct overrides out = { .count = 0 };
    while (lines.size > 0 && out.count < MOST_OVERRIDES) {
        const char *end = memchr(lines.bytes, '\n', lines.size);
        size_t length = end ? (size_t)(end - lines.bytes) : lines.size;
        out.assignment[out.count++] = arena_text(arena, lines.bytes, length);
        length += end != NULL;
        lines = (struct part){ lines.bytes + length, lines.size - length };
    }
    return out;
}

/* The printed configuration; NULL if it was refused. */
static const char *resolve(struct arena *arena, const struct overrides *overrides, struct error *err)
{
    struct config config;
    struct adapter *adapter;
    struct text printed = text_new(arena);
    const char *path = arena_print(arena, "%s/run.yaml", fuzz_folder());
    enum status status = config_read(&config, arena, path, overrides->assignment, overrides->count, err);
    if (status == OK)
        status = adapter_new(&adapter, arena, config.adapter, config.folder, fuzz_model(), err);
    fuzz_check(status, err);
    if (status != OK)
        return NULL;
    config_print(&config, adapter, &printed);
    return printed.bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    fuzz_put("run.yaml", fuzz_next(&rest));
    const struct overrides overrides = split(arena, fuzz_next(&rest)), none = { .count = 0 };
    fuzz_put("adapter_config.json", fuzz_next(&rest));
    const char *once = resolve(arena, &overrides, &err);
    if (once) {
        fuzz_accepted++;
        fuzz_put("run.yaml", (struct part){ once, strlen(once) });
        const char *twice = resolve(arena, &none, &err);
        if (!twice)
            fprintf(stderr, "%s\n%s\n", once, err.what);
        CHECK(twice && strcmp(once, twice) == 0);
    }
    arena_destroy(arena);
    return 0;
}
