/* The door of a rank: who comes in is another rank, or let go. */
#include "common/text.h"
#include "trainer/comm_tcp_join.h"
#include "trainer/progress.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double GREETING_SECONDS = 10;

const char *tcp_address_text(char out[ADDRESS], const struct sockaddr_storage *address)
{
    char host[64] = "?", port[8] = "?";
    (void)getnameinfo((const struct sockaddr *)address, sizeof *address, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, ADDRESS, "%s:%s", host, port);
    return out;
}

enum status tcp_library_failed(const char *call, struct error *err)
{
    return fail_with(err, LIBRARY, "TCP: %s failed: %s", "see that this host has a network and files left (ulimit -n)", call, strerror(errno));
}

/* Whether waiting may go on. A signal stays pending until the loop of training looks for it, which does not run yet. */
enum status tcp_go_on(const struct joining *j, struct error *err)
{
    static const int endings[] = { SIGINT, SIGTERM, SIGUSR1 };
    sigset_t pending;
    sigemptyset(&pending);
    (void)sigpending(&pending);
    for (size_t i = 0; i < COUNT(endings); i++)
        if (sigismember(&pending, endings[i]) == 1)
            return fail_with(err, INTERRUPTED, "by a signal while the ranks were joining; nothing was trained", "");
    return monotonic_seconds() < j->until ? OK : UNHEALTHY; /* who called says for whom it waited */
}

void tcp_send_at_once(int socket)
{
    const int on = 1;
    (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

enum status tcp_listen_at(struct joining *j, const struct sockaddr *address, socklen_t size, struct error *err)
{
    const int on = 1;
    char text[ADDRESS];
    struct sockaddr_storage at = { 0 };
    memcpy(&at, address, size);
    j->listener = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (j->listener < 0)
        return tcp_library_failed("socket", err);
    (void)setsockopt(j->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(j->listener, address, size) == 0 && listen(j->listener, SOMAXCONN) == 0)
        return OK;
    return fail_with(err, BAD_OPTION, "rank %d cannot listen at %s (MASTER_ADDR %s, MASTER_PORT %s): %s",
                     errno == EADDRINUSE ? "give MASTER_PORT a free port; torchrun keeps it to itself unless TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 is set"
                                         : "MASTER_ADDR must be the host of rank 0",
                     j->place->rank, tcp_address_text(text, &at), j->place->host, j->place->port, strerror(errno));
}

static void let_go(struct joining *j, int guest)
{
    close(j->guest[guest].socket);
    j->guest[guest] = j->guest[--j->guests];
}

static void let_stranger_go(struct joining *j, int guest)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;
    (void)getpeername(j->guest[guest].socket, (struct sockaddr *)&address, &size);
    tcp_address_text(j->stranger, &address);
    j->strangers++;
    let_go(j, guest);
}

/* A guest who has said all is a rank, a mistake of whoever started the ranks, or a stranger. */
static enum status seat(struct joining *j, int guest, struct error *err)
{
    struct guest *g = &j->guest[guest];
    const struct hello *h = &g->hello;
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;
    char text[ADDRESS];
    const bool known = memcmp(h->magic, TCP_MAGIC, sizeof TCP_MAGIC) == 0 && memchr(h->version, '\0', sizeof h->version) &&
                       memcmp(h->token, j->token, (j->place->rank > 0) * sizeof h->token) == 0;
    if (!known || getpeername(g->socket, (struct sockaddr *)&address, &size) != 0) {
        let_stranger_go(j, guest);
        return OK;
    }
    tcp_address_text(text, &address);
    if (!text_equal(h->version, GRAFT_VERSION) || h->layout != sizeof(struct comm))
        return fail_with(err, BAD_OPTION, "the rank at %s is another graft (%s; rank %d is " GRAFT_VERSION ")", "install the same build on every host", text,
                         text_make_printable(g->hello.version), j->place->rank);
    if (h->ranks != j->place->ranks || h->rank <= j->place->rank || h->rank >= h->ranks || h->channel < 0 || h->channel > (j->place->rank == 0))
        return fail_with(err, BAD_OPTION, "the process at %s says that it is rank %d of %d, and rank %d was started as one of %d",
                         "give all ranks the same WORLD_SIZE, and each a RANK of its own", text, (int)h->rank, (int)h->ranks, j->place->rank, j->place->ranks);
    struct lane *lane = &j->tcp->lane[2 * h->rank + h->channel];
    if (lane->socket >= 0)
        return fail_with(err, BAD_OPTION, "two processes say that they are rank %d, the second at %s", "give each rank a RANK of its own", (int)h->rank, text);
    if (address.ss_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)h->port);
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = htons((uint16_t)h->port);
    j->address[h->rank] = address;
    lane->socket = g->socket;
    j->guest[guest] = j->guest[--j->guests];
    return OK;
}

