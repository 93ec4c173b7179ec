/* How gradients travel between the devices of ranks: as the comm moves them where devices have the host's memory; from GPU to GPU through NCCL where each rank
 * has a GPU of its own and the module is there; else through the memory of the hosts.
 *
 * The idea to hold: a wire moves bytes and never adds. Sums stay those of trainer/gradient_sum.h, so they do not depend on how bytes travel.
 */
#ifndef GRAFT_TRAINER_WIRE_H
#define GRAFT_TRAINER_WIRE_H

#include "autograd/device.h"
#include "trainer/comm.h"

struct wire {
    struct comm *comm;
    struct device *device;
    comm_move *move;
    char how[256]; /* for the user: "by NCCL", or why through the host */
    const struct nccl_row *nccl;
    void *joined;  /* what nccl made of it */
    void *through; /* COMM_PIECE bytes of the host */
};

/* All ranks, right behind a meeting; meets. Errors: LIBRARY. Close whatever the outcome. */
enum status wire_open(struct wire *wire, struct arena *arena, struct comm *comm, struct device *device, struct error *err) MUST_USE;
void wire_close(struct wire *wire); /* safe on a zeroed one */

/* As comm_send(), comm_receive() and comm_broadcast(), of the device's memory. What the device was asked for before is done first. */
enum status wire_send(struct wire *wire, int peer, const void *bytes, size_t size, struct error *err) MUST_USE;
enum status wire_receive(struct wire *wire, int peer, void *bytes, size_t size, struct error *err) MUST_USE;
enum status wire_broadcast(struct wire *wire, int root, void *bytes, size_t size, struct error *err) MUST_USE;

#endif
