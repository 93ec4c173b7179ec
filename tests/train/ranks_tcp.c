/* Joining through TCP with little patience: who is missing is named, and so is who could not be reached. */
#include "trainer/comm_tcp.h"
#include "trainer/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A port that nobody has just now. */
static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s >= 0 && bind(s, (struct sockaddr *)&address, size) == 0 && getsockname(s, (struct sockaddr *)&address, &size) == 0);
    close(s);
    return ntohs(address.sin_port);
}

static enum status join(int rank, int ranks, int port, double timeout, struct comm **out, struct arena *arena, struct error *err)
{
    char text[3][16];
    snprintf(text[0], sizeof *text, "%d", rank);
    snprintf(text[1], sizeof *text, "%d", ranks);
    snprintf(text[2], sizeof *text, "%d", port);
    setenv("RANK", text[0], 1);
    setenv("WORLD_SIZE", text[1], 1);
    setenv("MASTER_PORT", text[2], 1);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    struct comm *comm = *out = comm_alone(arena);
    comm->kind = &comm_tcp;
    comm->timeout = timeout;
    return comm_tcp.open(comm, arena, err);
}

static void a_missing_rank_is_named(void **state)
{
    (void)state;
    const int port = free_port();
    struct comm *comm;
    const pid_t child = fork();
    struct error err = { 0 };
    struct arena *arena = arena_create(NULL);
    if (child == 0) { /* rank 1 is told what rank 0 says */
        const bool heard = join(1, 3, port, 0.5, &comm, arena, &err) == UNHEALTHY && comm->told && strstr(err.what, "for rank 2");
        _exit(heard ? 0 : 1);
    }
    int how = -1;
    assert_int_equal(join(0, 3, port, 0.5, &comm, arena, &err), UNHEALTHY);
    assert_string_equal(err.what, "rank 0 waited 0.5 s for rank 2");
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    arena_destroy(arena);
}

static void strangers_are_counted_in_the_message(void **state)
{
    (void)state;
    const int port = free_port();
    struct comm *comm;
    const pid_t child = fork();
    struct error err = { 0 };
    struct arena *arena = arena_create(NULL);
    if (child == 0) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const int s = socket(AF_INET, SOCK_STREAM, 0);
        while (connect(s, (struct sockaddr *)&address, sizeof address) != 0)
            usleep(10000);
        _exit(write(s, "GET / HTTP/1.1\r\n\r\n", 18) == 18 && read(s, &address, 1) <= 0 ? 0 : 1);
    }
    int how = -1;
    assert_int_equal(join(0, 2, port, 1, &comm, arena, &err), UNHEALTHY);
    assert_non_null(strstr(err.what, "rank 0 waited 1 s for rank 1; 1 connections were not graft's, the last from 127.0.0.1:"));
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    arena_destroy(arena);
}

static void nobody_at_the_port_is_said(void **state)
{
    (void)state;
    struct comm *comm;
    struct error err = { 0 };
    struct arena *arena = arena_create(NULL);
    char expected[128];
    const int port = free_port();
    snprintf(expected, sizeof expected, "rank 1 found nobody at 127.0.0.1 port %d (MASTER_ADDR, MASTER_PORT) in 0.2 s: Connection refused", port);
    assert_int_equal(join(1, 2, port, 0.2, &comm, arena, &err), UNHEALTHY);
    assert_string_equal(err.what, expected);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_rank_is_named),
        cmocka_unit_test(strangers_are_counted_in_the_message),
        cmocka_unit_test(nobody_at_the_port_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
