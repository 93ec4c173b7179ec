/* The arena: alignment, zeroes, growth, and that no request can overflow into a small one. */
#include "tests/unit/scratch.h"

#ifdef GRAFT_SANITIZE
/* Impossible requests are the point here: let them fail as they do without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

static jmp_buf out_of_memory;
static void no_memory(size_t bytes)
{
    (void)bytes;
    longjmp(out_of_memory, 1);
}

static void memory_is_zeroed_and_aligned(void **state)
{
    struct scratch *s = *state;
    for (size_t size = 0; size < 3000; size = size * 2 + 1) {
        uint8_t *bytes = arena_alloc(s->arena, size);
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % (size < 64 ? 16 : 64), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], 0);
        memset(bytes, 0xAB, size);
    }
}

static void large_and_small_requests_do_not_overlap(void **state)
{
    struct scratch *s = *state;
    enum { PIECES = 200 };
    uint8_t *piece[PIECES];
    size_t size[PIECES];
    for (int i = 0; i < PIECES; i++) {
        size[i] = (size_t)(i * i * 97 % 100003);
        piece[i] = arena_alloc(s->arena, size[i]);
        memset(piece[i], i + 1, size[i]);
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t b = 0; b < size[i]; b++)
            if (piece[i][b] != (uint8_t)(i + 1))
                fail_msg("byte %zu of piece %d was overwritten", b, i);
    assert_true(arena_used(s->arena) > 0);
}

static void growing_keeps_the_items(void **state)
{
    struct scratch *s = *state;
    int *items = arena_grow(s->arena, NULL, 0, 4, sizeof *items);
    for (int i = 0; i < 4; i++)
        items[i] = i;
    items = arena_grow(s->arena, items, 4, 1000, sizeof *items);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i < 4 ? i : 0);
}

static void impossible_requests_reach_the_handler(void **state)
{
    (void)state;
    static const struct {
        size_t count, size;
    } cases[] = { { SIZE_MAX, 2 }, { SIZE_MAX, 1 }, { SIZE_MAX - 64, 1 }, { SIZE_MAX / 2, 1 }, { (size_t)1 << 33, (size_t)1 << 33 } };
    struct arena *arena = arena_create(no_memory), *like = arena_create_like(arena);
    for (volatile size_t i = 0; i < COUNT(cases); i++) {
        if (setjmp(out_of_memory) == 0) {
            arena_array(like, cases[i].count, cases[i].size);
            fail_msg("case %zu was granted", i);
        }
    }
    arena_destroy(like);
    arena_destroy(arena);
    arena_destroy(NULL);
}

static void text_is_copied_and_printed(void **state)
{
    struct scratch *s = *state;
    assert_string_equal(arena_text(s->arena, "abcdef", 3), "abc");
    assert_string_equal(arena_text(s->arena, NULL, 0), "");
    char *text = arena_print(s->arena, "%0500d|%s", 7, "end");
    assert_int_equal(strlen(text), 504);
    assert_string_equal(text + 499, "7|end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(memory_is_zeroed_and_aligned), SCRATCH_TEST(large_and_small_requests_do_not_overlap),
        SCRATCH_TEST(growing_keeps_the_items),      cmocka_unit_test(impossible_requests_reach_the_handler),
        SCRATCH_TEST(text_is_copied_and_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
