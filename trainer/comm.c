/* How ranks move bytes and meet, written over two functions of a kind. */
#include "trainer/comm.h"
#include "trainer/comm_look.h"
#include "trainer/progress.h"

#include <sched.h>
#include <string.h>
#include <time.h>

static const double LOOK_SECONDS = 0.1, SLEEP_SECONDS = 1, NOTICE_SECONDS = 0.5, LEAVE_SECONDS = 60;
enum { EAGER_TURNS = 1 << 14, CLOCK_TURNS = 64 };

static enum status find_lost(struct comm *comm, int lost, enum loss why, struct error *err);

/* Waiting begins eagerly, since most waits are short, and then sleeps, since threads of other ranks may need the core. */
static void pause_turn(int64_t turn)
{
    const struct timespec moment = { .tv_nsec = 50000 };
    if (turn < EAGER_TURNS)
        sched_yield();
    else
        nanosleep(&moment, NULL);
}

/* Whether rank 0 has said that all stop. */
static enum status hear(struct comm *comm, struct error *err)
{
    if (comm->rank == 0 || comm->stop.done)
        return OK;
    TRY(comm->kind->test(comm, &comm->stop, err));
    if (!comm->stop.done)
        return OK;
    comm->over = comm->told = true;
    *err = comm->notice;
    return err->code;
}

/* Rank 0 speaks first where it can, since it hears of all: the others wait a little longer. */
static double patience(const struct comm *comm, int rank)
{
    const double grace = comm->timeout / 20;
    return comm->timeout + (rank == 0 ? 0 : grace > 1 ? grace : 1);
}

/* Until when a rank that began to wait at `entered` waits for the others. Who was late itself gives them a moment. */
static double deadline(const struct comm *comm, double entered)
{
    const double set = comm->met + comm->slept + patience(comm, comm->rank), least = entered + (comm->rank == 0 ? 1 : 2);
    return set > least ? set : least;
}

/* Rank 0 looks at all and says what it sees; the others look at rank 0. */
static enum status look_around(struct comm *comm, int missing, bool late, struct error *err)
{
    const int watched = comm->rank == 0 ? comm->ranks : 1;
    for (int rank = comm->rank == 0; rank < watched; rank++)
        if (comm_look(comm, rank) == ENDED)
            return find_lost(comm, rank, ENDED, err);
    for (int rank = comm->rank == 0; late && rank < watched; rank++)
        if (comm_look(comm, rank) == STOPPED)
            return find_lost(comm, rank, STOPPED, err);
    return late ? find_lost(comm, comm->rank == 0 ? missing : 0, SILENT, err) : OK;
}

enum status comm_await(struct comm *comm, comm_arrived *arrived, void *self, struct error *err)
{
    const double entered = monotonic_seconds();
    double looked = entered;
    for (int64_t turn = 0;; turn++) {
        int missing = comm->rank;
        if (arrived(self, &missing, err) != OK)
            return comm_give_up(comm, err);
        if (missing == comm->rank)
            return OK;
        TRY(hear(comm, err));
        const double now = turn < EAGER_TURNS && turn % CLOCK_TURNS ? looked : monotonic_seconds();
        if (now - looked >= LOOK_SECONDS) {
            comm->slept += now - looked >= SLEEP_SECONDS ? now - looked : 0;
            TRY(look_around(comm, missing, now >= deadline(comm, entered), err));
            looked = now;
        }
        pause_turn(turn);
    }
}

/* Transfers that are waited for together. */
struct transfers {
    struct comm *comm;
    struct transfer *transfer;
    int count;
};

static enum status transfers_arrived(void *self, int *missing, struct error *err)
{
    const struct transfers *all = self;
    for (int i = all->count - 1; i >= 0; i--) {
        struct transfer *t = &all->transfer[i];
        if (!t->done)
            TRY(all->comm->kind->test(all->comm, t, err));
        if (!t->done)
            *missing = t->peer;
    }
    return OK;
}

static enum status wait_for(struct comm *comm, struct transfer *transfer, int count, struct error *err)
{
    return comm_await(comm, transfers_arrived, &(struct transfers){ comm, transfer, count }, err);
}

