/* What a run leaves in its folder. */
#include "trainer/saves.h"
#include "common/files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const record_files[] = { "metrics.jsonl", "manifest.json" };
static const char *const adapter_files[] = { "adapter_config.json", "adapter_model.safetensors", "README.md", "adapter_trainable.safetensors",
                                             "tokenizer.json",      "tokenizer_config.json" };

static const char *in_folder(struct saves *saves, const char *name)
{
    return path_join(saves->arena, saves->run->config.training.output_dir, name);
}

static enum status remove_adapter(struct saves *saves, const char *folder, struct error *err)
{
    for (size_t i = 0; i < COUNT(adapter_files); i++)
        TRY(file_remove(path_join(saves->arena, folder, adapter_files[i]), err));
    if (rmdir(folder) != 0 && errno != ENOENT)
        return fail_with(err, DISK, "%s: could not be removed: %s", "see what else is in it", folder, strerror(errno));
    return OK;
}

/* Removes what is kept of steps behind this one. */
static enum status forget_behind(struct saves *saves, int64_t step, struct error *err)
{
    const char *folder = saves->run->config.training.output_dir;
    TRY(folder_adapters(saves->arena, folder, &saves->adapters, err));
    TRY(folder_checkpoints(saves->arena, folder, &saves->checkpoints, err));
    struct kept *adapters = &saves->adapters, *checkpoints = &saves->checkpoints;
    for (; checkpoints->count && checkpoints->step[checkpoints->count - 1] > step; checkpoints->count--)
        TRY(file_remove(folder_checkpoint(saves->arena, folder, checkpoints->step[checkpoints->count - 1]), err));
    for (; adapters->count && adapters->step[adapters->count - 1] > step; adapters->count--)
        TRY(remove_adapter(saves, folder_adapter(saves->arena, folder, adapters->step[adapters->count - 1]), err));
    return OK;
}

static enum status begin(struct saves *saves, struct run *run, const struct identity *identity, struct arena *arena, struct error *err)
{
    *saves = (struct saves){ .run = run, .arena = arena, .identity = identity, .config = text_new(arena), .lock = -1 };
    config_print(&run->config, run->adapter, &saves->config);
    const char *folder = run->config.training.output_dir;
    TRY(folder_make(folder, err));
    TRY(folder_lock(folder, &saves->lock, err));
    return folder_sweep(arena, folder, err);
}

static enum status write_config(struct saves *saves, struct error *err)
{
    struct output out;
    TRY(output_open(&out, saves->arena, in_folder(saves, "config.yaml"), true, err));
    output_write(&out, saves->config.bytes, saves->config.length);
    return output_commit(&out);
}

enum status saves_begin(struct saves *saves, struct run *run, const struct identity *identity, struct arena *arena, struct error *err)
{
    TRY(begin(saves, run, identity, arena, err));
    TRY(forget_behind(saves, 0, err));
    for (size_t i = 0; i < COUNT(record_files); i++)
        TRY(file_remove(in_folder(saves, record_files[i]), err));
    return write_config(saves, err);
}

static enum status save(struct saves *saves, const char *folder, struct error *err)
{
    TRY(folder_make(folder, err));
    return adapter_save(saves->run->adapter, saves->arena, &saves->run->model, folder, err);
}

static void set_values(struct saves *saves, const float *values)
{
    tensor_upload(saves->run->device, saves->run->adapter->parameters->value, values);
}

/* Takes the oldest out of what is kept; 0: no more are kept than the limit says. */
static int64_t take_over_limit(const struct saves *saves, struct kept *kept)
{
    const int64_t limit = saves->run->config.training.save_total_limit;
    if (!limit || kept->count <= limit)
        return 0;
    const int64_t oldest = kept->step[0];
    memmove(kept->step, kept->step + 1, (size_t)--kept->count * sizeof *kept->step);
    return oldest;
}

