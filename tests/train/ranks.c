/* Ranks as child processes that talk through sockets: gradients are summed along one tree wherever they were computed, a failure is agreed on, and a rank whose
 * parameters differ is named. */
#include "common/random.h"
#include "tests/harness/tiny_run.h"
#include "trainer/agreement.h"
#include "trainer/gradient_sum.h"
#include "trainer/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_RANKS = 5, MOST_MICRO_BATCHES = 21, VALUES = 32 * 3 };

/* A kind of its own: a socket for each pair and channel. */
struct sockets {
    int end[MOST_RANKS][MOST_RANKS][2]; /* [mine][peer's][channel] */
};

struct moving {
    enum direction direction;
    int socket;
    char *bytes;
    size_t left;
};

static enum status begin_socket(struct comm *comm, enum direction direction, enum channel channel, void *bytes, size_t size, struct transfer *transfer,
                                struct error *err)
{
    const struct sockets *sockets = comm->self;
    (void)err;
    struct moving *m = malloc(sizeof *m);
    *m = (struct moving){ direction, sockets->end[comm->rank][transfer->peer][channel], bytes, size };
    memcpy(transfer->request, &m, sizeof m);
    return OK;
}

static enum status test_socket(struct comm *comm, struct transfer *transfer, struct error *err)
{
    struct moving *m;
    (void)comm;
    memcpy(&m, transfer->request, sizeof m);
    const ssize_t moved = m->direction == SEND ? write(m->socket, m->bytes, m->left) : read(m->socket, m->bytes, m->left);
    if (moved < 0 && errno != EAGAIN)
        return fail_with(err, LIBRARY, "socket: %s", "", strerror(errno));
    if (moved > 0) {
        m->bytes += moved;
        m->left -= (size_t)moved;
    }
    transfer->done = m->left == 0;
    if (transfer->done)
        free(m);
    return OK;
}

static const struct comm_kind kind_sockets = { .name = "sockets", .begin = begin_socket, .test = test_socket };

/* What a test gives to its ranks, and what they give back, in memory that all share. */
struct exchange {
    struct sockets sockets;
    int ranks;
    int64_t micro_batches, begin[MOST_RANKS + 1];
    float sum[MOST_RANKS][VALUES];
    enum status status[MOST_RANKS];
    struct error err[MOST_RANKS];
};

static struct exchange *share(int ranks)
{
    struct exchange *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(s != MAP_FAILED);
    s->ranks = ranks;
    for (int a = 0; a < ranks; a++)
        for (int b = 0; b < a; b++)
            for (int channel = 0; channel < 2; channel++) {
                int pair[2];
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
                s->sockets.end[a][b][channel] = pair[0];
                s->sockets.end[b][a][channel] = pair[1];
            }
    return s;
}

static void unshare(struct exchange *s)
{
    for (int a = 0; a < s->ranks; a++)
        for (int b = 0; b < s->ranks; b++)
            for (int channel = 0; channel < 2 && a != b; channel++)
                close(s->sockets.end[a][b][channel]);
    munmap(s, sizeof *s);
}

static struct comm *comm_of(struct arena *arena, struct exchange *s, int rank)
{
    struct comm *comm = comm_alone(arena);
    struct error err = { 0 };
    comm->kind = &kind_sockets;
    comm->rank = rank;
    comm->ranks = s->ranks;
    comm->self = &s->sockets;
    comm->timeout = 60;
    comm->met = monotonic_seconds();
    comm->about = NEW_ARRAY(arena, s->ranks, struct rank_about);
    comm->word = NEW_ARRAY(arena, s->ranks, struct word);
    comm->failure = NEW_ARRAY(arena, s->ranks, struct error);
    comm->transfer = NEW_ARRAY(arena, s->ranks, struct transfer);
    for (int i = 0; i < s->ranks; i++)
        snprintf(comm->about[i].host, sizeof comm->about[i].host, "host%d", i);
    if (rank && comm->kind->begin(comm, RECEIVE, NOTICE, &comm->notice, sizeof comm->notice, &comm->stop, &err) != OK)
        return NULL;
    return comm;
}

typedef enum status work_of_rank(struct exchange *s, int rank, struct comm *comm, struct arena *arena, struct error *err);

/* Runs the work on every rank, each a process of its own. */
static void run_ranks(struct exchange *s, work_of_rank *work)
{
    pid_t child[MOST_RANKS];
    for (int rank = 0; rank < s->ranks; rank++) {
        child[rank] = fork();
        if (child[rank] == 0) {
            struct arena *arena = arena_create(NULL);
            s->status[rank] = work(s, rank, comm_of(arena, s, rank), arena, &s->err[rank]);
            arena_destroy(arena);
            _exit(0);
        }
    }
    for (int rank = 0; rank < s->ranks; rank++) {
        int how = 0;
        assert_int_equal(waitpid(child[rank], &how, 0), child[rank]);
        assert_int_equal(how, 0);
    }
}

static float gradient(int64_t micro_batch, int64_t i)
{
    return random_normal(3, (uint64_t)micro_batch, (uint64_t)i);
}

