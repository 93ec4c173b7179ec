/* Growing arrays and nothing else; what the stages do is in normalize.c and pretokenize.c. */
#include "tokenizer/passage.h"

#include <string.h>

void passages_begin(struct passages *passages, struct arena *arena, const char *text, uint32_t length)
{
    *passages = (struct passages){ .side = { { .arena = arena }, { .arena = arena } } };
    passages->now = &passages->side[0];
    passages->next = &passages->side[1];
    uint64_t limit = (uint64_t)length * 32 + (16 << 20);
    passages->limit = limit > LONGEST_TEXT ? LONGEST_TEXT : (uint32_t)limit;
    passages->now->bytes = (char *)(uintptr_t)text; /* never written: only `next` is, and it has no bytes yet */
    passages->now->length = length;
    passage_add_piece(passages->now, (struct piece){ 0, length, -1, { 0, 0 } });
}

enum status passages_check(const struct passages *passages, struct error *err)
{
    if (!passages->too_long)
        return OK;
    return fail_with(err, BAD_DATA, "the tokenizer's normalizer makes more than %u bytes of this text",
                     "cut the text into shorter records, or look at the normalizer in tokenizer.json", passages->limit);
}

void passages_turn(struct passages *passages)
{
    struct passage *old = passages->now;
    passages->now = passages->next;
    passages->next = old;
    if (!old->from) /* the user's own text: never to be written */
        old->bytes = NULL;
    old->length = old->count = 0;
}

void passages_swap_pieces(struct passages *passages)
{
    struct passage *now = passages->now, *next = passages->next;
    struct piece *piece = now->piece;
    uint32_t room = now->room;
    now->piece = next->piece;
    now->count = next->count;
    now->room = next->room;
    next->piece = piece;
    next->count = 0;
    next->room = room;
}

struct span passage_span(const struct passage *passage, uint32_t begin, uint32_t end)
{
    if (!passage->from)
        return (struct span){ begin, end };
    return (struct span){ passage->from[begin].begin, passage->from[end - 1].end };
}

void passage_add_piece(struct passage *passage, struct piece piece)
{
    if (piece.id < 0 && piece.begin == piece.end)
        return;
    if (passage->count == passage->room) {
        uint32_t room = passage->room ? passage->room * 2 : 16;
        passage->piece = arena_grow(passage->arena, passage->piece, passage->count, room, sizeof *passage->piece);
        passage->room = room;
    }
    passage->piece[passage->count++] = piece;
}

/* Room for `more` bytes in next; false beyond the limit. */
static bool reserve(struct passages *passages, uint32_t more)
{
    struct passage *next = passages->next;
    if (more > passages->limit - next->length) {
        passages->too_long = true;
        return false;
    }
    if (more <= next->capacity - next->length && next->from)
        return true;
    uint64_t capacity = (uint64_t)next->capacity * 2 + more;
    if (capacity < (uint64_t)passages->now->length * 5 / 4 + 64)
        capacity = (uint64_t)passages->now->length * 5 / 4 + 64;
    next->bytes = arena_grow(next->arena, next->bytes, next->length, (size_t)capacity, 1);
    next->from = arena_grow(next->arena, next->from, next->length, (size_t)capacity, sizeof *next->from);
    next->capacity = (uint32_t)capacity;
    return true;
}

void passages_keep(struct passages *passages, uint32_t begin, uint32_t end)
{
    const struct passage *now = passages->now;
    struct passage *next = passages->next;
    if (begin == end || !reserve(passages, end - begin))
        return;
    memcpy(next->bytes + next->length, now->bytes + begin, end - begin);
    struct span *from = next->from + next->length;
    next->length += end - begin;
    if (now->from) {
        memcpy(from, now->from + begin, (end - begin) * sizeof *from);
        return;
    }
    for (uint32_t at = begin; at < end;) { /* a byte inside a character stands for the whole character */
        uint32_t stop = at + 1;
        while (stop < end && ((unsigned char)now->bytes[stop] & 0xC0) == 0x80)
            stop++;
        for (uint32_t first = at; at < stop; at++)
            *from++ = (struct span){ first, stop };
    }
}

void passages_put(struct passages *passages, const char *bytes, uint32_t length, struct span from)
{
    struct passage *next = passages->next;
    if (length == 0 || !reserve(passages, length))
        return;
    memcpy(next->bytes + next->length, bytes, length);
    for (uint32_t i = 0; i < length; i++)
        next->from[next->length + i] = from;
    next->length += length;
}
