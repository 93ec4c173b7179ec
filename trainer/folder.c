/* The folder of a run. */
#include "trainer/folder.h"
#include "common/files.h"
#include "common/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *folder_checkpoint(struct arena *arena, const char *folder, int64_t step)
{
    return path_join(arena, folder, arena_print(arena, "checkpoints/step-%06lld.h5", (long long)step));
}

const char *folder_adapter(struct arena *arena, const char *folder, int64_t step)
{
    return path_join(arena, folder, arena_print(arena, "adapters/step-%06lld", (long long)step));
}

void kept_add(struct kept *kept, struct arena *arena, int64_t step)
{
    if (kept->count == kept->room) {
        kept->room = kept->room ? 2 * kept->room : 16;
        kept->step = arena_grow(arena, kept->step, (size_t)kept->count, (size_t)kept->room, sizeof *kept->step);
    }
    kept->step[kept->count++] = step;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The step that a name says; 0: it is no such name. Only names that would be written so count. */
static int64_t step_of(struct arena *arena, const char *name, const char *ending)
{
    const char *const begin = "step-";
    if (!text_starts(name, begin))
        return 0;
    errno = 0;
    const long long step = strtoll(name + strlen(begin), NULL, 10);
    const bool is = errno == 0 && step > 0 && text_equal(name, arena_print(arena, "step-%06lld%s", step, ending));
    return is ? step : 0;
}

static enum status list(struct arena *arena, const char *folder, const char *ending, struct kept *kept, struct error *err)
{
    *kept = (struct kept){ 0 };
    DIR *listing = opendir(folder);
    if (!listing && (errno == ENOENT || errno == ENOTDIR))
        return OK;
    if (!listing)
        return fail_with(err, DISK, "%s: cannot be listed: %s", "check the folder's permissions", folder, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(listing));) {
        const int64_t step = step_of(arena, entry->d_name, ending);
        if (step)
            kept_add(kept, arena, step);
    }
    closedir(listing);
    if (kept->count)
        qsort(kept->step, (size_t)kept->count, sizeof *kept->step, compare);
    return OK;
}

enum status folder_checkpoints(struct arena *arena, const char *folder, struct kept *kept, struct error *err)
{
    return list(arena, path_join(arena, folder, "checkpoints"), ".h5", kept, err);
}

enum status folder_adapters(struct arena *arena, const char *folder, struct kept *kept, struct error *err)
{
    return list(arena, path_join(arena, folder, "adapters"), "", kept, err);
}
