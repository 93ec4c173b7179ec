/* What this machine can do, measured: the ceilings that speeds are compared with. */
#ifndef GRAFT_TRAINER_MEASURE_H
#define GRAFT_TRAINER_MEASURE_H

#include "autograd/device.h"

/* Best of a few rounds of a large product, as a model's linear layer asks for it, in GFLOP/s. */
enum status measure_product(struct device *device, struct arena *arena, enum dtype dtype, double *rate, struct error *err) MUST_USE;
/* Bytes that go from the host to a GPU, in GB/s. */
enum status measure_upload(struct device *device, struct arena *arena, double *rate, struct error *err) MUST_USE;
/* On a CPU. Copying on one thread, both directions counted, in GB/s. */
enum status measure_copy(struct device *device, double *rate, struct error *err) MUST_USE;
/* On a CPU. Reading on all threads, each a part of its own, in GB/s: what decoding, which reads every weight once per step, cannot exceed. */
enum status measure_read(struct device *device, double *rate, struct error *err) MUST_USE;

#endif
