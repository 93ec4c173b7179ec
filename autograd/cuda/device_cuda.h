/* The row of GPUs, in builds with CUDA. */
#ifndef GRAFT_AUTOGRAD_CUDA_DEVICE_CUDA_H
#define GRAFT_AUTOGRAD_CUDA_DEVICE_CUDA_H

#include "autograd/device.h"

extern const struct device_row device_cuda;

#endif
