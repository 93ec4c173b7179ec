/* The first line is a user's regular expression, the lines behind it are names. What describes the whole of a name describes its end. */
#include "common/pattern.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

static void ask(const struct pattern *pattern, const char *name)
{
    struct error err = { 0 };
    bool whole = false, end = false;
    enum status status = pattern_matches_whole(pattern, name, &whole, &err);
    fuzz_check(status, &err);
    if (status != OK)
        return;
    status = pattern_matches_end(pattern, name, &end, &err);
    fuzz_check(status, &err);
    CHECK(status != OK || end || !whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct pattern *pattern;
    char *line = arena_text(arena, (const char *)bytes, size), *rest = line;
    fuzz_check(pattern_new(&pattern, arena, strsep(&rest, "\n"), "input", &err), &err);
    if (pattern) {
        fuzz_accepted++;
        while (rest)
            ask(pattern, strsep(&rest, "\n"));
    }
    arena_destroy(arena);
    return 0;
}
