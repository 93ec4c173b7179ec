/* Everything trained, as one flat f32 vector each for value, gradient, first and second moment, and the named tensors inside them.
 *
 * So the optimizer, the norm, an all-reduce and a checkpoint are one call each. Add first, seal once, then initialise through the tensors' data.
 */
#ifndef GRAFT_AUTOGRAD_PARAMETERS_H
#define GRAFT_AUTOGRAD_PARAMETERS_H

#include "autograd/device.h"

struct parameters {
    struct arena *arena;
    struct tensor **tensor; /* in the order added: role PARAMETER, f32, each with .grad; name is the adapter's own key (PEFT's spelling where there is one) */
    int tensors, room;
    int64_t count;                                /* floats in each vector; every tensor starts at a multiple of 16 floats, the gaps stay zero */
    struct tensor *value, *grad, *first, *second; /* STATE f32 [1, count]; NULL before sealing; grad and moments NULL if sealed without training */
    struct parameters *frozen;                    /* what stands beside the trained tensors and never changes: a vector of values only; NULL: nothing */
    struct device *device;
};

struct parameters *parameters_new(struct arena *arena);
/* The tensor has no data until parameters_seal(). */
struct tensor *parameters_add(struct parameters *p, const char *name, int64_t rows, int64_t cols);
/* A tensor of p->frozen: no gradient, not counted in parameters_size(). It is sealed and released with the others. */
struct tensor *parameters_add_frozen(struct parameters *p, const char *name, int64_t rows, int64_t cols);
/* Allocates (zeroed). training: also gradients and moments. */
enum status parameters_seal(struct parameters *p, struct device *device, bool training, struct error *err) MUST_USE;
void parameters_release(struct parameters *p); /* device memory; NULL is fine */
void parameters_zero_gradient(struct parameters *p);
/* From now on programs add the gradients of the tensors into `vector` [count], on the device and zeroed by the caller, as they do into p->grad's own memory
 * before: a sum of gradients needs more than one. p->grad stays where it is. */
void parameters_aim_gradient(struct parameters *p, float *vector);
/* Number of trained values (gaps not counted). */
int64_t parameters_size(const struct parameters *p);
struct tensor *parameters_find(const struct parameters *p, const char *name); /* NULL if absent */

#endif
