/* Host memory with one owner: allocate as you go, release everything at once.
 *
 * A function that allocates takes its arena first, so who pays is visible at the call. arena_alloc() never returns NULL:
 * when the machine has no memory left it calls the handler given at creation, which must not return (cli/ reports and
 * exits 1). So no caller checks, and no caller can forget to.
 */
#ifndef GRAFT_COMMON_ARENA_H
#define GRAFT_COMMON_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;
typedef void arena_exhausted(size_t bytes);

/* NULL handler: CHECK fails instead. */
struct arena *arena_create(arena_exhausted *handler);
/* An arena with the handler of `like`, to be destroyed on its own: for work whose memory should not stay. */
struct arena *arena_create_like(const struct arena *like);
void arena_destroy(struct arena *arena); /* NULL is fine */

/* Zeroed; aligned to 64 bytes, requests below 64 bytes to 16. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);
/* count * size with overflow checked (an overflow is treated as exhaustion). */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* A copy of `count` items with room for `capacity` items; for arrays that grow by doubling. old may be NULL if count is 0. */
void *arena_grow(struct arena *arena, const void *old, size_t count, size_t capacity, size_t size);
/* A NUL-terminated copy of `length` bytes. */
char *arena_text(struct arena *arena, const char *text, size_t length);
char *arena_print(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

#define NEW(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define NEW_ARRAY(arena, n, type) ((type *)arena_array((arena), (size_t)(n), sizeof(type)))

#endif