static enum status move(struct comm *comm, enum direction direction, int peer, char *bytes, size_t size, struct error *err)
{
    for (size_t done = 0; done < size; done += COMM_PIECE) {
        struct transfer transfer = { .peer = peer };
        if (comm->kind->begin(comm, direction, ORDINARY, bytes + done, size - done < COMM_PIECE ? size - done : COMM_PIECE, &transfer, err) != OK)
            return comm_give_up(comm, err);
        TRY(wait_for(comm, &transfer, 1, err));
    }
    return OK;
}

enum status comm_send(struct comm *comm, int peer, const void *bytes, size_t size, struct error *err)
{
    return move(comm, SEND, peer, (char *)(uintptr_t)bytes, size, err);
}

enum status comm_receive(struct comm *comm, int peer, void *bytes, size_t size, struct error *err)
{
    return move(comm, RECEIVE, peer, bytes, size, err);
}

/* A binomial tree: counted from the root, rank r has it from r without its highest bit. Piece by piece, so that all stages work at once. */
enum status comm_spread(struct comm *comm, int root, void *bytes, size_t size, comm_move *move_piece, void *self, struct error *err)
{
    const int ranks = comm->ranks, me = (comm->rank - root + ranks) % ranks;
    for (size_t done = 0; done < size; done += COMM_PIECE) {
        const size_t piece = size - done < COMM_PIECE ? size - done : COMM_PIECE;
        int highest = 1;
        while (highest <= me)
            highest *= 2;
        if (me)
            TRY(move_piece(self, RECEIVE, (me - highest / 2 + root) % ranks, (char *)bytes + done, piece, err));
        for (int step = highest; me + step < ranks; step *= 2)
            TRY(move_piece(self, SEND, (me + step + root) % ranks, (char *)bytes + done, piece, err));
    }
    return OK;
}

static enum status move_between_hosts(void *self, enum direction direction, int peer, void *bytes, size_t size, struct error *err)
{
    return move(self, direction, peer, bytes, size, err);
}

enum status comm_broadcast(struct comm *comm, int root, void *bytes, size_t size, struct error *err)
{
    return comm_spread(comm, root, bytes, size, move_between_hosts, comm, err);
}

enum status comm_gather(struct comm *comm, void *array, const int64_t *begin, size_t unit, struct error *err)
{
    const int ranks = comm->ranks;
    for (int rank = 1; rank < ranks; rank++) {
        char *part = (char *)array + (size_t)begin[rank] * unit;
        const size_t size = (size_t)(begin[rank + 1] - begin[rank]) * unit;
        if (comm->rank == 0)
            TRY(comm_receive(comm, rank, part, size, err));
        else if (comm->rank == rank)
            TRY(comm_send(comm, 0, part, size, err));
    }
    return ranks > 1 ? comm_broadcast(comm, 0, array, (size_t)begin[ranks] * unit, err) : OK;
}

/* Rank 0 tells the others to stop, as far as they still listen; a lost one may yet wake up and hear it, but is not waited for. */
static void notify(struct comm *comm, const struct error *why)
{
    struct error unused = { 0 };
    const double until = monotonic_seconds() + NOTICE_SECONDS;
    comm->notice = *why;
    for (int rank = 1; rank < comm->ranks; rank++) {
        struct transfer *t = &comm->transfer[rank];
        *t = (struct transfer){ .peer = rank };
        if (comm->kind->begin(comm, SEND, NOTICE, &comm->notice, sizeof comm->notice, t, &unused) != OK || rank == comm->lost)
            t->done = true;
    }
    for (int left = 1; left && monotonic_seconds() < until;) {
        left = 0;
        for (int rank = 1; rank < comm->ranks; rank++) {
            struct transfer *t = &comm->transfer[rank];
            left += !t->done && comm->kind->test(comm, t, &unused) == OK && !t->done;
        }
        sched_yield();
    }
}

static enum status find_lost(struct comm *comm, int lost, enum loss why, struct error *err)
{
    comm_describe_loss(comm, lost, why, err);
    comm->over = true;
    comm->lost = lost;
    /* Rank 0 speaks, and where it is the lost one, rank 1. Who was stopped or came too late finds that the others have ended: they gave it up, and have said
     * so. */
    comm->told = comm->rank > 1 || (why == ENDED && (comm->late || comm->slept > 0 || monotonic_seconds() > comm->met + patience(comm, 1)));
    if (comm->rank == 0)
        notify(comm, err);
    return err->code;
}

enum status comm_give_up(struct comm *comm, struct error *err)
{
    if (!comm->over) {
        comm->over = true;
        comm->lost = comm->rank;
        if (comm->rank == 0)
            notify(comm, err);
    }
    return err->code;
}

