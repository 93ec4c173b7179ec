/* How a run begins. */
#include "trainer/resume.h"
#include "common/files.h"
#include "common/json.h"
#include "common/log.h"
#include "trainer/folder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const run_files[] = { "metrics.jsonl", "manifest.json", "config.yaml", "adapter_config.json", "adapter_model.safetensors" };

enum { LARGEST_CONFIG = 1 << 24 };

static const char *first_run_file(struct arena *arena, const char *folder)
{
    for (size_t i = 0; i < COUNT(run_files); i++)
        if (file_exists(path_join(arena, folder, run_files[i])))
            return run_files[i];
    return NULL;
}

static enum status check_folder(const struct config *config, struct error *err)
{
    const char *folder = config->training.output_dir;
    struct stat about;
    int reason = stat(folder, &about) != 0 ? errno : S_ISDIR(about.st_mode) ? 0 : ENOTDIR;
    if (reason != 0 && reason != ENOENT)
        return fail_with(err, BAD_CONFIG, "%s: training.output_dir: %s cannot be a folder: %s", "choose another folder, or move away what is in its place",
                         config->path, folder, strerror(reason));
    return OK;
}

/* Whether the run that is there says it reached its end. */
static enum status has_ended(struct arena *arena, const char *folder, bool *ended, struct error *err)
{
    const char *path = path_join(arena, folder, "manifest.json"), *outcome = NULL;
    json_t *manifest = NULL;
    *ended = false;
    if (!file_exists(path))
        return OK;
    enum status status = json_read(path, &manifest, err);
    if (status == OK)
        status = json_get_text(manifest, path, "outcome", &outcome, err);
    if (status == OK)
        *ended = text_equal(outcome, "finished") || text_equal(outcome, "stopped early");
    json_decref(manifest);
    return status == OK ? OK : cure_with(err, "choose another folder, or give --force to replace what is there");
}

/* Opens a checkpoint that this run can go on from. */
static enum status open_checkpoint(struct resume *resume, struct arena *arena, const char *folder, const char *path, struct error *err)
{
    int64_t lines;
    TRY(checkpoint_open(&resume->checkpoint, arena, path, err));
    TRY(file_sync(path_join(arena, folder, "metrics.jsonl"), &lines, err));
    if (lines < resume->checkpoint.position.metrics_bytes)
        return fail_with(err, BAD_FILE, "%s: metrics.jsonl has %lld bytes, and had %lld at this checkpoint", "bring the file back, or begin again with --force",
                         path, (long long)lines, (long long)resume->checkpoint.position.metrics_bytes);
    resume->where = resume->checkpoint.path;
    resume->config = resume->checkpoint.config;
    return OK;
}

/* The newest checkpoint that is good; those that are not are named. */
static enum status open_newest(struct resume *resume, struct arena *arena, const char *folder, const struct kept *kept, struct error *err)
{
    for (int64_t i = kept->count; i-- > 0;) {
        struct error wrong = { 0 };
        enum status status = open_checkpoint(resume, arena, folder, folder_checkpoint(arena, folder, kept->step[i]), &wrong);
        if (status == OK)
            return OK;
        checkpoint_close(&resume->checkpoint);
        if (status != BAD_FILE) {
            *err = wrong;
            return status;
        }
        warn("%s; looking for an earlier checkpoint", wrong.what);
    }
    return fail_with(err, BAD_FILE, "%s: no checkpoint that a run could go on from", "begin again with --force, or choose another folder", folder);
}

/* A path given by the user: of this run's own folder, or the run would end up in two. */
static enum status open_named(struct resume *resume, struct arena *arena, const char *folder, const char *path, struct error *err)
{
    struct stat there, here;
    if (!file_exists(path) || stat(path_folder(arena, path), &there) != 0 || stat(path_join(arena, folder, "checkpoints"), &here) != 0 ||
        there.st_dev != here.st_dev || there.st_ino != here.st_ino)
        return fail_with(err, BAD_OPTION, "--resume %s: no checkpoint of training.output_dir, %s", "name a file of its folder checkpoints, or auto, or never",
                         path, folder);
    return open_checkpoint(resume, arena, folder, path, err);
}