static enum status admit(struct joining *j, struct error *err)
{
    while (j->guests < MOST_GUESTS) {
        const int s = accept4(j->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
            return tcp_library_failed("accept", err);
        if (s < 0)
            return OK;
        tcp_send_at_once(s);
        j->guest[j->guests++] = (struct guest){ .socket = s, .since = monotonic_seconds() };
    }
    return OK;
}

/* Hears guests out; *seated: how many of them are ranks. */
static enum status hear_guests(struct joining *j, int *seated, struct error *err)
{
    for (int i = j->guests - 1; i >= 0; i--) { /* who leaves is replaced by the last, who was heard */
        struct guest *g = &j->guest[i];
        const ssize_t got = recv(g->socket, (char *)&g->hello + g->heard, sizeof g->hello - g->heard, MSG_DONTWAIT);
        const bool waits = got < 0 && (errno == EAGAIN || errno == EINTR);
        g->heard += got > 0 ? (size_t)got : 0;
        const bool odd = memcmp(g->hello.magic, TCP_MAGIC, g->heard < sizeof TCP_MAGIC ? g->heard : sizeof TCP_MAGIC) != 0;
        if (odd || (got <= 0 && !waits) || (waits && monotonic_seconds() > g->since + GREETING_SECONDS)) {
            let_stranger_go(j, i);
        } else if (g->heard == sizeof g->hello) {
            const int strangers = j->strangers;
            TRY(seat(j, i, err));
            *seated += j->strangers == strangers;
        }
    }
    return OK;
}

static enum status missed(const struct joining *j, struct error *err)
{
    int first = 0, more = -1;
    char strangers[ADDRESS + 64] = "";
    for (int rank = j->place->ranks - 1; rank > j->place->rank; rank--)
        if (j->tcp->lane[2 * rank].socket < 0 || (j->place->rank == 0 && j->tcp->lane[2 * rank + 1].socket < 0)) {
            first = rank;
            more++;
        }
    if (j->strangers)
        snprintf(strangers, sizeof strangers, "; %d connections were not graft's, the last from %s", j->strangers, j->stranger);
    return fail_with(err, UNHEALTHY, "rank %d waited %.9g s for rank %d%s%s", "see whether it was started, and what it says", j->place->rank, j->comm->timeout,
                     first, more > 0 ? " and others" : "", strangers);
}

/* All ranks behind this one come in. */
enum status tcp_receive_guests(struct joining *j, struct error *err)
{
    const int wanted = (j->place->ranks - 1 - j->place->rank) * (j->place->rank == 0 ? 2 : 1);
    for (int seated = 0; seated < wanted;) {
        struct pollfd door[1 + MOST_GUESTS] = { { .fd = j->guests < MOST_GUESTS ? j->listener : -1, .events = POLLIN } };
        const enum status status = tcp_go_on(j, err);
        if (status != OK)
            return status == UNHEALTHY ? missed(j, err) : status;
        for (int i = 0; i < j->guests; i++)
            door[1 + i] = (struct pollfd){ .fd = j->guest[i].socket, .events = POLLIN };
        (void)poll(door, (nfds_t)j->guests + 1, TURN_MILLISECONDS);
        TRY(admit(j, err));
        TRY(hear_guests(j, &seated, err));
    }
    return OK;
}

void tcp_close_door(struct joining *j)
{
    while (j->guests)
        let_go(j, 0);
    if (j->listener >= 0)
        close(j->listener);
    j->listener = -1;
}
