/* The sum of the gradients of a step's micro-batches, in one fixed order on any number of ranks.
 *
 * The idea to hold: micro-batches are the leaves of one binary tree. Block k of 2^j of them is the sum of blocks 2k and 2k + 1 of 2^(j-1) each, and what lies
 * behind the last micro-batch is left out. A rank adds up whatever blocks lie in its own range as it goes, like a binary counter; blocks that lie in several
 * ranges are put together afterwards, by the rank of their first micro-batch. So each value is added to the same other value wherever it was computed.
 */
#ifndef GRAFT_TRAINER_GRADIENT_SUM_H
#define GRAFT_TRAINER_GRADIENT_SUM_H

#include "autograd/parameters.h"
#include "autograd/program.h"
#include "trainer/wire.h"

enum { MOST_BLOCKS = 64 };

struct gradient_sum {
    struct comm *comm;
    struct wire wire;
    struct arena *arena;
    struct device *device;
    struct parameters *parameters;
    int room;                /* vectors: the gradient's own, then `spare` */
    float *spare;            /* [room - 1][count] on the device */
    int64_t begin, end, all; /* micro-batches of this rank, and of the step */
    struct {
        int64_t first, size; /* micro-batches; the last block of a step may have fewer */
    } block[MOST_BLOCKS];
    int blocks; /* kept: block i lies in vector i */
    struct program *adding;
    struct tensor *sum, *more; /* of `adding` */
};

/* Vectors beside the gradient's own that steps of at most so many micro-batches need. */
int gradient_sum_spare(int64_t micro_batches, int ranks);
/* Steps will have at most `micro_batches`. Errors: NO_MEMORY. Destroy whatever the outcome. */
enum status gradient_sum_create(struct gradient_sum *sum, struct arena *arena, struct parameters *parameters, struct device *device, struct comm *comm,
                                int64_t micro_batches, struct error *err) MUST_USE;
/* Before the first step: all ranks, right behind a meeting. sum->wire.how then says how gradients travel; empty where that is nothing to speak of. Errors:
 * LIBRARY, and those of meetings. */
enum status gradient_sum_connect(struct gradient_sum *sum, struct error *err) MUST_USE;
/* A step of `all` micro-batches, of which begin .. end are this rank's. */
void gradient_sum_begin(struct gradient_sum *sum, int64_t begin, int64_t end, int64_t all);
/* The next micro-batch of this rank may run: its gradient will be added to zeros. */
void gradient_sum_prepare(struct gradient_sum *sum);
/* It has run. */
enum status gradient_sum_take(struct gradient_sum *sum, struct error *err) MUST_USE;
/* All ranks, behind a meeting: the sum of all stands in parameters->grad everywhere. begin: of every rank, [ranks + 1]. */
enum status gradient_sum_finish(struct gradient_sum *sum, const int64_t *begin, struct error *err) MUST_USE;
void gradient_sum_destroy(struct gradient_sum *sum);

#endif
