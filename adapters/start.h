/* Random starts of adapters' parameters. What a value is depends on the seed, the parameter's name and the value's place alone. */
#ifndef GRAFT_ADAPTERS_START_H
#define GRAFT_ADAPTERS_START_H

#include "autograd/parameters.h"

/* Uploads values drawn uniformly within +-bound into a parameter, whose set is sealed. */
void start_uniform(struct parameters *parameters, struct tensor *t, uint64_t seed, double bound);
/* Uploads values drawn from N(0, deviation^2). */
void start_normal(struct parameters *parameters, struct tensor *t, uint64_t seed, double deviation);

#endif
