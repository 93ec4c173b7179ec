/* Bytes between ranks through TCP. */
#include "trainer/comm_tcp.h"
#include "trainer/progress.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const double GOOD_BYE_SECONDS = 10;
enum { OTHER_FILES = 256 };

static struct lane *lane_of(const struct comm *comm, int peer, enum channel channel)
{
    const struct tcp *tcp = comm->self;
    return &tcp->lane[2 * peer + (int)channel];
}

/* A connection to each rank may be more files than a process is given at first. */
static void allow_files(int ranks)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)ranks + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void close_lanes(struct tcp *tcp, int ranks)
{
    for (int i = 0; i < 2 * ranks; i++) {
        if (tcp->lane[i].socket >= 0)
            close(tcp->lane[i].socket);
        tcp->lane[i].socket = -1;
    }
}

static enum status open_tcp(struct comm *comm, struct arena *arena, struct error *err)
{
    struct tcp_place place;
    struct tcp *tcp = NEW(arena, struct tcp);
    TRY(tcp_read_environment(&place, err));
    tcp->lane = NEW_ARRAY(arena, 2 * place.ranks, struct lane);
    for (int i = 0; i < 2 * place.ranks; i++) {
        tcp->lane[i].socket = -1;
        tcp->lane[i].moving[SEND].lane = tcp->lane[i].moving[RECEIVE].lane = &tcp->lane[i];
    }
    allow_files(2 * place.ranks);
    enum status status = tcp_join(comm, tcp, &place, err);
    if (status != OK) {
        close_lanes(tcp, place.ranks);
        return status;
    }
    comm->self = tcp;
    comm->rank = place.rank;
    comm->ranks = place.ranks;
    return OK;
}

static enum status begin(struct comm *comm, enum direction direction, enum channel channel, void *bytes, size_t size, struct transfer *transfer,
                         struct error *err)
{
    struct moving *moving = &lane_of(comm, transfer->peer, channel)->moving[direction];
    if (moving->left) /* of notices only, to or from a rank that is lost */
        return fail_with(err, LIBRARY, "TCP: a message is still on its way", "");
    moving->bytes = bytes;
    moving->left = size;
    memcpy(transfer->request, &moving, sizeof moving);
    return OK;
}

/* Whether a call failed for want of room or bytes, or since the peer has ended, which gone() says. */
static bool is_waiting(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK || code == EINTR || code == ECONNRESET || code == EPIPE || code == ETIMEDOUT;
}

static enum status test(struct comm *comm, struct transfer *transfer, struct error *err)
{
    struct moving *moving;
    char name[96];
    memcpy(&moving, transfer->request, sizeof moving);
    const bool sends = moving == &moving->lane->moving[SEND];
    const ssize_t moved = sends ? send(moving->lane->socket, moving->bytes, moving->left, MSG_DONTWAIT | MSG_NOSIGNAL)
                                : recv(moving->lane->socket, moving->bytes, moving->left, MSG_DONTWAIT);
    if (moved < 0 && !is_waiting(errno))
        return fail_with(err, LIBRARY, "TCP: the connection with %s failed: %s", "see that the network between the hosts is whole",
                         comm_name(comm, transfer->peer, name), strerror(errno));
    if (moved > 0) {
        moving->bytes += moved;
        moving->left -= (size_t)moved;
    }
    transfer->done = moving->left == 0;
    return OK;
}

/* Bytes that came before the end are read first: a rank that has said its last word and gone is not lost. */
static bool gone(const struct comm *comm, int rank)
{
    char byte;
    const ssize_t seen = recv(lane_of(comm, rank, ORDINARY)->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return seen == 0 || (seen < 0 && !(errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

/* Nobody ends before all have read what was said to them. */
static void close_tcp(struct comm *comm)
{
    const struct timespec moment = { .tv_nsec = 200000 };
    const double until = monotonic_seconds() + GOOD_BYE_SECONDS;
    for (int peer = 0; peer < comm->ranks; peer++)
        if (peer != comm->rank)
            shutdown(lane_of(comm, peer, ORDINARY)->socket, SHUT_WR);
    for (int peer = 0; peer < comm->ranks; peer++)
        while (peer != comm->rank && !gone(comm, peer) && monotonic_seconds() < until)
            nanosleep(&moment, NULL);
    close_lanes(comm->self, comm->ranks);
}

const struct comm_kind comm_tcp = {
    .head = { GRAFT_VERSION, sizeof(struct comm) },
    .name = "TCP",
    .open = open_tcp,
    .begin = begin,
    .test = test,
    .gone = gone,
    .close = close_tcp,
};