/* Interruptions are the mildest, what the environment does the worst. */
static int severity(enum status code)
{
    return code == OK ? 0 : code == INTERRUPTED ? 1 : status_exit_code(code) == 2 ? 2 : 3;
}

static enum status stop_all(struct comm *comm, int culprit, struct error *err)
{
    char name[96];
    if (culprit) {
        *err = comm->failure[culprit];
        if (err->code != INTERRUPTED)
            (void)place_failure(err, comm_name(comm, culprit, name));
    }
    comm->over = true;
    notify(comm, err);
    return err->code;
}

static void mark_met(struct comm *comm)
{
    const double now = monotonic_seconds();
    comm->late = now > comm->met + patience(comm, 1);
    comm->met = now;
    comm->slept = 0;
}

/* Rank 0 hears all words, then says that all is well, or stops all. */
static enum status lead(struct comm *comm, struct error *err)
{
    int worst = 0;
    for (int rank = 1; rank < comm->ranks; rank++) {
        comm->transfer[rank] = (struct transfer){ .peer = rank };
        TRY(comm->kind->begin(comm, RECEIVE, ORDINARY, &comm->word[rank], sizeof *comm->word, &comm->transfer[rank], err));
    }
    TRY(wait_for(comm, comm->transfer + 1, comm->ranks - 1, err));
    mark_met(comm); /* before the others: whoever is stopped from here on finds that they lost patience later than it */
    for (int rank = 1; rank < comm->ranks; rank++) {
        const struct word *word = &comm->word[rank];
        CHECK(word->meeting == comm->meetings);
        if (word->code != OK)
            TRY(comm_receive(comm, rank, &comm->failure[rank], sizeof *comm->failure, err));
        if (severity((enum status)word->code) > severity((enum status)comm->word[worst].code))
            worst = rank;
    }
    if (comm->word[worst].code != OK)
        return stop_all(comm, worst, err);
    for (int rank = 1; rank < comm->ranks; rank++)
        TRY(comm_send(comm, rank, &comm->verdict, 1, err));
    return OK;
}

static enum status follow(struct comm *comm, struct error *err)
{
    const struct word *mine = &comm->word[comm->rank];
    TRY(comm_send(comm, 0, mine, sizeof *mine, err));
    if (mine->code != OK)
        TRY(comm_send(comm, 0, &comm->failure[comm->rank], sizeof *comm->failure, err));
    TRY(comm_receive(comm, 0, &comm->verdict, 1, err));
    mark_met(comm);
    return OK;
}

enum status comm_meet(struct comm *comm, enum status status, struct error *err)
{
    if (comm->ranks == 1 || comm->over)
        return status;
    struct error heard = *err; /* what was agreed on replaces what happened here */
    comm->word[comm->rank] = (struct word){ comm->step, (int32_t)status, ++comm->meetings };
    comm->failure[comm->rank] = *err;
    if (comm->rank == 0) {
        status = lead(comm, &heard);
    } else {
        heard = (struct error){ 0 };
        status = follow(comm, &heard);
    }
    if (status != OK)
        *err = heard;
    return status;
}

void comm_phase(struct comm *comm, int64_t step, const char *phase)
{
    comm->step = step;
    comm->phase = phase;
}

/* A second notice is rank 0's good-bye. */
static void wait_for_rank_0(struct comm *comm)
{
    struct error unused = { 0 };
    const double until = monotonic_seconds() + LEAVE_SECONDS;
    comm->stop = (struct transfer){ .peer = 0 };
    if (comm->kind->begin(comm, RECEIVE, NOTICE, &comm->notice, sizeof comm->notice, &comm->stop, &unused) != OK)
        return;
    for (int64_t turn = EAGER_TURNS; !comm->stop.done && monotonic_seconds() < until && comm_look(comm, 0) != ENDED; turn++) {
        if (comm->kind->test(comm, &comm->stop, &unused) != OK)
            return;
        pause_turn(turn);
    }
}

void comm_leave(struct comm *comm)
{
    if (!comm || comm->ranks == 1)
        return;
    const struct error farewell = { 0 };
    if (comm->over && comm->rank == 0)
        notify(comm, &farewell);
    else if (comm->over && comm->told)
        wait_for_rank_0(comm);
    if (comm->lost < 0)
        comm->kind->close(comm);
}
