/* Bytes between GPUs through NCCL. A module of its own: see trainer/module.h. */
#include "trainer/comm_nccl.h"

#include <nccl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert(sizeof(ncclUniqueId) == NCCL_ID, "an id of NCCL is as long as graft takes it to be");
enum { GOOD_BYE_TURNS = 10000 }; /* of a millisecond */

static enum status check(ncclResult_t code, const char *call, ncclComm_t comm, struct error *err)
{
    if (code == ncclSuccess || code == ncclInProgress)
        return OK;
    const char *last = ncclGetLastError(comm);
    return fail_with(err, LIBRARY, "NCCL: %s failed: %s%s%s",
                     "NCCL_DEBUG=INFO says more; without " NCCL_MODULE " beside the program gradients travel through the host", call, ncclGetErrorString(code),
                     last && *last ? ": " : "", last ? last : "");
}

static enum status make_id(uint8_t id[NCCL_ID], struct error *err)
{
    ncclUniqueId made;
    TRY(check(ncclGetUniqueId(&made), "ncclGetUniqueId", NULL, err));
    memcpy(id, &made, sizeof made);
    return OK;
}

static enum status join(void **self, const uint8_t id[NCCL_ID], int rank, int ranks, struct error *err)
{
    ncclUniqueId made;
    ncclComm_t comm = NULL;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    memcpy(&made, id, sizeof made);
    const ncclResult_t code = ncclCommInitRankConfig(&comm, ranks, made, rank, &config);
    *self = comm;
    return check(code, "ncclCommInitRankConfig", comm, err);
}

static enum status move(void *self, enum direction direction, int peer, void *bytes, size_t size, void *stream, struct error *err)
{
    ncclComm_t comm = self;
    return direction == SEND ? check(ncclSend(bytes, size, ncclInt8, peer, comm, (cudaStream_t)stream), "ncclSend", comm, err)
                             : check(ncclRecv(bytes, size, ncclInt8, peer, comm, (cudaStream_t)stream), "ncclRecv", comm, err);
}

/* A peer that is lost is for the comm to name: NCCL only knows that one is. */
static enum status taken(void *self, bool *is_taken, struct error *err)
{
    ncclResult_t state = ncclSuccess;
    TRY(check(ncclCommGetAsyncError(self, &state), "ncclCommGetAsyncError", self, err));
    *is_taken = state == ncclSuccess;
    return state == ncclRemoteError ? OK : check(state, "what was begun", self, err);
}

static void leave(void *self, bool all_there)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    ncclResult_t state = ncclInProgress;
    const ncclResult_t code = all_there ? ncclCommFinalize(self) : ncclSuccess;
    if (all_there && (code == ncclSuccess || code == ncclInProgress))
        for (int turn = 0; turn < GOOD_BYE_TURNS && ncclCommGetAsyncError(self, &state) == ncclSuccess && state == ncclInProgress; turn++)
            nanosleep(&moment, NULL);
    if (all_there && state == ncclSuccess)
        ncclCommDestroy(self);
    else
        ncclCommAbort(self);
}

const struct nccl_row comm_nccl __attribute__((visibility("default"))) = {
    .head = { GRAFT_VERSION, sizeof(struct nccl_row) },
    .make_id = make_id,
    .join = join,
    .move = move,
    .taken = taken,
    .leave = leave,
};
