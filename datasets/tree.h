/* Trees of messages, as Open-Assistant exports them: gathered from a whole file, joined by their parents' ids, walked for conversations. */
#ifndef GRAFT_DATASETS_TREE_H
#define GRAFT_DATASETS_TREE_H

#include "datasets/format.h"

enum { NO_MESSAGE = -1 };

struct message {
    const char *id, *parent_id; /* NULL: none */
    const char *where;
    const char *text;
    size_t length;
    enum turn_role role; /* USER or ASSISTANT */
    const char *lang;    /* NULL: not said, as below */
    double quality;      /* below 0 */
    int64_t rank;        /* among its siblings, 0 is the best; below 0 */
    bool deleted, synthetic, approved, exported;
    int64_t parent, first_reply, last_reply, next; /* indices; replies in the order of the file */
    int depth;
    bool reached;
};

struct forest {
    struct arena *arena;
    struct message *message;
    int64_t count, room;
};

/* The new message's replies and siblings are not known yet; `parent` is, where the file nests (NO_MESSAGE: its parent_id says, or it is a root). Its index. */
int64_t forest_add(struct forest *forest, struct message message, int64_t parent);
/* Joins all messages. BAD_DATA with file:line: an id twice, a parent that is nowhere, a message among its own ancestors, a tree deeper than DEEPEST_TREE. */
enum { DEEPEST_TREE = 1000 };
enum status forest_join(struct forest *forest, struct error *err) MUST_USE;
/* Gives the conversations of all trees to the reading, at most `limit` trees (0: all). */
enum status forest_read(struct reading *reading, struct forest *forest, int64_t limit, struct error *err) MUST_USE;

#endif
