/* Memory that processes share: found by its file, kept when its maker has ended, and refused where it is not what was expected. */
#include "common/shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 3 * 4096 + 100 };

/* A process that has made some and waits to be ended; *file: by which it is found. */
static pid_t maker(int *file, int *end)
{
    int say[2], hear[2];
    assert_true(pipe(say) == 0 && pipe(hear) == 0);
    const pid_t child = fork();
    if (child == 0) {
        struct shared made;
        struct error err = { 0 };
        char byte;
        close(hear[1]);
        if (shared_create(&made, "graft test", SIZE, &err) != OK)
            _exit(1);
        memset(made.bytes, 7, SIZE);
        if (shared_finish(&made, &err) != OK || write(say[1], &made.file, sizeof made.file) != sizeof made.file)
            _exit(1);
        _exit(read(hear[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(say[1]);
    close(hear[0]);
    assert_int_equal(read(say[0], file, sizeof *file), sizeof *file);
    close(say[0]);
    *end = hear[1];
    return child;
}

static void what_one_process_made_another_reads_also_after_its_end(void **state)
{
    (void)state;
    struct shared shared;
    struct error err = { 0 };
    int file, end, how;
    const pid_t child = maker(&file, &end);
    assert_int_equal(shared_attach(&shared, child, file, SIZE, &err), OK);
    close(end);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    for (int i = 0; i < SIZE; i++)
        assert_int_equal(((unsigned char *)shared.bytes)[i], 7);
    shared_release(&shared);
    shared_release(&shared);
    assert_null(shared.bytes);
    assert_int_equal(shared_attach(&shared, child, file, SIZE, &err), LIBRARY);
    assert_non_null(strstr(err.what, "memory that processes share cannot be used"));
    assert_null(shared.bytes);
}

static void another_size_and_another_file_are_refused(void **state)
{
    (void)state;
    struct shared shared;
    int file, end, how;
    const pid_t child = maker(&file, &end);
    struct error size = { 0 }, other = { 0 };
    assert_int_equal(shared_attach(&shared, child, file, SIZE + 1, &size), LIBRARY);
    assert_int_equal(shared_attach(&shared, child, 0, SIZE, &other), LIBRARY);
    close(end);
    assert_int_equal(waitpid(child, &how, 0), child);
}

static void more_than_there_is_is_refused(void **state)
{
    (void)state;
    struct shared shared;
    struct error err = { 0 };
    assert_int_equal(shared_create(&shared, "graft test", (size_t)1 << 62, &err), NO_MEMORY);
    assert_null(shared.bytes);
    assert_int_equal(shared.file, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_process_made_another_reads_also_after_its_end),
        cmocka_unit_test(another_size_and_another_file_are_refused),
        cmocka_unit_test(more_than_there_is_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