/* Whether a run ended before its first checkpoint. An adapter in the folder itself, without a checkpoint, is of a run before that one. */
static bool can_begin_again(struct arena *arena, const char *folder)
{
    return file_exists(path_join(arena, folder, "config.yaml")) && !file_exists(path_join(arena, folder, "adapter_config.json"));
}

static enum status begin_again(struct resume *resume, struct arena *arena, const char *folder, struct error *err)
{
    char *bytes;
    size_t size;
    resume->where = path_join(arena, folder, "config.yaml");
    TRY(file_read(arena, resume->where, LARGEST_CONFIG, &bytes, &size, err));
    resume->config = bytes;
    return OK;
}

enum status resume_find(struct resume *resume, struct arena *arena, const struct config *config, const char *mode, bool force, struct error *err)
{
    const char *folder = config->training.output_dir;
    struct kept kept;
    bool ended;
    *resume = (struct resume){ 0 };
    TRY(check_folder(config, err));
    if (force && mode && !text_equal(mode, "never"))
        return fail_with(err, BAD_OPTION, "--force begins again, and --resume %s goes on", "leave one of them out", mode);
    if (mode && !text_equal(mode, "never") && !text_equal(mode, "auto"))
        return open_named(resume, arena, folder, mode, err);
    const char *found = first_run_file(arena, folder);
    if (!found || force)
        return OK;
    TRY(has_ended(arena, folder, &ended, err));
    TRY(folder_checkpoints(arena, folder, &kept, err));
    const bool goes_on = !ended && !text_equal(mode, "never");
    if (goes_on && kept.count > 0)
        return open_newest(resume, arena, folder, &kept, err);
    if (goes_on && can_begin_again(arena, folder))
        return begin_again(resume, arena, folder, err);
    return fail_with(err, EXISTS, "%s: training.output_dir: %s already holds a run (%s)", "choose another folder, or give --force to replace it", config->path,
                     folder, found);
}

enum status resume_share(struct resume *resume, struct arena *arena, struct comm *comm, struct error *err)
{
    char path[PATH_MAX] = "";
    if (comm->ranks == 1)
        return OK;
    if (resume->checkpoint.path && snprintf(path, sizeof path, "%s", resume->checkpoint.path) >= (int)sizeof path)
        return fail_with(err, BAD_OPTION, "%s: a path longer than %zu bytes", "choose a shorter training.output_dir", resume->checkpoint.path, sizeof path - 1);
    TRY(comm_broadcast(comm, 0, path, sizeof path, err));
    if (comm->rank == 0 || !*path)
        return OK;
    if (!file_exists(path))
        return fail_with(err, BAD_FILE, "%s: rank 0 goes on from this checkpoint, and it is not there",
                         "give training.output_dir a folder that all hosts share", path);
    return checkpoint_open(&resume->checkpoint, arena, arena_text(arena, path, strlen(path)), err);
}

enum status resume_prepare(const struct resume *resume, struct run *run, struct error *err)
{
    struct training_settings settings = run->config.training;
    if (!resume->checkpoint.path || settings.micro_batch_tokens)
        return OK;
    settings.micro_batch_tokens = resume->checkpoint.position.micro_batch_tokens;
    return run_fit(run, &settings, err);
}

enum status resume_check(const struct resume *resume, struct run *run, const struct identity *identity, const struct allowed *allowed, struct error *err)
{
    struct text config = text_new(run->arena);
    const struct position *position = &resume->checkpoint.position;
    const bool goes_on = resume->checkpoint.path != NULL;
    config_print(&run->config, run->adapter, &config);
    const struct described before = { resume->config ? resume->config : config.bytes, goes_on ? &resume->checkpoint.identity : NULL };
    const struct described now = { config.bytes, goes_on ? identity : NULL };
    TRY(changes_check(run->arena, resume->where ? resume->where : run->config.path, &before, &now, allowed, err));
    if (!goes_on)
        return OK;
    if (position->step > run->steps)
        return fail_with(err, BAD_CONFIG, "%s: %lld steps were taken, and the run now ends at %lld", "raise training.max_steps or training.num_train_epochs",
                         resume->where, (long long)position->step, (long long)run->steps);
    return checkpoint_fits(&resume->checkpoint, run->adapter->parameters, err);
}

void resume_close(struct resume *resume)
{
    checkpoint_close(&resume->checkpoint);
    *resume = (struct resume){ 0 };
}
