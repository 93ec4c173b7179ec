/* How ranks find each other through TCP: all dial rank 0, which tells them where the others listen; then each dials those before it. */
#include "common/text.h"
#include "trainer/comm_tcp_join.h"
#include "trainer/progress.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { MOST_RANKS = 1 << 16 };
static const double FAREWELL_SECONDS = 1;

static enum status read_count(const char *name, int64_t least, int64_t most, int *value, struct error *err)
{
    const char *text = getenv(name);
    int64_t number;
    if (!text)
        return fail_with(err, BAD_OPTION, "WORLD_SIZE says that this process is one of several ranks, and %s is not set",
                         "start them with run_scripts/train_multi_gpu.sh or torchrun; unset WORLD_SIZE for one process", name);
    if (!text_to_int(text, &number) || number < least || number > most)
        return fail_with(err, BAD_OPTION, "%s is '%.40s', not a number from %lld to %lld", "set it as torchrun does", name, text, (long long)least,
                         (long long)most);
    *value = (int)number;
    return OK;
}

enum status tcp_read_environment(struct tcp_place *place, struct error *err)
{
    int port;
    TRY(read_count("WORLD_SIZE", 1, MOST_RANKS, &place->ranks, err));
    TRY(read_count("RANK", 0, place->ranks - 1, &place->rank, err));
    TRY(read_count("MASTER_PORT", 1, UINT16_MAX, &port, err));
    place->port = getenv("MASTER_PORT");
    place->host = getenv("MASTER_ADDR");
    if (!place->host || !*place->host)
        return fail_with(err, BAD_OPTION, "WORLD_SIZE says that this process is one of %d ranks, and MASTER_ADDR is not set",
                         "set it to the host of rank 0, as torchrun does; unset WORLD_SIZE for one process", place->ranks);
    return OK;
}

static void wait_turn(int socket, short events)
{
    struct pollfd poll_one = { .fd = socket, .events = events };
    (void)poll(&poll_one, 1, TURN_MILLISECONDS);
}

/* All bytes, either way. UNHEALTHY without a message: the peer has hung up, or it is too late. */
static enum status pass(const struct joining *j, int socket, enum direction direction, void *bytes, size_t size, struct error *err)
{
    for (size_t done = 0; done < size;) {
        const ssize_t moved = direction == SEND ? send(socket, (char *)bytes + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL)
                                                : recv(socket, (char *)bytes + done, size - done, MSG_DONTWAIT);
        if (moved == 0 || (moved < 0 && errno != EAGAIN && errno != EINTR))
            return UNHEALTHY;
        done += moved > 0 ? (size_t)moved : 0;
        if (moved < 0) {
            TRY(tcp_go_on(j, err));
            wait_turn(socket, direction == SEND ? POLLOUT : POLLIN);
        }
    }
    return OK;
}

static enum status resolve(const struct joining *j, struct addrinfo **out, struct error *err)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    int code;
    while ((code = getaddrinfo(j->place->host, j->place->port, &hints, out)) == EAI_AGAIN && tcp_go_on(j, err) == OK)
        wait_turn(-1, 0);
    if (code == 0)
        return OK;
    return fail_with(err, BAD_OPTION, "MASTER_ADDR %s: %s", "set it to the host of rank 0, by a name or address that every host knows", j->place->host,
                     gai_strerror(code));
}

/* Rank 0 listens at the address it was given, and at all of its host where that is a name: the name of a host may well mean its loopback there. */
static enum status listen_for_all(struct joining *j, struct error *err)
{
    struct addrinfo *found;
    TRY(resolve(j, &found, err));
    struct sockaddr_storage address = { 0 };
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    const socklen_t size = found->ai_addrlen;
    const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST };
    struct addrinfo *same = NULL;
    const bool is_name = !text_equal(j->place->host, "localhost") && getaddrinfo(j->place->host, NULL, &numeric, &same) != 0;
    if (same)
        freeaddrinfo(same);
    freeaddrinfo(found);
    if (is_name && address.ss_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_ANY);
    else if (is_name)
        ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_any;
    return tcp_listen_at(j, (const struct sockaddr *)&address, size, err);
}

