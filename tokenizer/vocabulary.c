/* Open addressing with linear probing, at most half full; the hash only has to be quick and even. */
#include "tokenizer/vocabulary.h"

#include <string.h>

/* Eight bytes at a time: multiply, fold the high half down. Odd constants from the golden ratio and the square root of 3. */
uint32_t hash_text(const char *bytes, size_t length)
{
    uint64_t state = 0x9E3779B97F4A7C15u ^ length;
    while (length > 0) {
        uint64_t word = 0;
        size_t step = length < 8 ? length : 8;
        memcpy(&word, bytes, step);
        state = (state ^ word) * 0xBB67AE8584CAA73Bu;
        state ^= state >> 32;
        bytes += step;
        length -= step;
    }
    return (uint32_t)(state ^ (state >> 15));
}

void vocabulary_init(struct vocabulary *vocabulary, struct arena *arena, uint32_t expected)
{
    uint32_t slots = 64;
    while (slots / 2 < expected && slots < (1u << 30))
        slots *= 2;
    *vocabulary = (struct vocabulary){ .arena = arena, .capacity = slots / 2, .mask = slots - 1 };
    vocabulary->entry = NEW_ARRAY(arena, vocabulary->capacity, struct entry);
    vocabulary->by_text = NEW_ARRAY(arena, slots, uint32_t);
}

static uint32_t slot_of(const struct vocabulary *vocabulary, const char *bytes, uint32_t length)
{
    uint32_t slot = hash_text(bytes, length) & vocabulary->mask;
    while (vocabulary->by_text[slot]) {
        const struct entry *entry = &vocabulary->entry[vocabulary->by_text[slot] - 1];
        if (entry->length == length && memcmp(entry->bytes, bytes, length) == 0)
            break;
        slot = (slot + 1) & vocabulary->mask;
    }
    return slot;
}

static void grow(struct vocabulary *vocabulary)
{
    struct vocabulary larger;
    vocabulary_init(&larger, vocabulary->arena, vocabulary->capacity * 2);
    memcpy(larger.entry, vocabulary->entry, vocabulary->count * sizeof *larger.entry);
    for (uint32_t i = 0; i < vocabulary->count; i++)
        larger.by_text[slot_of(&larger, larger.entry[i].bytes, larger.entry[i].length)] = i + 1;
    vocabulary->entry = larger.entry;
    vocabulary->by_text = larger.by_text;
    vocabulary->capacity = larger.capacity;
    vocabulary->mask = larger.mask;
}

void vocabulary_add(struct vocabulary *vocabulary, const char *bytes, uint32_t length, int32_t id)
{
    if (vocabulary->count == vocabulary->capacity)
        grow(vocabulary);
    uint32_t position = vocabulary->count++;
    vocabulary->by_text[slot_of(vocabulary, bytes, length)] = position + 1;
    vocabulary->entry[position] = (struct entry){ bytes, length, id };
    if (id >= vocabulary->id_capacity) {
        int64_t capacity = vocabulary->capacity;
        while (capacity <= id)
            capacity *= 2;
        vocabulary->by_id = arena_grow(vocabulary->arena, vocabulary->by_id, (size_t)vocabulary->id_capacity, (size_t)capacity, sizeof *vocabulary->by_id);
        vocabulary->id_capacity = capacity;
    }
    vocabulary->by_id[id] = position + 1;
    if (id >= vocabulary->size)
        vocabulary->size = (int64_t)id + 1;
}

int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, uint32_t length)
{
    uint32_t position = vocabulary->by_text[slot_of(vocabulary, bytes, length)];
    return position ? vocabulary->entry[position - 1].id : -1;
}

const struct entry *vocabulary_at(const struct vocabulary *vocabulary, int64_t id)
{
    if (id < 0 || id >= vocabulary->size || !vocabulary->by_id[id])
        return NULL;
    return &vocabulary->entry[vocabulary->by_id[id] - 1];
}
