/* Ranks: processes that train one adapter together.
 *
 * The idea to hold: ranks meet. Between two meetings each does its own work; at a meeting each says whether that work went well, and all go on, or all stop
 * with one and the same message. Other bytes travel only right behind a meeting, so nobody waits for somebody who has failed. No wait is endless: `timeout`
 * seconds after the meeting before, a rank that is still missing is named, with what it was doing. One process is a comm of one rank, which waits for nobody.
 *
 * How bytes travel is a row (struct comm_kind) of two functions that return at once; everything else is written once, above them. So no thread of its own has
 * to watch: whoever waits looks around.
 */
#ifndef GRAFT_TRAINER_COMM_H
#define GRAFT_TRAINER_COMM_H

#include "common/status.h"
#include "trainer/module.h"

#include <stdint.h>

enum direction { SEND, RECEIVE };
enum channel { ORDINARY, NOTICE }; /* NOTICE: from rank 0, that all have to stop */

/* Bytes on their way. */
struct transfer {
    int peer;
    bool done;
    uint64_t request[2]; /* the kind's own */
};

struct comm;

struct comm_kind {
    struct module_head head; /* bytes: sizeof(struct comm). A kind may lie in a module of its own */
    const char *name;
    /* Joins the others within comm->timeout: sets rank and ranks. */
    enum status (*open)(struct comm *comm, struct arena *arena, struct error *err);
    /* Begins to move bytes between this rank and transfer->peer. Messages of one channel arrive in the order in which they were sent. `bytes` stays valid until
     * the transfer is done. size <= COMM_PIECE. */
    enum status (*begin)(struct comm *comm, enum direction direction, enum channel channel, void *bytes, size_t size, struct transfer *transfer,
                         struct error *err);
    /* Sets transfer->done if the bytes have arrived (RECEIVE) or may be overwritten (SEND). */
    enum status (*test)(struct comm *comm, struct transfer *transfer, struct error *err);
    bool (*gone)(const struct comm *comm, int rank); /* whether that rank has let go of its connection; NULL: a kind cannot tell */
    void (*close)(struct comm *comm);                /* all are there, or none of this is called */
};

enum { COMM_PIECE = 4 << 20, COMM_CORES = 1024 };

/* Who a rank is. */
struct rank_about {
    char host[64];
    int64_t process, space; /* its number on the host, and which numbering that is */
    uint8_t cores[COMM_CORES / 8];
};

/* What a rank says at a meeting. */
struct word {
    int64_t step;
    int32_t code, meeting;
};

struct comm {
    const struct comm_kind *kind;
    int rank, ranks;
    int here;                 /* ranks on this host */
    struct rank_about *about; /* [ranks] */
    double timeout;           /* seconds between two meetings at most */
    const char *phase;        /* what all do until the next meeting */
    int64_t step;             /* of which step; 0: before the first */
    double met;               /* when the last meeting ended */
    double slept;             /* seconds since then in which this process was stopped while it waited */
    int32_t meetings;
    bool late; /* to the last meeting: the others may have gone */
    bool over; /* all stop: a failure was agreed on, or a rank is lost */
    bool told; /* another rank reports it */
    int lost;  /* the rank that does not answer; -1: none */
    void *self;
    struct transfer stop;
    struct error notice; /* that all stop: received, or being sent */
    struct word *word;   /* [ranks] */
    struct error *failure;
    struct transfer *transfer; /* [ranks] */
    char verdict;
};

/* A process alone. */
struct comm *comm_alone(struct arena *arena);
/* Joins the ranks that a launcher (mpirun, srun, torchrun) has started, as its environment says; alone without one. Errors: BAD_OPTION, LIBRARY; and where
 * ranks join through TCP, UNHEALTHY and INTERRUPTED. */
enum status comm_join(struct comm **comm, struct arena *arena, struct error *err) MUST_USE;
/* Says good-bye, when what a rank has to say has been printed. After a failure other ranks than 0 wait here until rank 0 has written what it keeps: the end of
 * one would end all. NULL is fine. */
void comm_leave(struct comm *comm);

/* Cores for each of the ranks here that may use the same ones. */
int comm_threads(const struct comm *comm);
/* How many ranks of this host come before this one. */
int comm_local_rank(const struct comm *comm);
/* "rank 3 (host)" */
const char *comm_name(const struct comm *comm, int rank, char name[96]);

/* What is done until the next meeting: for the message about a rank that is missing there. */
void comm_phase(struct comm *comm, int64_t step, const char *phase);
/* All meet; status is how the work before went here, with *err where it failed. OK if it went well everywhere. Otherwise every rank returns the worst failure,
 * with the rank named, in *err. A rank that is missing: UNHEALTHY. Once failed, meetings return `status` as it is. */
enum status comm_meet(struct comm *comm, enum status status, struct error *err) MUST_USE;

/* Only right behind a meeting, by all ranks in the same order: */
enum status comm_send(struct comm *comm, int peer, const void *bytes, size_t size, struct error *err) MUST_USE;
enum status comm_receive(struct comm *comm, int peer, void *bytes, size_t size, struct error *err) MUST_USE;
/* How bytes of a kind of memory travel to or from a peer; waits until they are there, or may be overwritten. */
typedef enum status comm_move(void *self, enum direction direction, int peer, void *bytes, size_t size, struct error *err);
/* The bytes of rank `root` are then those of all; each piece, of COMM_PIECE at most, is moved by `move`. */
enum status comm_spread(struct comm *comm, int root, void *bytes, size_t size, comm_move *move, void *self, struct error *err) MUST_USE;
/* The same of the host's memory, as the comm moves it. */
enum status comm_broadcast(struct comm *comm, int root, void *bytes, size_t size, struct error *err) MUST_USE;
/* Waits for what happens outside of the comm, like everything else: until `arrived` leaves *missing, which comes as this rank, as it is; else it says who. */
typedef enum status comm_arrived(void *self, int *missing, struct error *err);
enum status comm_await(struct comm *comm, comm_arrived *arrived, void *self, struct error *err) MUST_USE;
/* After a failure on the way from one meeting to the next, when others may be waiting for bytes of this rank and hear nothing else: rank 0 tells them; of
 * others they find that they have gone. Returns err->code. */
enum status comm_give_up(struct comm *comm, struct error *err);
/* Of an array of `unit` bytes each, rank r has made elements begin[r] .. begin[r + 1]; then all have all. */
enum status comm_gather(struct comm *comm, void *array, const int64_t *begin, size_t unit, struct error *err) MUST_USE;

#endif
