/* The twin of NCCL between processes of one host: a socket for each pair of ranks. It never waits: who asks for the state moves what can be moved, so that as
 * much is left undone for as long as with a GPU. NCCL_TWIN_FAILS names a call that fails. */
#include <errno.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_RANKS = 16 };

struct twin {
    int rank, ranks, listener, joined;
    int socket[MOST_RANKS]; /* -1: not yet */
    ncclUniqueId id;
    int sends, peer;
    char *bytes;
    size_t left; /* of what is under way */
};

static int fails(const char *call)
{
    const char *named = getenv("NCCL_TWIN_FAILS");
    return named && strcmp(named, call) == 0;
}

static socklen_t address_of(const struct twin *t, int rank, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    const int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%.80s.%d", t->id.internal, rank);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    if (fails("ncclGetUniqueId"))
        return ncclSystemError;
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "graft-nccl-twin-%d-%p", (int)getpid(), (void *)id);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    struct sockaddr_un address;
    if (ranks > MOST_RANKS || config->blocking || fails("ncclCommInitRankConfig"))
        return ncclSystemError;
    struct twin *t = *comm = malloc(sizeof *t);
    *t = (struct twin){ .rank = rank, .ranks = ranks, .joined = 1, .id = id, .listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) };
    for (int peer = 0; peer < ranks; peer++)
        t->socket[peer] = -1;
    const socklen_t size = address_of(t, rank, &address);
    return bind(t->listener, (struct sockaddr *)&address, size) == 0 && listen(t->listener, MOST_RANKS) == 0 ? ncclInProgress : ncclSystemError;
}

/* Those before this rank are dialed, those behind it dial. */
static void meet_others(struct twin *t)
{
    struct sockaddr_un address;
    for (int peer = 0; peer < t->rank; peer++) {
        const socklen_t size = address_of(t, peer, &address);
        const int s = t->socket[peer] < 0 ? socket(AF_UNIX, SOCK_STREAM, 0) : -1;
        if (s >= 0 && connect(s, (struct sockaddr *)&address, size) == 0 && write(s, &t->rank, sizeof t->rank) == sizeof t->rank) {
            t->socket[peer] = s;
            t->joined++;
        } else if (s >= 0) {
            close(s);
        }
    }
    const int s = accept4(t->listener, NULL, NULL, 0);
    int who;
    if (s >= 0 && read(s, &who, sizeof who) == sizeof who && who > t->rank && who < t->ranks) {
        t->socket[who] = s;
        t->joined++;
    }
}

static ncclResult_t begin(struct twin *t, int sends, int peer, const void *bytes, size_t count)
{
    if (t->left || t->joined < t->ranks || fails(sends ? "ncclSend" : "ncclRecv"))
        return ncclSystemError;
    t->sends = sends;
    t->peer = peer;
    memcpy(&t->bytes, &bytes, sizeof bytes);
    t->left = count;
    return ncclInProgress;
}

ncclResult_t ncclSend(const void *bytes, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
    (void)type;
    (void)stream;
    return begin(comm, 1, peer, bytes, count);
}

ncclResult_t ncclRecv(void *bytes, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
    (void)type;
    (void)stream;
    return begin(comm, 0, peer, bytes, count);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t t, ncclResult_t *state)
{
    *state = ncclInProgress;
    if (t->joined < t->ranks)
        meet_others(t);
    if (t->left) {
        const ssize_t moved =
            t->sends ? send(t->socket[t->peer], t->bytes, t->left, MSG_DONTWAIT | MSG_NOSIGNAL) : recv(t->socket[t->peer], t->bytes, t->left, MSG_DONTWAIT);
        if (moved == 0 || (moved < 0 && errno != EAGAIN))
            *state = ncclRemoteError;
        t->bytes += moved > 0 ? moved : 0;
        t->left -= moved > 0 ? (size_t)moved : 0;
    }
    if (t->joined == t->ranks && !t->left)
        *state = ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return comm->left ? ncclSystemError : ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    return ncclCommAbort(comm);
}

ncclResult_t ncclCommAbort(ncclComm_t t)
{
    for (int peer = 0; peer < t->ranks; peer++)
        if (t->socket[peer] >= 0)
            close(t->socket[peer]);
    close(t->listener);
    free(t);
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t code)
{
    return code == ncclSystemError ? "unhandled system error" : "a code of the twin";
}

const char *ncclGetLastError(ncclComm_t comm)
{
    (void)comm;
    return "";
}
