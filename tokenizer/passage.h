/* Text on its way from what the user wrote to what the model looks up: bytes, where each byte came from, and the pieces it is cut into.
 *
 * A stage reads `now` and either changes only the cuts or writes `next` anew; then the two change places. Every byte knows the span of
 * the original it stands for, so after any number of stages a token still knows its place in the original:
 *   a rewritten character stands for the character (or, for Unicode forms, the cluster) it replaced;
 *   an inserted one (prefix) stands for an empty span in front of the character that follows it.
 */
#ifndef GRAFT_TOKENIZER_PASSAGE_H
#define GRAFT_TOKENIZER_PASSAGE_H

#include "common/arena.h"
#include "common/status.h"

#include <stdint.h>

struct span {
    uint32_t begin, end;
};

struct piece {
    uint32_t begin, end; /* of the passage's bytes; not empty unless id >= 0 */
    int32_t id;          /* an added token was found here, or -1 */
    struct span from;    /* of the original, for id >= 0 */
};

struct passage {
    struct arena *arena;
    char *bytes;
    struct span *from; /* of each byte; NULL: the bytes are the original */
    uint32_t length, capacity;
    struct piece *piece;
    uint32_t count, room;
};

/* Two passages that take turns. */
struct passages {
    struct passage *now, *next;
    struct passage side[2];
    uint32_t limit; /* of a passage's length: a replacement must not blow a text up without end */
    bool too_long;  /* somebody wanted more; what was written beyond the limit is missing */
};

/* The whole text as one piece, without copying it. length <= LONGEST_TEXT. */
enum { LONGEST_TEXT = 1 << 30 };
void passages_begin(struct passages *passages, struct arena *arena, const char *text, uint32_t length);
/* BAD_DATA if a stage wrote beyond the limit. */
enum status passages_check(const struct passages *passages, struct error *err) MUST_USE;
/* next becomes now, and the old now is emptied for the next stage. */
void passages_turn(struct passages *passages);
/* The pieces gathered in `next` become those of `now`; the bytes stay. */
void passages_swap_pieces(struct passages *passages);

/* Where bytes [begin, end) of the passage came from; begin < end. */
struct span passage_span(const struct passage *passage, uint32_t begin, uint32_t end);
/* Adds a piece; an empty one without id is left out. */
void passage_add_piece(struct passage *passage, struct piece piece);

/* Writing `next`. Bytes come from `now` unchanged ... */
void passages_keep(struct passages *passages, uint32_t begin, uint32_t end);
/* ... or are new, standing for `from`. */
void passages_put(struct passages *passages, const char *bytes, uint32_t length, struct span from);

#endif
