/* What differs between two runs, key by key. */
#include "trainer/changes.h"
#include "common/log.h"

#include <string.h>

/* Settings that no result depends on. Where something lies is not what it is: that is hashed. */
static const char *const harmless[] = {
    "model.path",          "adapter.init_from",         "data.cache",
    "data.accept",         "training.output_dir",       "training.logging_steps",
    "training.save_steps", "training.save_total_limit", "training.memory_limit",
    "training.recompute",  "training.rank_timeout",     "training.check_ranks_steps",
};

/* A configuration as a list of keys and values. */
struct flat {
    struct arena *arena;
    const char **key, **value;
    int count, room;
};

static void flat_add(struct flat *flat, const char *key, const char *value)
{
    if (flat->count == flat->room) {
        const size_t room = flat->room ? 2 * (size_t)flat->room : 64;
        flat->key = arena_grow(flat->arena, flat->key, (size_t)flat->count, room, sizeof *flat->key);
        flat->value = arena_grow(flat->arena, flat->value, (size_t)flat->count, room, sizeof *flat->value);
        flat->room = (int)room;
    }
    flat->key[flat->count] = key;
    flat->value[flat->count++] = value;
}

/* yaml_parse() bounds the depth. */
static void flatten(struct flat *flat, const char *key, const struct yaml *value)
{
    if (value->kind == YAML_SCALAR)
        flat_add(flat, key, value->text);
    for (int i = 0; value->kind != YAML_SCALAR && i < value->count; i++)
        flatten(flat,
                value->kind == YAML_MAP ? arena_print(flat->arena, "%s%s%s", key, *key ? "." : "", value->key[i]) : arena_print(flat->arena, "%s.%d", key, i),
                value->item[i]);
}

static const char *flat_find(const struct flat *flat, const char *key)
{
    for (int i = 0; i < flat->count; i++)
        if (strcmp(flat->key[i], key) == 0)
            return flat->value[i];
    return NULL;
}

static enum status flat_read(struct flat *flat, const char *where, const struct described *run, struct error *err)
{
    struct yaml *root;
    TRY(yaml_parse(flat->arena, arena_print(flat->arena, "%s: configuration", where), run->config, strlen(run->config), &root, err));
    flatten(flat, "", root);
    for (int i = 0; run->identity && i < IDENTITY_PARTS; i++)
        flat_add(flat, identity_name[i], run->identity->text[i]);
    return OK;
}

static bool is_below(const char *key, const char *above)
{
    const size_t length = strlen(above);
    return strncmp(key, above, length) == 0 && (key[length] == 0 || key[length] == '.');
}

static bool is_harmless(const char *key)
{
    bool found = is_below(key, "data") && text_ends(key, ".path");
    for (size_t i = 0; i < COUNT(harmless) && !found; i++)
        found = is_below(key, harmless[i]);
    return found;
}

static bool is_allowed(const char *key, const struct allowed *allowed)
{
    for (int i = 0; i < allowed->count; i++)
        if (is_below(key, allowed->key[i]))
            return true;
    return false;
}

static enum status check_known(const struct flat *before, const struct flat *now, const struct allowed *allowed, struct error *err)
{
    for (int a = 0; a < allowed->count; a++) {
        const char *key = allowed->key[a];
        bool known = false;
        for (int i = 0; i < before->count + now->count && !known; i++)
            known = is_below(i < before->count ? before->key[i] : now->key[i - before->count], key);
        if (known)
            continue;
        const char *near = text_nearest(key, now->key, (size_t)now->count);
        fail_with(err, BAD_OPTION, "--allow-change %s: no such setting", "settings are named by their dotted path, as in training.seed", key);
        return near ? cure_with(err, "did you mean '%s'?", near) : BAD_OPTION;
    }
    return OK;
}

/* The differences seen so far. */
struct seen {
    const char *key, *before, *now; /* the first that is refused */
    int refused;
};

static void look_at(struct seen *seen, const char *key, const char *before, const char *now, const struct allowed *allowed)
{
    if (text_equal(before, now) || is_harmless(key))
        return;
    before = before && *before ? before : "absent";
    now = now && *now ? now : "absent";
    const bool fine = is_allowed(key, allowed);
    warn("%s was %.200s and is %.200s%s", key, before, now, fine ? ", as --allow-change allows" : "");
    if (!fine && seen->refused++ == 0) {
        seen->key = key;
        seen->before = before;
        seen->now = now;
    }
}

static const char *shown(struct arena *arena, const char *text)
{
    return text_make_printable(arena_text(arena, text, strlen(text)));
}

enum status changes_check(struct arena *arena, const char *where, const struct described *before, const struct described *now, const struct allowed *allowed,
                          struct error *err)
{
    struct flat old = { .arena = arena }, new = { .arena = arena };
    struct seen seen = { 0 };
    TRY(flat_read(&old, where, before, err));
    TRY(flat_read(&new, "this run", now, err));
    TRY(check_known(&old, &new, allowed, err));
    for (int i = 0; i < old.count; i++)
        look_at(&seen, old.key[i], old.value[i], flat_find(&new, old.key[i]), allowed);
    for (int i = 0; i < new.count; i++)
        if (!flat_find(&old, new.key[i]))
            look_at(&seen, new.key[i], NULL, new.value[i], allowed);
    if (seen.refused == 0)
        return OK;
    const char *key = shown(arena, seen.key);
    fail_with(err, BAD_CONFIG, "%s is of another run: %s was %.200s and is %.200s%s", "", where, key, shown(arena, seen.before), shown(arena, seen.now),
              seen.refused > 1 ? "; the others are listed above" : "");
    return cure_with(err, "change it back, allow it with --allow-change %.100s, or begin again with --force", key);
}

void changes_help(struct text *out)
{
    text_add_string(out, "\nWhen a run goes on, these may change, and where its data lie; any other only with --allow-change:\n");
    for (size_t i = 0; i < COUNT(harmless); i++)
        text_print(out, "  %s\n", harmless[i]);
    text_add_string(out, "So may what a run is made of, by these names:");
    for (int i = 0; i < IDENTITY_PARTS; i++)
        text_print(out, "%s %s", i ? "," : "", identity_name[i]);
    text_add_string(out, "\n");
}
