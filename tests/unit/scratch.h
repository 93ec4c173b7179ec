/* What the unit tests share: a temporary folder, an arena and an error per test, and files made on the spot. */
#ifndef GRAFT_TESTS_UNIT_SCRATCH_H
#define GRAFT_TESTS_UNIT_SCRATCH_H

#include "common/arena.h"
#include "common/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scratch {
    struct arena *arena;
    char folder[64];
    struct error err;
};

static inline int scratch_make(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    s->arena = arena_create(NULL);
    strcpy(s->folder, "/tmp/graft-test-XXXXXX");
    *state = s;
    return mkdtemp(s->folder) ? 0 : -1;
}

static inline int scratch_remove_entry(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

static inline int scratch_remove(void **state)
{
    struct scratch *s = *state;
    nftw(s->folder, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    arena_destroy(s->arena);
    free(s);
    return 0;
}

/* The path of a file of that name in the test's folder. */
static inline const char *scratch_path(struct scratch *s, const char *name)
{
    return arena_print(s->arena, "%s/%s", s->folder, name);
}

static inline const char *scratch_write(struct scratch *s, const char *name, const void *bytes, size_t size)
{
    const char *path = scratch_path(s, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline int scratch_entries(struct scratch *s)
{
    DIR *folder = opendir(s->folder);
    assert_non_null(folder);
    int count = 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2; /* . and .. */
}

static inline void assert_fine(struct scratch *s, enum status status)
{
    if (status != OK)
        print_error("%s\n%s\n", s->err.what, s->err.cure);
    assert_int_equal(status, OK);
}

static inline void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        print_error("'%s'\nlacks '%s'\n", text, part);
    assert_non_null(strstr(text, part));
}

/* Failed with that code, a message that holds `what`, and a cure; the error is cleared for the next case. */
static inline void assert_failed(struct scratch *s, enum status status, enum status code, const char *what)
{
    if (status != code)
        print_error("status %d, not %d, where '%s' was expected: %s\n", (int)status, (int)code, what, s->err.what);
    assert_int_equal(status, code);
    assert_int_equal(s->err.code, code);
    assert_holds(s->err.what, what);
    assert_true(strlen(s->err.cure) > 0);
    s->err = (struct error){ 0 };
}

#define SCRATCH_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_make, scratch_remove)

#endif
