/* What joining through TCP is made of: dialing (comm_tcp_join.c) and letting in who dials (comm_tcp_door.c). For these two only. */
#ifndef GRAFT_TRAINER_COMM_TCP_JOIN_H
#define GRAFT_TRAINER_COMM_TCP_JOIN_H

#include "trainer/comm_tcp.h"

#include <sys/socket.h>

#define TCP_MAGIC "graft rank\0\0\0\0\0"
enum { MOST_GUESTS = 64, TURN_MILLISECONDS = 50, TOKEN = 16, ADDRESS = 80 };

/* What a rank says first on each connection that it dials. Its size stays what it is in all versions, so that they can tell each other apart. */
struct hello {
    char magic[16], version[16];
    int32_t layout, rank, ranks, channel;
    uint32_t port; /* where it listens */
    uint8_t token[TOKEN];
};

/* What rank 0 then says, followed by the address of every rank; or why nobody goes on. */
struct answer {
    char magic[16];
    struct error failure;
    uint8_t token[TOKEN]; /* of this run: ranks show it to each other */
};

/* Who has connected, and has not said all of its hello. */
struct guest {
    int socket;
    size_t heard;
    double since;
    struct hello hello;
};

struct joining {
    struct comm *comm;
    struct tcp *tcp;
    const struct tcp_place *place;
    double until;
    int listener;
    uint8_t token[TOKEN];
    struct sockaddr_storage *address; /* [ranks] where each listens */
    struct guest guest[MOST_GUESTS];
    int guests, strangers;
    char stranger[ADDRESS];
};

/* Whether waiting may go on: UNHEALTHY without a message when it is too late, since who waits says for whom. */
enum status tcp_go_on(const struct joining *joining, struct error *err) MUST_USE;
enum status tcp_library_failed(const char *call, struct error *err);
const char *tcp_address_text(char out[ADDRESS], const struct sockaddr_storage *address);
void tcp_send_at_once(int socket);

/* Opens the door: any free port if the address says 0. Errors: BAD_OPTION, LIBRARY. */
enum status tcp_listen_at(struct joining *joining, const struct sockaddr *address, socklen_t size, struct error *err) MUST_USE;
/* All ranks behind this one come in. Errors: BAD_OPTION, LIBRARY, UNHEALTHY, INTERRUPTED. */
enum status tcp_receive_guests(struct joining *joining, struct error *err) MUST_USE;
/* Closes the door, and lets go who stands in it. */
void tcp_close_door(struct joining *joining);

#endif
