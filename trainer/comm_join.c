/* How a process finds the ranks it was started with. */
#include "trainer/comm.h"
#include "common/text.h"
#include "trainer/comm_module.h"
#include "trainer/comm_tcp.h"
#include "trainer/progress.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How launchers say that a process is one of several; `size`: the variable is their number. */
static const struct launcher {
    const char *variable;
    bool size;
    const struct comm_kind *kind; /* NULL: that of the module */
} launchers[] = {
    { "OMPI_COMM_WORLD_SIZE", true, NULL }, /* Open MPI's mpirun */
    { "PMI_SIZE", true, NULL },             /* srun --mpi=pmi2, MPICH's mpirun */
    { "PMIX_RANK", false, NULL },           /* srun --mpi=pmix */
    { "WORLD_SIZE", true, &comm_tcp },      /* torchrun, run_scripts/train_multi_gpu.sh */
};

static const double TIMEOUT_UNTIL_CONFIGURED = 600;

static void close_alone(struct comm *comm)
{
    (void)comm;
}

/* Nothing else is ever called: there is no peer. */
static const struct comm_kind kind_alone = { .name = "one process", .close = close_alone };

struct comm *comm_alone(struct arena *arena)
{
    struct comm *comm = NEW(arena, struct comm);
    *comm = (struct comm){ .kind = &kind_alone, .ranks = 1, .here = 1, .lost = -1 };
    return comm;
}

/* How many ranks the environment speaks of: 1 without a launcher, 0 where it does not say how many. */
static int64_t launched(const struct launcher **launcher)
{
    for (size_t i = 0; i < COUNT(launchers); i++) {
        const char *value = getenv(launchers[i].variable);
        int64_t size;
        *launcher = &launchers[i];
        if (value && (!launchers[i].size || !text_to_int(value, &size)))
            return 0;
        if (value)
            return size;
    }
    return 1;
}

/* Tasks of one srun that know nothing of each other would write the same files. */
static enum status refuse_strangers(struct error *err)
{
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS"), *step = getenv("SLURM_STEP_ID");
    int64_t count;
    if (!tasks || !step || !text_to_int(tasks, &count) || count < 2)
        return OK;
    return fail_with(err, BAD_OPTION, "srun started %lld tasks that do not know of each other", "srun --mpi=pmix, or one task", (long long)count);
}

static enum status load_kind(struct comm *comm, struct arena *arena, const char *variable, struct error *err)
{
    const char *why;
    const struct module_head *head = module_load(arena, COMM_MODULE, COMM_SYMBOL, sizeof *comm, &why);
    comm->kind = (const struct comm_kind *)head;
    if (head)
        return OK;
    return fail_with(err, BAD_OPTION, "this process is one of several ranks (%s), and " COMM_MODULE " cannot be used: %s",
                     "build graft where libopenmpi-dev is installed (GRAFT_MPI=ON), install both from one build, or start one process", variable, why);
}

static void describe_myself(struct rank_about *about)
{
    cpu_set_t set;
    struct stat space = { 0 };
    *about = (struct rank_about){ .process = getpid() };
    if (gethostname(about->host, sizeof about->host - 1) != 0)
        snprintf(about->host, sizeof about->host, "a host");
    if (stat("/proc/self/ns/pid", &space) == 0)
        about->space = (int64_t)space.st_ino;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        memcpy(about->cores, &set, sizeof set < sizeof about->cores ? sizeof set : sizeof about->cores);
}

static enum status meet_first(struct comm *comm, struct arena *arena, struct error *err)
{
    comm->about = NEW_ARRAY(arena, comm->ranks, struct rank_about);
    comm->word = NEW_ARRAY(arena, comm->ranks, struct word);
    comm->failure = NEW_ARRAY(arena, comm->ranks, struct error);
    comm->transfer = NEW_ARRAY(arena, comm->ranks, struct transfer);
    comm->met = monotonic_seconds();
    comm_phase(comm, 0, "joining");
    if (comm->rank)
        TRY(comm->kind->begin(comm, RECEIVE, NOTICE, &comm->notice, sizeof comm->notice, &comm->stop, err));
    int64_t *begin = NEW_ARRAY(arena, comm->ranks + 1, int64_t);
    for (int rank = 0; rank <= comm->ranks; rank++)
        begin[rank] = rank;
    describe_myself(&comm->about[comm->rank]);
    TRY(comm_gather(comm, comm->about, begin, sizeof *comm->about, err));
    comm->here = 0;
    for (int rank = 0; rank < comm->ranks; rank++)
        comm->here += strcmp(comm->about[rank].host, comm->about[comm->rank].host) == 0;
    comm->met = monotonic_seconds();
    return OK;
}

enum status comm_join(struct comm **out, struct arena *arena, struct error *err)
{
    const struct launcher *launcher;
    const int64_t size = launched(&launcher);
    struct comm *comm = *out = comm_alone(arena);
    if (size == 1)
        return refuse_strangers(err);
    comm->kind = launcher->kind;
    comm->timeout = TIMEOUT_UNTIL_CONFIGURED;
    if (!comm->kind)
        TRY(load_kind(comm, arena, launcher->variable, err));
    TRY(comm->kind->open(comm, arena, err));
    if (size && size != comm->ranks)
        return fail_with(err, BAD_OPTION, "the launcher started %lld ranks, and MPI knows of %d",
                         "start it with the mpirun of the MPI that graft was built with", (long long)size, comm->ranks);
    return comm->ranks > 1 ? meet_first(comm, arena, err) : OK;
}

int comm_threads(const struct comm *comm)
{
    int cores = 0, sharing = 0;
    for (int core = 0; core < COMM_CORES; core++)
        cores += comm->about[comm->rank].cores[core / 8] >> core % 8 & 1;
    for (int rank = 0; rank < comm->ranks; rank++)
        sharing += memcmp(comm->about[rank].cores, comm->about[comm->rank].cores, sizeof comm->about->cores) == 0 &&
                   strcmp(comm->about[rank].host, comm->about[comm->rank].host) == 0;
    return cores / sharing > 0 ? cores / sharing : 1;
}

int comm_local_rank(const struct comm *comm)
{
    int before = 0;
    for (int rank = 0; rank < comm->rank; rank++)
        before += strcmp(comm->about[rank].host, comm->about[comm->rank].host) == 0;
    return before;
}

const char *comm_name(const struct comm *comm, int rank, char name[96])
{
    snprintf(name, 96, "rank %d (%s)", rank, comm->about[rank].host);
    return name;
}
