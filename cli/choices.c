/* Which adapters lines of input ask for. */
#include "cli/choices.h"

#include "datasets/format.h"

#include <string.h>

enum status choices_check_keys(const json_t *line, const char *where, const char *const *known, size_t count, struct error *err)
{
    enum { MOST = 16 };
    const char *key, *all[MOST] = { "adapter" };
    json_t *value;
    CHECK(count < MOST);
    memcpy(all + 1, known, count * sizeof *known);
    json_object_foreach((json_t *)(uintptr_t)line, key, value)
    {
        bool there = false;
        for (size_t i = 0; i <= count; i++)
            there |= strcmp(key, all[i]) == 0;
        if (!there) {
            fail_with(err, BAD_DATA, "%s: unknown field '%.100s'", "", where, key);
            return cure_with_names(err, key, all, count + 1, "fields");
        }
    }
    return OK;
}

static enum status no_such_adapter(const struct choices *c, const char *where, const char *name, struct error *err)
{
    struct text names = text_new(c->opened->arena);
    for (int i = 0; i < c->opened->adapters; i++)
        text_print(&names, "%s%s", i ? ", " : "", c->opened->adapter[i]->name);
    fail_with(err, BAD_DATA, "%s: no adapter is named '%.200s'", "", where, name);
    return c->opened->adapters ? cure_with(err, "name one of: %s", names.bytes) : cure_with(err, "give it with --adapter %.200s=DIR", name);
}

static enum status add_named(const struct choices *c, struct choice *choice, const json_t *name, struct error *err)
{
    if (!json_is_string(name))
        return fail_with(err, BAD_DATA, "%s: \"adapter\" is no name, no list of names and not null", "write for instance \"adapter\": \"support\"",
                         choice->where);
    const char *text = json_string_value(name);
    for (int i = 0; i < choice->count; i++)
        if (strcmp(choice->adapter[i]->name, text) == 0)
            return fail_with(err, BAD_DATA, "%s: adapter '%.200s' is named twice", "name each adapter once", choice->where, text);
    for (int i = 0; i < c->opened->adapters; i++)
        if (strcmp(c->opened->adapter[i]->name, text) == 0) {
            choice->adapter[choice->count++] = c->opened->adapter[i];
            return OK;
        }
    return no_such_adapter(c, choice->where, text, err);
}

static enum status read_choice(const struct choices *c, const json_t *line, struct choice *choice, struct error *err)
{
    const json_t *member = line ? json_object_get(line, "adapter") : NULL;
    choice->adapter = NEW_ARRAY(c->opened->arena, c->opened->adapters, struct adapter *);
    for (int i = 0; i < c->opened->adapters && !member; i++)
        choice->adapter[choice->count++] = c->opened->adapter[i];
    for (size_t i = 0; i < json_array_size(member); i++)
        TRY(add_named(c, choice, json_array_get(member, i), err));
    if (member && !json_is_array(member) && !json_is_null(member))
        TRY(add_named(c, choice, member, err));
    return OK;
}

enum status choices_read(struct choices *c, const json_t *line, const char *where, int *number, struct error *err)
{
    struct choice asked = { .where = where };
    TRY(read_choice(c, line, &asked, err));
    for (*number = 0; *number < c->count; ++*number) {
        const struct choice *there = &c->choice[*number];
        if (there->count == asked.count && memcmp(there->adapter, asked.adapter, (size_t)asked.count * sizeof *asked.adapter) == 0)
            return OK;
    }
    if (c->count == MOST_SETS)
        return fail_with(err, BAD_DATA, "%s: asks for other adapters than %d lines before, all different", "split the lines into several runs", where,
                         MOST_SETS);
    if (adapters_check(asked.adapter, asked.count, err) != OK)
        return place_failure(err, where);
    c->choice[c->count++] = asked;
    return OK;
}

void choices_apply(const struct choices *c)
{
    struct arena *arena = c->opened->arena;
    struct seam_set *set = NEW_ARRAY(arena, c->count, struct seam_set);
    for (int i = 0; i < c->count; i++) {
        const struct choice *choice = &c->choice[i];
        const struct seams **seams = NEW_ARRAY(arena, choice->count, const struct seams *);
        for (int k = 0; k < choice->count; k++)
            seams[k] = &choice->adapter[k]->seams;
        set[i] = (struct seam_set){ seams, choice->count };
    }
    if (c->count)
        session_choose(&c->opened->session, set, c->count);
}
