/* The folder of a run. */
#include "trainer/folder.h"
#include "common/files.h"
#include "common/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

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

/* *listing is NULL if there is no such folder. */
static enum status open_listing(const char *folder, DIR **listing, struct error *err)
{
    *listing = opendir(folder);
    if (!*listing && errno != ENOENT && errno != ENOTDIR)
        return fail_with(err, DISK, "%s: cannot be listed: %s", "check the folder's permissions", folder, strerror(errno));
    return OK;
}

static enum status list(struct arena *arena, const char *folder, const char *ending, struct kept *kept, struct error *err)
{
    DIR *listing;
    *kept = (struct kept){ 0 };
    TRY(open_listing(folder, &listing, err));
    if (!listing)
        return OK;
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

enum status folder_lock(const char *folder, int *lock, struct error *err)
{
    *lock = file_open(folder, O_RDONLY | O_DIRECTORY);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return OK; /* file systems without locks train as well */
    return fail_with(err, EXISTS, "%s: another process is training into this folder", "wait for its end, or choose another training.output_dir", folder);
}

/* NAME.PROCESS-N.partial, as common/output.c calls them. */
static bool is_partial(struct arena *arena, const char *name)
{
    if (!text_ends(name, ".partial"))
        return false;
    char *begin = arena_text(arena, name, strlen(name) - strlen(".partial")), *number = strrchr(begin, '.');
    return number && number > begin && strspn(number + 1, "0123456789-") == strlen(number + 1);
}

static enum status sweep_one(struct arena *arena, const char *folder, struct error *err)
{
    DIR *listing;
    enum status status = OK;
    TRY(open_listing(folder, &listing, err));
    if (!listing)
        return OK;
    for (const struct dirent *entry; status == OK && (entry = readdir(listing));)
        if (is_partial(arena, entry->d_name))
            status = file_remove(path_join(arena, folder, entry->d_name), err);
    closedir(listing);
    return status;
}

enum status folder_sweep(struct arena *arena, const char *folder, struct error *err)
{
    struct kept adapters;
    TRY(sweep_one(arena, folder, err));
    TRY(sweep_one(arena, path_join(arena, folder, "best"), err));
    TRY(sweep_one(arena, path_join(arena, folder, "checkpoints"), err));
    TRY(folder_adapters(arena, folder, &adapters, err));
    for (int64_t i = 0; i < adapters.count; i++)
        TRY(sweep_one(arena, folder_adapter(arena, folder, adapters.step[i]), err));
    return OK;
}