/* The tree as it is drawn. */
static float by_hand(int64_t first, int64_t size, int64_t all, int64_t i)
{
    if (size == 1)
        return gradient(first, i);
    const float left = by_hand(first, size / 2, all, i);
    return first + size / 2 < all ? left + by_hand(first + size / 2, size / 2, all, i) : left;
}

static enum status sum_up(struct exchange *s, int rank, struct comm *comm, struct arena *arena, struct error *err)
{
    struct device device;
    struct gradient_sum sum;
    struct parameters *p = parameters_new(arena);
    TRY(device_open(&device, "cpu", 1, err));
    struct tensor *t = parameters_add(p, "t", 32, 3);
    TRY(parameters_seal(p, &device, true, err));
    TRY(gradient_sum_create(&sum, arena, p, &device, comm, s->micro_batches, err));
    TRY(gradient_sum_connect(&sum, err));
    for (int step = 1; step <= 2; step++) { /* nothing of a step remains in the next */
        gradient_sum_begin(&sum, s->begin[rank], s->begin[rank + 1], s->micro_batches);
        for (int64_t m = s->begin[rank]; m < s->begin[rank + 1]; m++) {
            gradient_sum_prepare(&sum);
            for (int64_t i = 0; i < VALUES; i++)
                ((float *)t->grad->data)[i] += gradient(m, i);
            TRY(gradient_sum_take(&sum, err));
        }
        TRY(comm_meet(comm, OK, err));
        TRY(gradient_sum_finish(&sum, s->begin, err));
    }
    memcpy(s->sum[rank], p->grad->data, sizeof s->sum[rank]);
    gradient_sum_destroy(&sum);
    parameters_release(p);
    device_close(&device);
    return OK;
}

static void the_sum_is_one_tree_on_any_number_of_ranks(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= MOST_RANKS; ranks++)
        for (int64_t all = 1; all <= MOST_MICRO_BATCHES; all += 1 + all / 6) {
            struct exchange *s = share(ranks);
            int64_t size = 1;
            s->micro_batches = all;
            for (int rank = 1; rank < ranks; rank++) { /* anywhere, and some ranks have none */
                const int64_t at = (int64_t)random_below(7, (uint64_t)(all * 16 + ranks), (uint64_t)rank, (uint64_t)all + 1);
                s->begin[rank] = at > s->begin[rank - 1] ? at : s->begin[rank - 1];
            }
            s->begin[ranks] = all;
            while (size < all)
                size *= 2;
            run_ranks(s, sum_up);
            for (int rank = 0; rank < ranks; rank++) {
                assert_int_equal(s->status[rank], OK);
                for (int64_t i = 0; i < VALUES; i++) {
                    const float expected = by_hand(0, size, all, i);
                    assert_memory_equal(&s->sum[rank][i], &expected, sizeof expected);
                }
            }
            unshare(s);
        }
}

static enum status fail_on_two(struct exchange *s, int rank, struct comm *comm, struct arena *arena, struct error *err)
{
    (void)s;
    (void)arena;
    enum status status = OK;
    TRY(comm_meet(comm, OK, err));
    if (rank == 1)
        status = fail_with(err, BAD_DATA, "a record is odd", "mend it");
    if (rank == 2)
        status = fail_with(err, DISK, "no room left", "make some");
    return comm_meet(comm, status, err);
}

static void all_ranks_return_the_worst_failure_with_its_rank(void **state)
{
    (void)state;
    struct exchange *s = share(4);
    run_ranks(s, fail_on_two);
    for (int rank = 0; rank < 4; rank++) {
        assert_int_equal(s->status[rank], DISK);
        assert_string_equal(s->err[rank].what, "rank 2 (host2): no room left");
        assert_string_equal(s->err[rank].cure, "make some");
    }
    unshare(s);
}

/* The adapter of one rank is another in the last bit of one value. */
static enum status compare_parameters(struct exchange *s, int rank, struct comm *comm, struct arena *arena, struct error *err)
{
    struct tiny_run t;
    (void)arena;
    tiny_run_open(&t, &(struct tiny_model){ 0 }, NULL);
    t.run.comm = comm;
    enum status status = agreement_of_parameters(&t.run, 7, err);
    if (status == OK && rank == s->micro_batches)
        ((uint8_t *)t.run.adapter->parameters->tensor[0]->data)[0] ^= 1;
    if (status == OK)
        status = agreement_of_parameters(&t.run, 8, err);
    tiny_run_close(&t);
    return status;
}

static void a_rank_whose_parameters_differ_is_named(void **state)
{
    (void)state;
    for (int odd = 0; odd < 3; odd++) {
        char expected[96];
        struct exchange *s = share(3);
        s->micro_batches = odd;
        snprintf(expected, sizeof expected, "step 8: the parameters of rank %d (host%d) are no longer those of the other ranks", odd, odd);
        run_ranks(s, compare_parameters);
        for (int rank = 0; rank < 3; rank++) {
            assert_int_equal(s->status[rank], UNHEALTHY);
            assert_string_equal(s->err[rank].what, expected);
        }
        unshare(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_one_tree_on_any_number_of_ranks),
        cmocka_unit_test(all_ranks_return_the_worst_failure_with_its_rank),
        cmocka_unit_test(a_rank_whose_parameters_differ_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