/* A connection that is under way is there, or why not. */
static int finish_dialing(const struct joining *j, int s)
{
    struct error unused = { 0 };
    struct pollfd writable = { .fd = s, .events = POLLOUT };
    int failure = 0;
    socklen_t length = sizeof failure;
    while (poll(&writable, 1, TURN_MILLISECONDS) == 0)
        if (tcp_go_on(j, &unused) != OK)
            return ETIMEDOUT;
    return getsockopt(s, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 ? failure : errno;
}

/* -1 and errno unless somebody answers. */
static int dial_once(const struct joining *j, const struct sockaddr *address, socklen_t size)
{
    const int s = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return -1;
    int failure = connect(s, address, size) == 0 ? 0 : errno;
    if (failure == EINPROGRESS)
        failure = finish_dialing(j, s);
    if (!failure) {
        tcp_send_at_once(s);
        return s;
    }
    close(s);
    errno = failure;
    return -1;
}

static enum status greet(const struct joining *j, int rank, enum channel channel, int socket, struct error *err)
{
    struct sockaddr_storage listens = { 0 };
    socklen_t size = sizeof listens;
    struct hello hello = { .version = GRAFT_VERSION, .layout = sizeof(struct comm), .rank = j->place->rank, .ranks = j->place->ranks, .channel = (int)channel };
    memcpy(hello.magic, TCP_MAGIC, sizeof TCP_MAGIC);
    memcpy(hello.token, j->token, sizeof hello.token);
    if (getsockname(j->listener, (struct sockaddr *)&listens, &size) == 0)
        hello.port = ntohs(listens.ss_family == AF_INET ? ((struct sockaddr_in *)&listens)->sin_port : ((struct sockaddr_in6 *)&listens)->sin6_port);
    j->tcp->lane[2 * rank + (int)channel].socket = socket;
    return pass(j, socket, SEND, &hello, sizeof hello, err);
}

/* Rank 0 may start later than the others. */
static enum status dial_rank_0(const struct joining *j, int *out, struct error *err)
{
    struct addrinfo *found;
    int why = 0;
    TRY(resolve(j, &found, err));
    enum status status = OK;
    *out = -1;
    while (*out < 0 && (status = tcp_go_on(j, err)) == OK) {
        for (const struct addrinfo *a = found; a && *out < 0; a = a->ai_next)
            *out = dial_once(j, a->ai_addr, a->ai_addrlen);
        why = errno;
        if (*out < 0)
            wait_turn(-1, 0);
    }
    freeaddrinfo(found);
    if (status == UNHEALTHY)
        return fail_with(err, UNHEALTHY, "rank %d found nobody at %s port %s (MASTER_ADDR, MASTER_PORT) in %.9g s: %s",
                         "see whether rank 0 was started, and that its host lets others reach the port", j->place->rank, j->place->host, j->place->port,
                         j->comm->timeout, strerror(why));
    return status;
}

/* For notices, at the address that answered: rank 0 may have ended meanwhile, and is not waited for again. */
static enum status greet_again(const struct joining *j, int first, struct error *err)
{
    struct sockaddr_storage rank_0;
    socklen_t size = sizeof rank_0;
    const int s = getpeername(first, (struct sockaddr *)&rank_0, &size) == 0 ? dial_once(j, (const struct sockaddr *)&rank_0, size) : -1;
    return s < 0 ? UNHEALTHY : greet(j, 0, NOTICE, s, err);
}

static enum status read_answer(struct joining *j, int socket, struct error *err)
{
    struct answer answer;
    enum status status = pass(j, socket, RECEIVE, &answer, sizeof answer, err);
    if (status == OK && memcmp(answer.magic, TCP_MAGIC, sizeof TCP_MAGIC) != 0)
        return fail_with(err, BAD_OPTION, "what listens at %s port %s (MASTER_ADDR, MASTER_PORT) is not graft",
                         "give MASTER_PORT a free port; torchrun keeps it to itself unless TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 is set", j->place->host,
                         j->place->port);
    if (status == OK && answer.failure.code != OK) {
        answer.failure.what[sizeof answer.failure.what - 1] = answer.failure.cure[sizeof answer.failure.cure - 1] = '\0';
        *err = answer.failure;
        j->comm->told = true;
        return err->code;
    }
    memcpy(j->token, answer.token, sizeof j->token);
    if (status == OK)
        status = pass(j, socket, RECEIVE, j->address, (size_t)j->place->ranks * sizeof *j->address, err);
    if (status == UNHEALTHY)
        return fail_with(err, UNHEALTHY, "rank %d was let go by %s port %s (MASTER_ADDR, MASTER_PORT) while the ranks were joining",
                         "see what rank 0 says, and that nothing else uses the port", j->place->rank, j->place->host, j->place->port);
    return status;
}

/* Rank 0 tells those who are there where all are, or why it ends; then nobody is waited for long. */
static enum status answer_all(struct joining *j, enum status status, struct error *err)
{
    struct answer answer = { .magic = { 0 } };
    struct error unused = { 0 };
    memcpy(answer.magic, TCP_MAGIC, sizeof TCP_MAGIC);
    memcpy(answer.token, j->token, sizeof answer.token);
    if (status != OK) {
        answer.failure = *err;
        j->until = monotonic_seconds() + FAREWELL_SECONDS;
    }
    for (int rank = 1; rank < j->place->ranks; rank++) {
        const int s = j->tcp->lane[2 * rank].socket;
        if (s < 0 || pass(j, s, SEND, &answer, sizeof answer, &unused) != OK || status != OK)
            continue;
        (void)pass(j, s, SEND, j->address, (size_t)j->place->ranks * sizeof *j->address, &unused); /* who does not get it ends, and is missing at the meeting */
    }
    return status;
}

static enum status lead_joining(struct joining *j, struct error *err)
{
    TRY(listen_for_all(j, err));
    if (getrandom(j->token, sizeof j->token, 0) != (ssize_t)sizeof j->token)
        return tcp_library_failed("getrandom", err);
    return answer_all(j, tcp_receive_guests(j, err), err);
}

static enum status follow_joining(struct joining *j, struct error *err)
{
    struct sockaddr_storage here = { 0 };
    socklen_t size = sizeof here;
    int socket[2];
    TRY(dial_rank_0(j, &socket[ORDINARY], err));
    if (getsockname(socket[ORDINARY], (struct sockaddr *)&here, &size) != 0)
        return close(socket[ORDINARY]), tcp_library_failed("getsockname", err);
    if (here.ss_family == AF_INET)
        ((struct sockaddr_in *)&here)->sin_port = 0; /* any that is free */
    else
        ((struct sockaddr_in6 *)&here)->sin6_port = 0;
    enum status status = tcp_listen_at(j, (const struct sockaddr *)&here, size, err);
    if (status != OK)
        return close(socket[ORDINARY]), status;
    status = greet(j, 0, ORDINARY, socket[ORDINARY], err);
    if (status == OK)
        status = greet_again(j, socket[ORDINARY], err);
    if (status == OK || status == UNHEALTHY) /* what it says matters more than that it hung up */
        status = read_answer(j, j->tcp->lane[0].socket, err);
    for (int rank = 1; rank < j->place->rank && status == OK; rank++) {
        char text[ADDRESS];
        const int s = dial_once(j, (const struct sockaddr *)&j->address[rank], sizeof j->address[rank]);
        if (s < 0 || greet(j, rank, ORDINARY, s, err) != OK)
            status = fail_with(err, UNHEALTHY, "rank %d cannot reach rank %d at %s: %s",
                               "MASTER_ADDR must be an address at which all hosts reach rank 0, and "
                               "they must reach each other",
                               j->place->rank, rank, tcp_address_text(text, &j->address[rank]), strerror(errno));
    }
    return status == OK ? tcp_receive_guests(j, err) : status;
}

enum status tcp_join(struct comm *comm, struct tcp *tcp, const struct tcp_place *place, struct error *err)
{
    struct joining j = { .comm = comm, .tcp = tcp, .place = place, .until = monotonic_seconds() + comm->timeout, .listener = -1 };
    if (place->rank) /* rank 0 speaks first: it knows who is missing */
        j.until += 1 + comm->timeout / 20;
    j.address = calloc((size_t)place->ranks, sizeof *j.address);
    if (!j.address)
        return fail_with(err, NO_MEMORY, "no memory for the addresses of %d ranks", "free some memory", place->ranks);
    enum status status = (place->rank == 0 ? lead_joining : follow_joining)(&j, err);
    tcp_close_door(&j);
    free(j.address);
    return status;
}
