/* Host memory with one owner. Blocks grow; a large request gets a block of its own. */
#include "common/arena.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From MAPPED bytes on a block is pages of its own, so that destroying gives them back: malloc would keep them for this process. */
enum { ALIGNMENT = 64, SMALL_ALIGNMENT = 16, FIRST_BLOCK = 64 << 10, MAPPED = 256 << 10, LARGEST_BLOCK = 4 << 20 };

struct block {
    struct block *before;
    size_t size, used; /* of bytes behind this header */
    size_t room;       /* with it */
};

struct arena {
    arena_exhausted *handler;
    struct block *newest;
    size_t handed_out, next_block;
};

static void *exhausted(arena_exhausted *handler, size_t bytes)
{
    if (handler)
        handler(bytes);
    const bool has_memory = false;
    CHECK(has_memory);
    return NULL;
}

struct arena *arena_create(arena_exhausted *handler)
{
    struct arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return exhausted(handler, sizeof *arena);
    *arena = (struct arena){ .handler = handler, .next_block = FIRST_BLOCK };
    return arena;
}

struct arena *arena_create_like(const struct arena *like)
{
    return arena_create(like->handler);
}

void arena_destroy(struct arena *arena)
{
    if (!arena)
        return;
    for (struct block *block = arena->newest, *before; block; block = before) {
        before = block->before;
        if (block->room >= MAPPED)
            munmap(block, block->room);
        else
            free(block);
    }
    free(arena);
}

static struct block *block_new(struct arena *arena, size_t size)
{
    struct block *block = NULL;
    if (size >= SIZE_MAX - 2 * ALIGNMENT)
        return exhausted(arena->handler, size);
    size_t room = (size + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (room < MAPPED)
        block = aligned_alloc(ALIGNMENT, room);
    else if ((block = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) == MAP_FAILED)
        block = NULL;
    if (!block)
        return exhausted(arena->handler, size);
    *block = (struct block){ .before = arena->newest, .size = size, .room = room };
    arena->newest = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct block *block = arena->newest;
    if (size > SIZE_MAX - 2 * ALIGNMENT)
        return exhausted(arena->handler, size);
    size_t alignment = size < ALIGNMENT ? SMALL_ALIGNMENT : ALIGNMENT;
    size_t rounded = (size + alignment - 1) / alignment * alignment;
    size_t begin = block ? (block->used + alignment - 1) / alignment * alignment : 0;
    if (!block || begin > block->size || rounded > block->size - begin) {
        block = block_new(arena, rounded > arena->next_block ? rounded : arena->next_block);
        begin = 0;
        if (arena->next_block < LARGEST_BLOCK)
            arena->next_block *= 2;
    }
    uint8_t *bytes = (uint8_t *)block + ALIGNMENT + begin;
    block->used = begin + rounded;
    arena->handed_out += rounded;
    return memset(bytes, 0, rounded);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return exhausted(arena->handler, SIZE_MAX);
    return arena_alloc(arena, bytes);
}

void *arena_grow(struct arena *arena, const void *old, size_t count, size_t capacity, size_t size)
{
    CHECK(count <= capacity);
    void *items = arena_array(arena, capacity, size);
    if (count)
        memcpy(items, old, count * size);
    return items;
}

char *arena_text(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    if (length)
        memcpy(copy, text, length);
    return copy;
}

char *arena_print(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

size_t arena_used(const struct arena *arena)
{
    return arena->handed_out;
}
