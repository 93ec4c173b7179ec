/* The row of the CPU. */
#ifndef GRAFT_AUTOGRAD_CPU_DEVICE_CPU_H
#define GRAFT_AUTOGRAD_CPU_DEVICE_CPU_H

#include "autograd/device.h"

extern const struct device_row device_cpu;

#endif
