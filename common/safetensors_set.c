/* A folder's weights: one file, or the shards that an index names; in safetensors, or in any container that gives the same table of tensors.
 *
 * The index is as untrusted as the shards: its file names may not leave the folder, and every promise it makes (this tensor is in that
 * shard) is checked when the set is opened, so that a missing tensor is found before any work is done.
 */
#include "common/json.h"
#include "common/safetensors.h"
#include "common/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum status open_single(struct safetensors_set *set, struct arena *arena, const struct container *container, const char *path, struct error *err)
{
    set->file = NEW(arena, struct safetensors);
    TRY(container->open(&set->file[0], arena, path, err));
    set->files = 1;
    return OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct shard names of the weight map, sorted; names that could lead out of the folder are refused. */
static enum status shard_names(struct arena *arena, json_t *weight_map, const char *path, const char ***shard, int *count, struct error *err)
{
    const char *tensor;
    json_t *value;
    const char **name = NEW_ARRAY(arena, json_object_size(weight_map), const char *);
    size_t names = 0, distinct = 0;
    json_object_foreach(weight_map, tensor, value)
    {
        const char *file = json_string_value(value);
        if (!file)
            return fail_with(err, BAD_FILE, "%s: tensor '%s': its shard is no file name", "copy or download the index again", path, tensor);
        if (!*file || strchr(file, '/') || strchr(file, '\\') || strstr(file, ".."))
            return fail_with(err, BAD_FILE, "%s: tensor '%s': shard '%s' is no plain file name",
                             "shards must lie beside the index: do not use this folder unless you trust its origin", path, tensor, file);
        name[names++] = file;
    }
    qsort(name, names, sizeof *name, by_text);
    for (size_t i = 0; i < names; i++)
        if (i == 0 || strcmp(name[i], name[distinct - 1]) != 0)
            name[distinct++] = name[i];
    CHECK(distinct <= INT32_MAX);
    *shard = name;
    *count = (int)distinct;
    return OK;
}

static enum status open_shards(struct safetensors_set *set, struct arena *arena, const struct container *container, const char *folder, const char *index,
                               const char *const *shard, int count, struct error *err)
{
    set->file = NEW_ARRAY(arena, count, struct safetensors);
    for (int i = 0; i < count; i++) {
        const char *path = path_join(arena, folder, shard[i]);
        if (!file_exists(path))
            return fail_with(err, BAD_FILE, "%s: the shard '%s' that it names is missing", "copy or download the missing file too", index, shard[i]);
        TRY(container->open(&set->file[i], arena, path, err));
        set->files = i + 1;
    }
    return OK;
}

/* Each tensor is in the shard that the index says. */
static enum status check_promises(const struct safetensors_set *set, json_t *weight_map, const char *const *shard, const char *index, struct error *err)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(weight_map, tensor, value)
    {
        const char *name = json_string_value(value);
        const char *const *found = bsearch(&name, shard, (size_t)set->files, sizeof *shard, by_text);
        CHECK(found);
        if (!safetensors_find(&set->file[found - shard], tensor))
            return fail_with(err, BAD_FILE, "%s: tensor '%s' is not in the shard '%s'",
                             "index and shards are of different versions: copy or download the folder again", index, tensor, name);
    }
    return OK;
}

struct place {
    const char *name, *path;
};

static int by_place(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->name, ((const struct place *)b)->name);
}

/* No name is in two shards: which one counts would be a guess. */
static enum status check_unique(const struct safetensors_set *set, struct arena *arena, struct error *err)
{
    int64_t total = 0, n = 0;
    for (int i = 0; i < set->files; i++)
        total += set->file[i].count;
    struct place *place = NEW_ARRAY(arena, total, struct place);
    for (int i = 0; i < set->files; i++)
        for (int64_t t = 0; t < set->file[i].count; t++)
            place[n++] = (struct place){ set->file[i].tensor[t].name, set->file[i].map.path };
    qsort(place, (size_t)total, sizeof *place, by_place);
    for (n = 1; n < total; n++)
        if (strcmp(place[n - 1].name, place[n].name) == 0)
            return fail_with(err, BAD_FILE, "tensor '%s' is in two shards: %s and %s",
                             "remove files of another version from the folder, or copy or download it again", place[n].name, place[n - 1].path, place[n].path);
    return OK;
}

static enum status open_index(struct safetensors_set *set, struct arena *arena, const struct container *container, const char *folder, const char *path,
                              struct error *err)
{
    json_t *root;
    const char **shard = NULL;
    int count = 0;
    TRY(json_read(path, &root, err));
    struct arena *scratch = arena_create_like(arena);
    json_t *weight_map = json_object_get(root, "weight_map");
    enum status status;
    if (json_object_size(weight_map) == 0)
        status = fail_with(err, BAD_FILE, "%s: has no object 'weight_map' with entries", "copy or download the index again", path);
    else
        status = shard_names(scratch, weight_map, path, &shard, &count, err);
    if (status == OK)
        status = open_shards(set, arena, container, folder, path, shard, count, err);
    if (status == OK)
        status = check_promises(set, weight_map, shard, path, err);
    if (status == OK)
        status = check_unique(set, scratch, err);
    arena_destroy(scratch);
    json_decref(root);
    return status;
}

/* "a.safetensors, a.safetensors.index.json, a.bin, a.bin.index.json" */
static const char *all_names(struct arena *arena, const struct container *container, int containers)
{
    struct text names = text_new(arena);
    for (int i = 0; i < containers; i++)
        text_print(&names, "%s%s, %s.index.json", i ? ", " : "", container[i].name, container[i].name);
    return names.bytes;
}

static enum status open_first(struct safetensors_set *set, struct arena *arena, const char *folder, const struct container *container, int containers,
                              struct error *err)
{
    if (!folder_exists(folder))
        return fail_with(err, BAD_FILE, "%s: no such folder", "give the folder that holds the weights; check the path", folder);
    for (int i = 0; i < containers; i++) {
        const char *single = path_join(arena, folder, container[i].name), *index = arena_print(arena, "%s.index.json", single);
        if (file_exists(single))
            return open_single(set, arena, &container[i], single, err);
        if (file_exists(index))
            return open_index(set, arena, &container[i], folder, index, err);
    }
    return fail_with(err, BAD_FILE, "%s: holds no weights: none of %s", "give the folder that holds the weights", folder,
                     all_names(arena, container, containers));
}

enum status safetensors_set_open_first(struct safetensors_set *set, struct arena *arena, const char *folder, const struct container *container, int containers,
                                       struct error *err)
{
    *set = (struct safetensors_set){ 0 };
    enum status status = open_first(set, arena, folder, container, containers, err);
    if (status != OK)
        safetensors_set_close(set);
    return status;
}

enum status safetensors_set_open(struct safetensors_set *set, struct arena *arena, const char *folder, const char *stem, struct error *err)
{
    const struct container container = { arena_print(arena, "%s.safetensors", stem), safetensors_open };
    return safetensors_set_open_first(set, arena, folder, &container, 1, err);
}

void safetensors_set_close(struct safetensors_set *set)
{
    for (int i = 0; i < set->files; i++)
        safetensors_close(&set->file[i]);
    *set = (struct safetensors_set){ 0 };
}

const struct safetensor *safetensors_set_find(const struct safetensors_set *set, const char *name, const struct safetensors **file)
{
    for (int i = 0; i < set->files; i++) {
        const struct safetensor *found = safetensors_find(&set->file[i], name);
        if (found && file)
            *file = &set->file[i];
        if (found)
            return found;
    }
    return NULL;
}
