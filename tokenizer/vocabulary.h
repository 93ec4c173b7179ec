/* Strings and their ids, both ways: the model's vocabulary, and the added tokens.
 *
 * The strings stay where the caller put them. Ids may have gaps; a gap costs four bytes.
 */
#ifndef GRAFT_TOKENIZER_VOCABULARY_H
#define GRAFT_TOKENIZER_VOCABULARY_H

#include "common/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum { LARGEST_ID = (1 << 24) - 1 };

struct entry {
    const char *bytes; /* NUL behind them, for callers that want a C string; a token may hold NULs itself */
    uint32_t length;
    int32_t id;
};

struct vocabulary {
    struct arena *arena;
    struct entry *entry; /* in the order they were added */
    uint32_t count, capacity;
    uint32_t *by_text; /* open addressing: position of the entry + 1, 0 = free */
    uint32_t mask;
    uint32_t *by_id; /* position of the entry + 1, 0 = none */
    int64_t size;    /* one more than the largest id */
    int64_t id_capacity;
};

/* expected: about how many entries will come (more are fine). */
void vocabulary_init(struct vocabulary *vocabulary, struct arena *arena, uint32_t expected);
/* Adds an entry; the text must not be there yet. An id that has a text already gets the new one. 0 <= id <= LARGEST_ID. */
void vocabulary_add(struct vocabulary *vocabulary, const char *bytes, uint32_t length, int32_t id);
/* -1: no such text. */
int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, uint32_t length);
/* NULL: no such id. */
const struct entry *vocabulary_at(const struct vocabulary *vocabulary, int64_t id);

uint32_t hash_text(const char *bytes, size_t length);

#endif
