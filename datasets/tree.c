/* A forest of messages: joined by ids, walked for conversations.
 *
 * Which paths become conversations follows Open-Assistant's own reader (oasst_data, oasst_dataset.py): a path from the first message to a leaf; one that ends
 * with a question counts only if that is the first reply, and loses it, so that no conversation is taken twice. best_path takes the best reply at each step, as
 * openassistant-guanaco was made (Dettmers et al. 2023).
 */
#include "datasets/tree.h"

#include <inttypes.h>
#include <string.h>

const struct thread_settings default_threads = { .mode = ALL_PATHS, .review_result = true };

int64_t forest_add(struct forest *forest, struct message message, int64_t parent)
{
    if (forest->count == forest->room) {
        const int64_t room = forest->room ? 2 * forest->room : 256;
        forest->message = arena_grow(forest->arena, forest->message, (size_t)forest->count, (size_t)room, sizeof message);
        forest->room = room;
    }
    message.parent = parent;
    message.first_reply = message.last_reply = message.next = NO_MESSAGE;
    forest->message[forest->count] = message;
    return forest->count++;
}

struct index {
    int64_t *slot; /* position + 1 */
    size_t mask;
};

static int64_t *index_find(const struct index *index, const struct forest *forest, const char *id)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (const char *c = id; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001B3u;
    size_t at = (size_t)hash & index->mask;
    while (index->slot[at] != 0 && strcmp(forest->message[index->slot[at] - 1].id, id) != 0)
        at = (at + 1) & index->mask;
    return &index->slot[at];
}

static enum status index_all(struct index *index, struct forest *forest, struct error *err)
{
    size_t room = 16;
    while (room < 2 * (size_t)forest->count)
        room *= 2;
    *index = (struct index){ NEW_ARRAY(forest->arena, room, int64_t), room - 1 };
    for (int64_t i = 0; i < forest->count; i++) {
        int64_t *slot = index_find(index, forest, forest->message[i].id);
        if (*slot)
            return fail_with(err, BAD_DATA, "%s: message '%.60s' is there already, at %s", "each message has an id of its own: remove one of the two",
                             forest->message[i].where, forest->message[i].id, forest->message[*slot - 1].where);
        *slot = i + 1;
    }
    return OK;
}

/* The message behind i in the order of a walk that visits a message before its replies; NO_MESSAGE behind the last of the tree. */
static int64_t walk_on(const struct forest *forest, int64_t i)
{
    if (forest->message[i].first_reply != NO_MESSAGE)
        return forest->message[i].first_reply;
    while (i != NO_MESSAGE && forest->message[i].next == NO_MESSAGE)
        i = forest->message[i].parent;
    return i == NO_MESSAGE ? NO_MESSAGE : forest->message[i].next;
}

static enum status check_tree(struct forest *forest, int64_t root, struct error *err)
{
    for (int64_t i = root; i != NO_MESSAGE; i = walk_on(forest, i)) {
        struct message *message = &forest->message[i];
        message->reached = true;
        message->depth = message->parent == NO_MESSAGE ? 1 : forest->message[message->parent].depth + 1;
        if (message->depth > DEEPEST_TREE)
            return fail_with(err, BAD_DATA, "%s: message '%.60s' has %d messages above it", "a tree may be 1000 messages deep: check parent_id", message->where,
                             message->id, message->depth - 1);
    }
    return OK;
}

enum status forest_join(struct forest *forest, struct error *err)
{
    struct index index;
    TRY(index_all(&index, forest, err));
    for (int64_t i = 0; i < forest->count; i++) {
        struct message *message = &forest->message[i];
        const int64_t *slot = message->parent == NO_MESSAGE && message->parent_id ? index_find(&index, forest, message->parent_id) : NULL;
        if (slot && *slot == 0)
            return fail_with(err, BAD_DATA, "%s: message '%.60s' answers '%.60s', which is not in the file",
                             "the file may be cut or filtered: all messages of a tree belong into it", message->where, message->id, message->parent_id);
        message->parent = slot ? *slot - 1 : message->parent;
        if (message->parent == NO_MESSAGE)
            continue;
        struct message *parent = &forest->message[message->parent];
        if (parent->first_reply == NO_MESSAGE)
            parent->first_reply = i;
        else
            forest->message[parent->last_reply].next = i;
        parent->last_reply = i;
    }
    for (int64_t i = 0; i < forest->count; i++)
        if (forest->message[i].parent == NO_MESSAGE)
            TRY(check_tree(forest, i, err));
    for (int64_t i = 0; i < forest->count; i++)
        if (!forest->message[i].reached)
            return fail_with(err, BAD_DATA, "%s: message '%.60s' answers an answer to itself", "follow its parent_id: the messages form a circle",
                             forest->message[i].where, forest->message[i].id);
    return OK;
}

