/* Bytes between ranks through MPI. A module of its own: see trainer/module.h. */
#include "trainer/comm_module.h"

#include <mpi.h>
#include <string.h>

_Static_assert(sizeof(MPI_Request) <= sizeof((struct transfer *)0)->request, "a request fits into a transfer");

static enum status check(int code, const char *call, struct error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (code == MPI_SUCCESS)
        return OK;
    MPI_Error_string(code, text, &length);
    return fail_with(err, LIBRARY, "MPI: %s failed: %s", "see what mpirun or srun says", call, text);
}

static enum status open_mpi(struct comm *comm, struct arena *arena, struct error *err)
{
    int provided;
    (void)arena;
    TRY(check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread", err));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    TRY(check(MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank), "MPI_Comm_rank", err));
    return check(MPI_Comm_size(MPI_COMM_WORLD, &comm->ranks), "MPI_Comm_size", err);
}

static enum status begin(struct comm *comm, enum direction direction, enum channel channel, void *bytes, size_t size, struct transfer *transfer,
                         struct error *err)
{
    (void)comm;
    MPI_Request request;
    CHECK(size <= COMM_PIECE);
    TRY(direction == SEND ? check(MPI_Isend(bytes, (int)size, MPI_BYTE, transfer->peer, (int)channel, MPI_COMM_WORLD, &request), "MPI_Isend", err)
                          : check(MPI_Irecv(bytes, (int)size, MPI_BYTE, transfer->peer, (int)channel, MPI_COMM_WORLD, &request), "MPI_Irecv", err));
    memcpy(transfer->request, &request, sizeof request);
    return OK;
}

static enum status test(struct comm *comm, struct transfer *transfer, struct error *err)
{
    (void)comm;
    MPI_Request request;
    int done = 0;
    memcpy(&request, transfer->request, sizeof request);
    TRY(check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test", err));
    memcpy(transfer->request, &request, sizeof request);
    transfer->done = done != 0;
    return OK;
}

/* The last receive of notices is still there, and the others are gone or going. */
static void close_mpi(struct comm *comm)
{
    MPI_Request request;
    if (comm->rank && !comm->stop.done) {
        memcpy(&request, comm->stop.request, sizeof request);
        MPI_Cancel(&request);
        MPI_Request_free(&request);
    }
    MPI_Finalize();
}

const struct comm_kind comm_mpi __attribute__((visibility("default"))) = {
    .head = { GRAFT_VERSION, sizeof(struct comm) },
    .name = "MPI",
    .open = open_mpi,
    .begin = begin,
    .test = test,
    .close = close_mpi,
};
