/* The module that speaks NCCL (trainer/module.h): bytes between the memories of two GPUs, without a look from the host.
 *
 * Every function returns at once; trainer/wire.c asks again and watches the other ranks meanwhile, so no wait for a GPU is endless.
 */
#ifndef GRAFT_TRAINER_COMM_NCCL_H
#define GRAFT_TRAINER_COMM_NCCL_H

#include "trainer/comm.h"
#include "trainer/module.h"

#define NCCL_MODULE "graft_nccl.so"
#define NCCL_SYMBOL "comm_nccl"
enum { NCCL_ID = 128 };

struct nccl_row {
    struct module_head head; /* bytes: sizeof(struct nccl_row) */
    /* Rank 0 makes the id by which the ranks find each other. */
    enum status (*make_id)(uint8_t id[NCCL_ID], struct error *err);
    /* Begins to join the others, on the GPU that this thread uses. */
    enum status (*join)(void **self, const uint8_t id[NCCL_ID], int rank, int ranks, struct error *err);
    /* Begins to move bytes of the GPU, behind everything else in its stream. */
    enum status (*move)(void *self, enum direction direction, int peer, void *bytes, size_t size, void *stream, struct error *err);
    /* Whether what was begun last has become work of the stream. */
    enum status (*taken)(void *self, bool *taken, struct error *err);
    /* all_there: says good-bye; else whatever is under way is given up. */
    void (*leave)(void *self, bool all_there);
};

extern const struct nccl_row comm_nccl;

#endif
