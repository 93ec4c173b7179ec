/* A checkpoint: all that a run needs to go on to the bit, in one sealed file.
 *
 * It always stands between two steps of the optimizer. A step that was under way, and its gradients summed so far, is not in it: it is simply taken again, and
 * comes out the same, for the sequences of a step follow from its number (trainer/course.h), random numbers from (seed, stream, index), and sums have a fixed
 * order. So what is kept is parameters, moments, numbers and what must be the same for all that to hold.
 */
#ifndef GRAFT_TRAINER_CHECKPOINT_H
#define GRAFT_TRAINER_CHECKPOINT_H

#include "common/hdf5_file.h"
#include "trainer/identity.h"

/* How far a run is. */
struct position {
    int64_t step;       /* taken */
    int64_t best_step;  /* 0: no evaluation yet */
    int64_t since_best; /* evaluations without improvement */
    int64_t metrics_bytes, micro_batch_tokens;
    double seconds, first_loss, last_loss, eval_loss, best_eval_loss; /* eval: NAN where there was none */
};

struct checkpoint {
    struct hdf5_file file;
    const char *path;
    struct position position;
    struct identity identity;
    const char *config; /* as config_print() writes it */
    int64_t count, tensors;
    const int64_t *shape;                       /* [tensors][2] */
    const char **name;                          /* [tensors] */
    const float *value, *first, *second, *best; /* [count]; best NULL: no evaluation yet */
};

/* Writes beside, syncs and renames. best: values or NULL. Errors: DISK. */
enum status checkpoint_write(const char *path, struct arena *arena, const struct position *position, const struct identity *identity, const struct text *config,
                             const struct parameters *parameters, const float *best, struct error *err) MUST_USE;
/* Nothing in it is believed before it was looked at. Arrays stay in the mapping. Close whatever the outcome. Errors: BAD_FILE. */
enum status checkpoint_open(struct checkpoint *checkpoint, struct arena *arena, const char *path, struct error *err) MUST_USE;
/* Whether a file, opened, was written as a checkpoint. */
bool checkpoint_is(const char *path);
/* Whether its arrays are those of these parameters, by name and shape. Errors: BAD_FILE, naming the first tensor that is not. */
enum status checkpoint_fits(const struct checkpoint *checkpoint, const struct parameters *parameters, struct error *err) MUST_USE;
/* Parameters and moments become what they were. The checkpoint must fit. */
void checkpoint_restore(const struct checkpoint *checkpoint, const struct parameters *parameters);
void checkpoint_close(struct checkpoint *checkpoint); /* safe on a zeroed or closed one */

#endif
