/* Bytes between devices, over whatever connects them. */
#include "trainer/wire.h"
#include "trainer/comm_nccl.h"

#include <stdio.h>
#include <string.h>

/* What a rank has to say before the ranks choose. */
struct claim {
    char place[sizeof((struct device *)0)->place], why_not[160];
};

static enum status move_directly(void *self, enum direction direction, int peer, void *bytes, size_t size, struct error *err)
{
    struct comm *comm = ((struct wire *)self)->comm;
    return direction == SEND ? comm_send(comm, peer, bytes, size, err) : comm_receive(comm, peer, bytes, size, err);
}

static enum status move_through_host(void *self, enum direction direction, int peer, void *bytes, size_t size, struct error *err)
{
    struct wire *wire = self;
    for (size_t done = 0; done < size; done += COMM_PIECE) {
        const size_t piece = size - done < COMM_PIECE ? size - done : COMM_PIECE;
        if (direction == SEND) {
            wire->device->row->download(wire->device, wire->through, (char *)bytes + done, piece);
            TRY(comm_send(wire->comm, peer, wire->through, piece, err));
        } else {
            TRY(comm_receive(wire->comm, peer, wire->through, piece, err));
            wire->device->row->upload(wire->device, (char *)bytes + done, wire->through, piece);
        }
    }
    return OK;
}

/* What is under way: bytes to or from a peer, or the join of all. */
struct underway {
    struct wire *wire;
    int peer;
    enum status joined;
};

static enum status nccl_arrived(void *self, int *missing, struct error *err)
{
    const struct underway *underway = self;
    const struct wire *wire = underway->wire;
    bool taken = false, idle = false;
    wire->device->err = err;
    TRY(wire->nccl->taken(wire->joined, &taken, err));
    if (taken)
        TRY(wire->device->row->idle(wire->device, &idle));
    if (!idle)
        *missing = underway->peer;
    return OK;
}

static enum status move_by_nccl(void *self, enum direction direction, int peer, void *bytes, size_t size, struct error *err)
{
    struct wire *wire = self;
    if (wire->nccl->move(wire->joined, direction, peer, bytes, size, wire->device->row->stream(wire->device), err) != OK)
        return comm_give_up(wire->comm, err);
    return comm_await(wire->comm, nccl_arrived, &(struct underway){ .wire = wire, .peer = peer }, err);
}

/* That it failed is for the meeting behind it. */
static enum status nccl_joined(void *self, int *missing, struct error *err)
{
    struct underway *underway = self;
    bool taken = false;
    underway->joined = underway->wire->nccl->taken(underway->wire->joined, &taken, err);
    if (underway->joined == OK && !taken)
        *missing = underway->peer;
    return OK;
}

/* "": all ranks can use NCCL, and no two of a host have the same GPU. */
static void choose(const struct comm *comm, const struct claim *claim, char out[160])
{
    char name[2][96];
    out[0] = '\0';
    for (int rank = 0; rank < comm->ranks && !out[0]; rank++) {
        if (claim[rank].why_not[0])
            snprintf(out, 160, "%.100s: %.50s", comm_name(comm, rank, name[0]), claim[rank].why_not);
        for (int other = 0; other < rank && !out[0]; other++)
            if (strcmp(claim[rank].place, claim[other].place) == 0 && strcmp(comm->about[rank].host, comm->about[other].host) == 0)
                snprintf(out, 160, "ranks %d and %d share GPU %s of %.60s", other, rank, claim[rank].place, comm->about[rank].host);
    }
}

static enum status join_by_nccl(struct wire *wire, struct error *err)
{
    struct comm *comm = wire->comm;
    uint8_t id[NCCL_ID] = { 0 };
    TRY(comm_meet(comm, comm->rank == 0 ? wire->nccl->make_id(id, err) : OK, err));
    TRY(comm_broadcast(comm, 0, id, sizeof id, err));
    enum status status = wire->nccl->join(&wire->joined, id, comm->rank, comm->ranks, err);
    struct underway all = { .wire = wire, .peer = comm->rank == 0 ? 1 : 0 }; /* NCCL does not say who is missing */
    if (status == OK)
        status = comm_await(comm, nccl_joined, &all, err);
    if (status == OK)
        status = all.joined;
    wire->move = move_by_nccl;
    snprintf(wire->how, sizeof wire->how, "by NCCL");
    return comm_meet(comm, status, err);
}

enum status wire_open(struct wire *wire, struct arena *arena, struct comm *comm, struct device *device, struct error *err)
{
    *wire = (struct wire){ .comm = comm, .device = device, .move = move_directly };
    if (device->row->host || comm->ranks == 1)
        return OK;
    struct claim *claim = NEW_ARRAY(arena, comm->ranks, struct claim), *mine = &claim[comm->rank];
    int64_t *begin = NEW_ARRAY(arena, comm->ranks + 1, int64_t);
    const char *why = "";
    char why_not[160];
    wire->nccl = (const struct nccl_row *)module_load(arena, NCCL_MODULE, NCCL_SYMBOL, sizeof *wire->nccl, &why);
    snprintf(mine->place, sizeof mine->place, "%s", device->place);
    if (!wire->nccl)
        snprintf(mine->why_not, sizeof mine->why_not, NCCL_MODULE ": %s", why);
    for (int rank = 0; rank <= comm->ranks; rank++)
        begin[rank] = rank;
    TRY(comm_gather(comm, claim, begin, sizeof *claim, err));
    choose(comm, claim, why_not);
    if (!why_not[0])
        return join_by_nccl(wire, err);
    wire->through = arena_alloc(arena, COMM_PIECE);
    wire->move = move_through_host;
    snprintf(wire->how, sizeof wire->how, "through the host (%s)", why_not);
    return OK;
}

void wire_close(struct wire *wire)
{
    if (wire->joined)
        wire->nccl->leave(wire->joined, !wire->comm->over);
    *wire = (struct wire){ 0 };
}

enum status wire_send(struct wire *wire, int peer, const void *bytes, size_t size, struct error *err)
{
    TRY(device_synchronize(wire->device, err));
    return wire->move(wire, SEND, peer, (void *)(uintptr_t)bytes, size, err);
}

enum status wire_receive(struct wire *wire, int peer, void *bytes, size_t size, struct error *err)
{
    TRY(device_synchronize(wire->device, err));
    return wire->move(wire, RECEIVE, peer, bytes, size, err);
}

enum status wire_broadcast(struct wire *wire, int root, void *bytes, size_t size, struct error *err)
{
    TRY(device_synchronize(wire->device, err));
    return comm_spread(wire->comm, root, bytes, size, wire->move, wire, err);
}