/* More than one may be over the limit: a run can be killed between a save and this. */
static enum status remove_over_limit(struct saves *saves, struct error *err)
{
    const char *folder = saves->run->config.training.output_dir;
    for (int64_t step; (step = take_over_limit(saves, &saves->adapters));)
        TRY(remove_adapter(saves, folder_adapter(saves->arena, folder, step), err));
    for (int64_t step; (step = take_over_limit(saves, &saves->checkpoints));)
        TRY(file_remove(folder_checkpoint(saves->arena, folder, step), err));
    return OK;
}

/* The best so far, in memory and in its folder. */
static enum status bring_back_best(struct saves *saves, const struct checkpoint *from, struct error *err)
{
    const char *folder = in_folder(saves, "best");
    if (!from->best)
        return folder_exists(folder) ? remove_adapter(saves, folder, err) : OK;
    saves->best = NEW_ARRAY(saves->arena, from->count, float);
    memcpy(saves->best, from->best, (size_t)from->count * sizeof(float));
    set_values(saves, saves->best);
    return save(saves, folder, err);
}

static enum status cut_metrics(const char *path, int64_t bytes, struct error *err)
{
    return bytes ? file_cut(path, bytes, err) : file_remove(path, err);
}

enum status saves_go_on(struct saves *saves, struct run *run, const struct identity *identity, const struct checkpoint *from, struct arena *arena,
                        struct error *err)
{
    TRY(begin(saves, run, identity, arena, err));
    TRY(forget_behind(saves, from->position.step, err));
    TRY(remove_over_limit(saves, err));
    TRY(file_remove(in_folder(saves, "manifest.json"), err));
    TRY(cut_metrics(in_folder(saves, "metrics.jsonl"), from->position.metrics_bytes, err));
    TRY(write_config(saves, err));
    return bring_back_best(saves, from, err);
}

static bool is_newest(const struct kept *kept, int64_t step)
{
    return kept->count && kept->step[kept->count - 1] == step;
}

enum status saves_aside(struct saves *saves, int64_t step, struct error *err)
{
    const char *folder = saves->run->config.training.output_dir;
    if (is_newest(&saves->adapters, step))
        return OK;
    TRY(save(saves, folder_adapter(saves->arena, folder, step), err));
    kept_add(&saves->adapters, saves->arena, step);
    return OK;
}

enum status saves_step(struct saves *saves, int64_t step, struct error *err)
{
    TRY(saves_aside(saves, step, err));
    return remove_over_limit(saves, err);
}

enum status saves_checkpoint(struct saves *saves, struct position position, struct error *err)
{
    const char *folder = saves->run->config.training.output_dir;
    if (is_newest(&saves->checkpoints, position.step))
        return OK;
    TRY(folder_make(in_folder(saves, "checkpoints"), err));
    TRY(file_sync(in_folder(saves, "metrics.jsonl"), &position.metrics_bytes, err));
    TRY(checkpoint_write(folder_checkpoint(saves->arena, folder, position.step), saves->arena, &position, saves->identity, &saves->config,
                         saves->run->adapter->parameters, saves->best, err));
    kept_add(&saves->checkpoints, saves->arena, position.step);
    return remove_over_limit(saves, err);
}

enum status saves_best(struct saves *saves, struct error *err)
{
    const struct parameters *parameters = saves->run->adapter->parameters;
    if (!saves->best)
        saves->best = NEW_ARRAY(saves->arena, parameters->count, float);
    tensor_download(saves->run->device, parameters->value, saves->best);
    return save(saves, in_folder(saves, "best"), err);
}

enum status saves_final(struct saves *saves, bool best, struct error *err)
{
    if (best && saves->best)
        set_values(saves, saves->best);
    return save(saves, saves->run->config.training.output_dir, err);
}

void saves_end(struct saves *saves)
{
    if (saves->lock > 0)
        close(saves->lock);
    saves->lock = -1;
}

bool saves_changed(const struct saves *saves)
{
    char now[65];
    struct error unused = { 0 };
    return adapter_hash(saves->run->adapter, now, &unused) != OK || strcmp(now, saves->identity->text[START]) != 0;
}
