/* The row of GPUs, in builds with CUDA. */
#ifndef GRAFT_AUTOGRAD_CUDA_DEVICE_CUDA_H
#define GRAFT_AUTOGRAD_CUDA_DEVICE_CUDA_H

#include "autograd/device.h"

extern const struct device_row device_cuda;

/* device_row.describe of GPUs. Errors: NO_MEMORY, LIBRARY. */
enum status describe_cuda(struct device *device, struct device_facts *facts) MUST_USE;

#endif
