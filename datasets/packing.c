/* Best fit decreasing. Open micro-batches are kept sorted by the room that is left, so the one that fits best is found by halving; one that not even the
 * shortest sequence fits into is no longer open.
 */
#include "datasets/dataset.h"

#include <stdlib.h>
#include <string.h>

struct packed {
    int64_t tokens, place, batch; /* place: in the order of the step; batch: in the order they were begun */
};

struct open_batch {
    int64_t room, batch;
};

struct packing packing_new(struct arena *arena, int64_t room)
{
    return (struct packing){ .sequence = NEW_ARRAY(arena, room, const struct sequence *),
                             .row = NEW_ARRAY(arena, room, int64_t),
                             .first = NEW_ARRAY(arena, room + 1, int64_t),
                             .packed = NEW_ARRAY(arena, room, struct packed),
                             .open = NEW_ARRAY(arena, room, struct open_batch),
                             .number = NEW_ARRAY(arena, room, int64_t),
                             .room = room };
}

static int by_length(const void *one, const void *other)
{
    const struct packed *a = one, *b = other;
    return a->tokens != b->tokens ? (a->tokens < b->tokens) - (a->tokens > b->tokens) : (a->place > b->place) - (a->place < b->place);
}

static int by_place(const void *one, const void *other)
{
    const struct packed *a = one, *b = other;
    return (a->place > b->place) - (a->place < b->place);
}

/* The first of the open ones that does not come before (room, batch). */
static int64_t find(const struct open_batch *open, int64_t count, int64_t room, int64_t batch)
{
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (open[middle].room < room || (open[middle].room == room && open[middle].batch < batch))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Gives every sequence of packed[0..count), the longest first, its batch; returns how many were begun. */
static int64_t assign(struct packed *packed, int64_t count, int64_t bound, struct open_batch *open)
{
    const int64_t shortest = count ? packed[count - 1].tokens : 0;
    int64_t batches = 0, opened = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = find(open, opened, packed[i].tokens, 0);
        struct open_batch now = { bound, batches };
        if (at < opened) {
            now = open[at];
            memmove(open + at, open + at + 1, (size_t)(--opened - at) * sizeof *open);
        } else {
            batches++;
        }
        packed[i].batch = now.batch;
        now.room -= packed[i].tokens;
        if (now.room < shortest)
            continue;
        const int64_t to = find(open, opened, now.room, now.batch);
        memmove(open + to + 1, open + to, (size_t)(opened++ - to) * sizeof *open);
        open[to] = now;
    }
    return batches;
}

int64_t packing_fill(struct packing *packing, const struct sequence *const *sequence, int64_t count, int64_t micro_batch_tokens)
{
    struct packed *packed = packing->packed;
    int64_t *number = packing->number, *first = packing->first, seen = 0, row = 0;
    CHECK(count <= packing->room);
    for (int64_t i = 0; i < count; i++)
        packed[i] = (struct packed){ .tokens = sequence[i]->count, .place = i };
    qsort(packed, (size_t)count, sizeof *packed, by_length);
    const int64_t batches = assign(packed, count, micro_batch_tokens, packing->open);
    qsort(packed, (size_t)count, sizeof *packed, by_place);
    for (int64_t b = 0; b < batches; b++)
        number[b] = -1;
    memset(first, 0, (size_t)(batches + 1) * sizeof *first);
    for (int64_t i = 0; i < count; i++) {
        int64_t *mine = &number[packed[i].batch];
        *mine = *mine < 0 ? seen++ : *mine;
        packed[i].batch = *mine;
        first[*mine + 1]++;
    }
    for (int64_t b = 0; b < batches; b++)
        first[b + 1] += first[b];
    for (int64_t b = 0; b < batches; b++)
        number[b] = first[b]; /* where its next sequence goes */
    for (int64_t i = 0; i < count; i++) {
        const int64_t to = number[packed[i].batch]++;
        packing->sequence[to] = sequence[i];
        packing->row[to] = row;
        row += packed[i].tokens;
    }
    return batches;
}
