/* AdamW over the flat parameter vectors, in two small programs: the gradient's norm, which must be looked at first, and the update. */
#ifndef GRAFT_TRAINER_OPTIMIZER_H
#define GRAFT_TRAINER_OPTIMIZER_H

#include "autograd/parameters.h"
#include "autograd/program.h"

/* Parts of the flat vectors, in order, that learn at their own rate. */
struct ranges {
    int count;
    int32_t *end;  /* in units of 16 values */
    float *factor; /* [count][2]: of learning rate and weight decay */
};

struct optimizer {
    struct device *device;
    const struct ranges *ranges;
    struct tensor *norm_squared, *given_norm, *hyper, *ends, *factors;
    struct program *norm, *update;
    void *memory;
    size_t memory_bytes;
};

struct hyper {
    double learning_rate, beta1, beta2, epsilon, weight_decay, max_norm;
};

/* ranges must live as long. */
enum status optimizer_create(struct optimizer *optimizer, struct arena *arena, const struct parameters *parameters, const struct ranges *ranges,
                             struct device *device, struct error *err) MUST_USE;
/* The norm of the gradient as it stands. */
enum status optimizer_norm(struct optimizer *optimizer, double *norm, struct error *err) MUST_USE;
/* One update with the norm that optimizer_norm() found; step counts from 1. */
enum status optimizer_update(struct optimizer *optimizer, const struct hyper *hyper, double norm, int64_t step, struct error *err) MUST_USE;
void optimizer_destroy(struct optimizer *optimizer);

#endif
