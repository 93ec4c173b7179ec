/* One copy for the ranks of a host. */
#include "trainer/shared_weights.h"

#include <string.h>

/* Only memory of the host can be shared, and only among several. */
static bool is_shared(const struct run *run)
{
    return run->comm->here > 1 && run->device->row->host;
}

size_t shared_weights_bytes(const struct run *run)
{
    return is_shared(run) ? run->model.converted_bytes / (size_t)run->comm->here * (size_t)(run->comm->here - 1) : 0;
}

static int first_here(const struct comm *comm)
{
    int rank = 0;
    while (strcmp(comm->about[rank].host, comm->about[comm->rank].host) != 0)
        rank++;
    return rank;
}

static enum status lead(struct run *run, struct shared *memory, struct error *err)
{
    TRY(shared_create(memory, "graft weights", run->model.converted_bytes, err));
    model_fill_shared(&run->model, run->arena, run->device, memory, true);
    return shared_finish(memory, err);
}

static enum status follow(struct run *run, const int64_t *file, struct error *err)
{
    const struct comm *comm = run->comm;
    const int first = first_here(comm);
    struct shared memory = { 0 };
    struct error why = { 0 };
    if (comm->about[first].space != comm->about[comm->rank].space ||
        shared_attach(&memory, comm->about[first].process, (int)file[first], run->model.converted_bytes, &why) != OK)
        return model_fill(&run->model, run->arena, run->device, err);
    model_fill_shared(&run->model, run->arena, run->device, &memory, false);
    return OK;
}

enum status shared_weights_fill(struct run *run, struct error *err)
{
    struct comm *comm = run->comm;
    struct shared memory = { .file = -1 };
    if (comm->ranks == 1 || !run->device->row->host || run->model.converted_bytes == 0)
        return model_fill(&run->model, run->arena, run->device, err);
    int64_t *file = NEW_ARRAY(run->arena, comm->ranks, int64_t), *begin = NEW_ARRAY(run->arena, comm->ranks + 1, int64_t);
    const bool leads = is_shared(run) && comm_local_rank(comm) == 0, follows = is_shared(run) && !leads;
    enum status status = leads ? lead(run, &memory, err) : follows ? OK : model_fill(&run->model, run->arena, run->device, err);
    for (int rank = 0; rank <= comm->ranks; rank++)
        begin[rank] = rank;
    file[comm->rank] = memory.file;
    status = comm_meet(comm, status, err);
    if (status == OK)
        status = comm_gather(comm, file, begin, sizeof *file, err);
    if (status == OK && follows)
        status = follow(run, file, err);
    status = comm_meet(comm, status, err);
    shared_hide(&memory);
    return status;
}
