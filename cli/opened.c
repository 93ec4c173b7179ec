/* Device, model, adapters and tokenizer, opened and closed together. */
#include "cli/opened.h"
#include "common/files.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* NAME=DIR, or a folder that is its own name: a name has no slash in it. */
static enum status load_adapter(struct opened *opened, const char *item, struct error *err)
{
    const char *equals = strchr(item, '=');
    const bool named = equals && equals > item && !memchr(item, '/', (size_t)(equals - item));
    const char *name = named ? arena_text(opened->arena, item, (size_t)(equals - item)) : item, *folder = named ? equals + 1 : item;
    if (!*folder)
        return fail_with(err, BAD_OPTION, "--adapter '%.200s': no folder behind the name", "write NAME=DIR", item);
    for (int i = 0; i < opened->adapters; i++)
        if (strcmp(opened->adapter[i]->name, name) == 0)
            return fail_with(err, BAD_OPTION, "--adapter: two adapters are named '%.200s'", "give each a name of its own: --adapter NAME=DIR", name);
    struct adapter **adapter = &opened->adapter[opened->adapters];
    TRY(adapter_load(adapter, opened->arena, folder, &opened->model, &opened->device, err));
    (*adapter)->name = name;
    opened->adapters++;
    return OK;
}

enum status opened_model(struct opened *opened, struct arena *arena, const struct common_options *common, const struct model_options *options,
                         struct error *err)
{
    *opened = (struct opened){ .arena = arena };
    TRY(device_open(&opened->device, common->device, (int)common->threads, err));
    TRY(model_config_read(&opened->config, arena, options->model, err));
    enum dtype dtype;
    if (model_dtype(options->dtype, &opened->config, &opened->device, &dtype, err) != OK)
        return place_failure(err, "--dtype");
    TRY(model_load(&opened->model, arena, &opened->config, dtype, &opened->device, err));
    opened->adapter = NEW_ARRAY(arena, options->adapter.count, struct adapter *);
    for (int i = 0; i < options->adapter.count; i++)
        TRY(load_adapter(opened, options->adapter.item[i], err));
    if (!options->lines_choose)
        TRY(adapters_check(opened->adapter, opened->adapters, err));
    opened->session = session_new(arena, &opened->device, &opened->model, opened->adapter, opened->adapters);
    if (!common->quiet)
        fprintf(stderr, "graft: %s on %s%s, %d threads, %s\n", opened->config.model_type, opened->device.name, opened->device.aside, opened->device.threads,
                dtype_name(dtype));
    return OK;
}

/* The first adapter from `from` on whose folder has a tokenizer; the number of adapters if none has. */
static int with_tokenizer(const struct opened *opened, int from)
{
    while (from < opened->adapters && !tokenizer_exists(opened->arena, opened->adapter[from]->init_from))
        from++;
    return from;
}

bool opened_has_tokenizer(const struct opened *opened, const char *folder)
{
    return tokenizer_exists(opened->arena, folder) || with_tokenizer(opened, 0) < opened->adapters;
}

/* Texts are encoded once for all adapters. */
static enum status check_same(const struct opened *opened, int first, struct error *err)
{
    for (int i = with_tokenizer(opened, first + 1); i < opened->adapters; i = with_tokenizer(opened, i + 1)) {
        struct tokenizer *other;
        TRY(tokenizer_open(&other, opened->arena, opened->adapter[i]->init_from, err));
        const bool same = text_equal(tokenizer_hash(opened->tokenizer), tokenizer_hash(other));
        tokenizer_close(other);
        if (!same)
            return fail_with(err, BAD_OPTION, "--adapter: '%.200s' and '%.200s' have different tokenizers", "use one at a time", opened->adapter[first]->name,
                             opened->adapter[i]->name);
    }
    return OK;
}

enum status opened_tokenizer(struct opened *opened, const char *folder, const char *why, struct error *err)
{
    const int first = with_tokenizer(opened, 0);
    if (first < opened->adapters)
        folder = opened->adapter[first]->init_from;
    enum status status = tokenizer_open(&opened->tokenizer, opened->arena, folder, err);
    if (status == OK)
        return check_same(opened, first, err);
    char cure[sizeof err->cure];
    snprintf(cure, sizeof cure, "%s", err->cure);
    cure_with(err, "%s (the tokenizer is needed for %s)", cure, why);
    return status;
}

void opened_close(struct opened *opened)
{
    if (opened->session.device)
        session_release(&opened->session);
    for (int i = 0; i < opened->adapters; i++)
        adapter_release(opened->adapter[i]);
    tokenizer_close(opened->tokenizer);
    model_release(&opened->model);
    if (opened->device.row)
        device_close(&opened->device);
}

int opened_eos(const struct opened *opened, int32_t eos[MAX_EOS])
{
    if (opened->config.eos_count) {
        memcpy(eos, opened->config.eos, (size_t)opened->config.eos_count * sizeof *eos);
        return opened->config.eos_count;
    }
    eos[0] = opened->tokenizer ? tokenizer_eos(opened->tokenizer) : -1;
    return eos[0] >= 0;
}

enum status output_check(const char *path, bool overwrite, struct error *err)
{
    struct stat about;
    if (path && folder_exists(path))
        return fail_with(err, EXISTS, "%s: is a folder, not a file", "name a file inside it", path);
    if (path && !overwrite && strcmp(path, "-") != 0 && stat(path, &about) == 0 && S_ISREG(about.st_mode))
        return fail_with(err, EXISTS, "%s: already exists", "choose another name or give --force", path);
    return OK;
}

/* Names in one folder, however the folder is written. */
static bool same_place(struct arena *arena, const char *one, const char *other)
{
    struct stat a, b;
    const char *name = strrchr(one, '/'), *other_name = strrchr(other, '/');
    return text_equal(name ? name + 1 : one, other_name ? other_name + 1 : other) && stat(path_folder(arena, one), &a) == 0 &&
           stat(path_folder(arena, other), &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

enum status outputs_check(struct arena *arena, const char *one, const char *other, bool overwrite, struct error *err)
{
    TRY(output_check(one, overwrite, err));
    TRY(output_check(other, overwrite, err));
    struct stat about;
    if (one && other && same_place(arena, one, other) && (stat(one, &about) != 0 || S_ISREG(about.st_mode)))
        return fail_with(err, BAD_OPTION, "%s: two outputs would go there", "give each its own file", one);
    return OK;
}
