/* The hash says the row, and a row holds the two words that were met last. */
#include "tokenizer/words.h"

#include <stdatomic.h>
#include <string.h>

enum { ROWS = 1 << 15, LONGEST_WORD = 32, MOST_PARTS = 5, MOST_AT_ONCE = 64 };

struct slot {
    uint8_t length, count;                      /* length 0: free */
    uint8_t begin[MOST_PARTS], end[MOST_PARTS]; /* of the word's bytes: parts may overlap, and bytes may belong to none */
    int32_t id[MOST_PARTS];
    char bytes[LONGEST_WORD];
};
_Static_assert(sizeof(struct slot) == 64, "a slot is one line of the processor's cache");

struct row {
    struct slot slot[2]; /* the later one first */
};

struct words {
    atomic_flag taken;
    struct arena *arena;
    struct row *row;
};

struct word_pool {
    struct arena *arena;
    struct words words[MOST_AT_ONCE];
};

struct word_pool *word_pool_new(struct arena *arena)
{
    struct word_pool *pool = NEW(arena, struct word_pool);
    pool->arena = arena;
    for (int i = 0; i < MOST_AT_ONCE; i++)
        atomic_flag_clear(&pool->words[i].taken);
    return pool;
}

void word_pool_close(struct word_pool *pool)
{
    for (int i = 0; pool && i < MOST_AT_ONCE; i++)
        arena_destroy(pool->words[i].arena);
}

struct words *words_take(struct word_pool *pool)
{
    for (int i = 0; i < MOST_AT_ONCE; i++) {
        struct words *words = &pool->words[i];
        if (atomic_flag_test_and_set_explicit(&words->taken, memory_order_acquire))
            continue;
        if (!words->row) {
            words->arena = arena_create_like(pool->arena);
            words->row = NEW_ARRAY(words->arena, ROWS, struct row);
        }
        return words;
    }
    return NULL;
}

void words_give_back(struct words *words)
{
    if (words)
        atomic_flag_clear_explicit(&words->taken, memory_order_release);
}

static struct row *row_of(const struct words *words, const char *word, uint32_t length)
{
    return &words->row[hash_text(word, length) % ROWS];
}

bool words_recall(const struct words *words, const char *word, uint32_t length, uint32_t begin, struct parts *parts)
{
    if (!words || length > LONGEST_WORD)
        return false;
    const struct slot *slot = row_of(words, word, length)->slot, *end = slot + 2;
    while (slot < end && (slot->length != length || memcmp(slot->bytes, word, length) != 0))
        slot++;
    if (slot == end)
        return false;
    for (int i = 0; i < slot->count; i++)
        parts_add(parts, (struct part){ slot->id[i], begin + slot->begin[i], begin + slot->end[i] });
    return true;
}

void words_keep(struct words *words, const char *word, uint32_t length, uint32_t begin, const struct parts *parts, size_t count)
{
    if (!words || length > LONGEST_WORD || count > MOST_PARTS)
        return;
    struct row *row = row_of(words, word, length);
    struct slot slot = { .length = (uint8_t)length, .count = (uint8_t)count };
    memcpy(slot.bytes, word, length);
    for (size_t i = 0; i < count; i++) {
        const struct part part = parts->part[parts->count - count + i];
        slot.id[i] = part.id;
        slot.begin[i] = (uint8_t)(part.begin - begin);
        slot.end[i] = (uint8_t)(part.end - begin);
    }
    row->slot[1] = row->slot[0];
    row->slot[0] = slot;
}
