/* Random starts of adapters' parameters: a stream of random numbers per parameter, named as it is. */
#include "adapters/start.h"

#include "common/random.h"

void start_uniform(struct parameters *parameters, struct tensor *t, uint64_t seed, double bound)
{
    struct arena *scratch = arena_create_like(parameters->arena);
    const uint64_t stream = random_stream(t->name);
    float *values = NEW_ARRAY(scratch, t->rows * t->cols, float);
    for (int64_t i = 0; i < t->rows * t->cols; i++)
        values[i] = (float)((2.0 * (double)random_uniform(seed, stream, (uint64_t)i) - 1.0) * bound);
    tensor_upload(parameters->device, t, values);
    arena_destroy(scratch);
}

void start_normal(struct parameters *parameters, struct tensor *t, uint64_t seed, double deviation)
{
    struct arena *scratch = arena_create_like(parameters->arena);
    const uint64_t stream = random_stream(t->name);
    float *values = NEW_ARRAY(scratch, t->rows * t->cols, float);
    for (int64_t i = 0; i < t->rows * t->cols; i++)
        values[i] = (float)((double)random_normal(seed, stream, (uint64_t)i) * deviation);
    tensor_upload(parameters->device, t, values);
    arena_destroy(scratch);
}
