/* What a run leaves in its folder. */
#include "trainer/saves.h"
#include "common/files.h"
#include "trainer/train.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const run_files[] = { "metrics.jsonl", "manifest.json", "config.yaml", "adapter_config.json", "adapter_model.safetensors" };
static const char *const record_files[] = { "metrics.jsonl", "manifest.json" };
static const char *const adapter_files[] = { "adapter_config.json", "adapter_model.safetensors", "README.md", "adapter_trainable.safetensors" };

enum status train_check_output(const struct config *config, struct arena *arena, bool force, struct error *err)
{
    const char *folder = config->training.output_dir;
    struct stat about;
    int reason = stat(folder, &about) != 0 ? errno : S_ISDIR(about.st_mode) ? 0 : ENOTDIR;
    if (reason != 0 && reason != ENOENT)
        return fail_with(err, BAD_CONFIG, "%s: training.output_dir: %s cannot be a folder: %s", "choose another folder, or move away what is in its place",
                         config->path, folder, strerror(reason));
    for (size_t i = 0; !force && i < COUNT(run_files); i++)
        if (file_exists(path_join(arena, folder, run_files[i])))
            return fail_with(err, EXISTS, "%s: training.output_dir: %s already holds a run (%s)", "choose another folder, or give --force to replace it",
                             config->path, folder, run_files[i]);
    return OK;
}

static enum status remove_file(struct arena *arena, const char *folder, const char *name, struct error *err)
{
    const char *path = path_join(arena, folder, name);
    if (unlink(path) != 0 && errno != ENOENT)
        return fail_with(err, DISK, "%s: could not be removed: %s", "check the folder's permissions", path, strerror(errno));
    return OK;
}

enum status saves_begin(struct saves *saves, struct run *run, struct arena *arena, struct error *err)
{
    const char *folder = run->config.training.output_dir;
    *saves = (struct saves){ .run = run, .arena = arena };
    TRY(adapter_hash(run->adapter, saves->start, err));
    TRY(folder_make(folder, err));
    for (size_t i = 0; i < COUNT(record_files); i++)
        TRY(remove_file(arena, folder, record_files[i], err));
    struct text yaml = text_new(arena);
    struct output out;
    config_print(&run->config, run->adapter, &yaml);
    TRY(output_open(&out, arena, path_join(arena, folder, "config.yaml"), true, err));
    output_write(&out, yaml.bytes, yaml.length);
    return output_commit(&out);
}

static char *step_folder(struct saves *saves, int64_t step)
{
    return path_join(saves->arena, saves->run->config.training.output_dir, arena_print(saves->arena, "adapters/step-%06lld", (long long)step));
}

static enum status save(struct saves *saves, const char *folder, struct error *err)
{
    TRY(folder_make(folder, err));
    return adapter_save(saves->run->adapter, saves->arena, &saves->run->model, folder, err);
}

static enum status remove_oldest(struct saves *saves, struct error *err)
{
    const char *folder = step_folder(saves, saves->step[0]);
    for (size_t i = 0; i < COUNT(adapter_files); i++)
        TRY(remove_file(saves->arena, folder, adapter_files[i], err));
    if (rmdir(folder) != 0)
        return fail_with(err, DISK, "%s: could not be removed: %s", "see what else is in it", folder, strerror(errno));
    memmove(saves->step, saves->step + 1, (size_t)--saves->steps * sizeof *saves->step);
    return OK;
}

enum status saves_step(struct saves *saves, int64_t step, struct error *err)
{
    int64_t limit = saves->run->config.training.save_total_limit;
    if (saves->steps && saves->step[saves->steps - 1] == step)
        return OK;
    TRY(save(saves, step_folder(saves, step), err));
    saves->step = arena_grow(saves->arena, saves->step, (size_t)saves->steps, (size_t)saves->steps + 1, sizeof *saves->step);
    saves->step[saves->steps++] = step;
    return limit && saves->steps > limit ? remove_oldest(saves, err) : OK;
}

enum status saves_best(struct saves *saves, struct error *err)
{
    const struct parameters *parameters = saves->run->adapter->parameters;
    if (!saves->best)
        saves->best = NEW_ARRAY(saves->arena, parameters->count, float);
    tensor_download(saves->run->device, parameters->value, saves->best);
    return save(saves, path_join(saves->arena, saves->run->config.training.output_dir, "best"), err);
}

enum status saves_final(struct saves *saves, bool best, struct error *err)
{
    if (best && saves->best)
        tensor_upload(saves->run->device, saves->run->adapter->parameters->value, saves->best);
    return save(saves, saves->run->config.training.output_dir, err);
}

bool saves_changed(const struct saves *saves)
{
    char now[65];
    struct error unused = { 0 };
    return adapter_hash(saves->run->adapter, now, &unused) != OK || strcmp(now, saves->start) != 0;
}
