/* What ranks pay for each other, on whatever started them: the mean seconds of a meeting, and how fast bytes go from rank 0 to rank 1 and back. Prints one
 * line. Built by `ninja benchmark_ranks`; benchmarks/ranks.sh runs it.
 */
#include "trainer/comm.h"
#include "trainer/progress.h"

#include <stdio.h>

enum { MEETINGS = 20000, ROUNDS = 20, BYTES = 64 << 20 };

static enum status meetings(struct comm *comm, double *seconds, struct error *err)
{
    for (int i = 0; i < MEETINGS / 10; i++)
        TRY(comm_meet(comm, OK, err));
    const double began = monotonic_seconds();
    for (int i = 0; i < MEETINGS; i++)
        TRY(comm_meet(comm, OK, err));
    *seconds = (monotonic_seconds() - began) / MEETINGS;
    return OK;
}

static enum status to_and_fro(struct comm *comm, char *bytes, double *best, struct error *err)
{
    *best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        TRY(comm_meet(comm, OK, err));
        const double began = monotonic_seconds();
        if (comm->rank == 0) {
            TRY(comm_send(comm, 1, bytes, BYTES, err));
            TRY(comm_receive(comm, 1, bytes, BYTES, err));
        } else if (comm->rank == 1) {
            TRY(comm_receive(comm, 0, bytes, BYTES, err));
            TRY(comm_send(comm, 0, bytes, BYTES, err));
        }
        const double taken = (monotonic_seconds() - began) / 2;
        *best = taken < *best ? taken : *best;
    }
    return comm_meet(comm, OK, err);
}

int main(void)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct comm *comm;
    double meeting = 0, best = 0;
    enum status status = comm_join(&comm, arena, &err);
    if (status == OK && comm->ranks == 1)
        status = fail_with(&err, BAD_OPTION, "one rank alone", "start two or more");
    if (status == OK)
        status = meetings(comm, &meeting, &err);
    if (status == OK)
        status = to_and_fro(comm, arena_alloc(arena, BYTES), &best, &err);
    if (status == OK && comm->rank == 0)
        printf("%d ranks through %s: a meeting %.1f us, %.2f GB/s from one rank to another\n", comm->ranks, comm->kind->name, meeting * 1e6,
               BYTES / best / 1e9);
    if (status != OK)
        fprintf(stderr, "ranks: %s\n", err.what);
    comm_leave(comm);
    arena_destroy(arena);
    return status == OK ? 0 : 1;
}
