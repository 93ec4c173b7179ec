/* Ranks that a launcher told of each other by environment variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, as torchrun sets them), joined through TCP.
 *
 * The idea to hold: a connection for each pair of ranks, and a second one between rank 0 and each other for notices. Both ends of a connection know from the
 * program itself what comes next, so bytes travel bare. Anyone may reach the port of rank 0 while the ranks join: what does not greet as graft does is let go
 * and counted. Beyond that the network is trusted, as with MPI: nothing is encrypted.
 */
#ifndef GRAFT_TRAINER_COMM_TCP_H
#define GRAFT_TRAINER_COMM_TCP_H

#include "trainer/comm.h"

/* One channel to one peer. */
struct lane {
    int socket; /* -1: there is none */
    struct moving {
        char *bytes;
        size_t left;
        struct lane *lane;
    } moving[2]; /* by direction; at most one message of each is on its way */
};

struct tcp {
    struct lane *lane; /* [ranks][2] by channel */
};

extern const struct comm_kind comm_tcp;

/* Where this rank is to be, by the environment. */
struct tcp_place {
    int rank, ranks;
    const char *host, *port;
};
/* Errors: BAD_OPTION, naming the variable. */
enum status tcp_read_environment(struct tcp_place *place, struct error *err) MUST_USE;
/* Connects all ranks within comm->timeout; tcp->lane is there, without sockets. Errors: BAD_OPTION, LIBRARY, UNHEALTHY, INTERRUPTED; comm->told where rank 0
 * reports it. */
enum status tcp_join(struct comm *comm, struct tcp *tcp, const struct tcp_place *place, struct error *err) MUST_USE;

#endif