static bool takes_tree(const struct thread_settings *settings, const struct message *root)
{
    bool speaks = settings->langs == 0 || !root->lang;
    for (int i = 0; i < settings->langs; i++)
        speaks |= root->lang && strcmp(root->lang, settings->lang[i]) == 0;
    return speaks && root->exported && (root->approved || !settings->review_result);
}

static bool takes_message(const struct thread_settings *settings, const struct message *message)
{
    if ((message->deleted && !settings->deleted) || (message->synthetic && !settings->synthetic))
        return false;
    return message->role != ASSISTANT || message->quality < 0 || message->quality >= settings->min_quality;
}

static bool ranks_high(const struct thread_settings *settings, const struct forest *forest, const struct message *message)
{
    if (settings->mode != TOP_K || message->role != ASSISTANT || message->parent == NO_MESSAGE)
        return true;
    const struct message *parent = &forest->message[message->parent];
    return message->rank < 0 ? parent->first_reply == parent->last_reply : message->rank < settings->top_k;
}

/* The conversation that ends with a message. */
static void add_thread(struct reading *reading, const struct forest *forest, int64_t last, int64_t group)
{
    const int count = forest->message[last].depth;
    struct turn *turn = NEW_ARRAY(reading->block, count, struct turn);
    for (int64_t i = last, t = count - 1; t >= 0; t--, i = forest->message[i].parent)
        turn[t] = turn_of(forest->message[i].role, forest->message[i].text, forest->message[i].length);
    reading_add_turns(reading, turn, count, forest->message[last].where, group);
}

static bool takes_path(const struct thread_settings *settings, const struct forest *forest, int64_t leaf)
{
    const struct message *last = &forest->message[leaf];
    if (last->first_reply != NO_MESSAGE || last->parent == NO_MESSAGE)
        return false;
    if (last->role != ASSISTANT && forest->message[last->parent].first_reply != leaf)
        return false;
    for (int64_t i = leaf; i != NO_MESSAGE; i = forest->message[i].parent)
        if (!takes_message(settings, &forest->message[i]) || !ranks_high(settings, forest, &forest->message[i]))
            return false;
    return true;
}

/* The best of the replies that may be taken: the lowest rank, those without one last, the first of equals. */
static int64_t best_reply(const struct thread_settings *settings, const struct forest *forest, int64_t parent)
{
    int64_t best = NO_MESSAGE;
    for (int64_t i = forest->message[parent].first_reply; i != NO_MESSAGE; i = forest->message[i].next) {
        const int64_t rank = forest->message[i].rank;
        if (takes_message(settings, &forest->message[i]) &&
            (best == NO_MESSAGE || (rank >= 0 && (forest->message[best].rank < 0 || rank < forest->message[best].rank))))
            best = i;
    }
    return best;
}

static enum status read_tree(struct reading *reading, const struct thread_settings *settings, const struct forest *forest, int64_t root, struct error *err)
{
    const int64_t group = reading->groups++;
    if (settings->mode == BEST_PATH) {
        int64_t last = root;
        for (int64_t next = takes_message(settings, &forest->message[root]) ? best_reply(settings, forest, root) : NO_MESSAGE; next != NO_MESSAGE;
             next = best_reply(settings, forest, next))
            last = next;
        if (last != root)
            add_thread(reading, forest, last, group);
        return reading_encode(reading, false, err);
    }
    for (int64_t i = root; i != NO_MESSAGE; i = walk_on(forest, i))
        if (takes_path(settings, forest, i)) {
            add_thread(reading, forest, i, group);
            TRY(reading_encode(reading, false, err));
        }
    return OK;
}

enum status forest_read(struct reading *reading, struct forest *forest, int64_t limit, struct error *err)
{
    const struct thread_settings *settings = reading->source->threads ? reading->source->threads : &default_threads;
    int64_t trees = 0;
    for (int64_t i = 0; i < forest->count && (limit == 0 || trees < limit); i++) {
        const int64_t before = reading->counts->conversations;
        if (forest->message[i].parent != NO_MESSAGE)
            continue;
        trees++;
        if (takes_tree(settings, &forest->message[i]))
            TRY(read_tree(reading, settings, forest, i, err));
        reading->counts->filtered += before == reading->counts->conversations;
    }
    return OK;
}
