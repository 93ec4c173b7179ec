/* What the machine says about memory. */
#ifndef GRAFT_TRAINER_MEMORY_H
#define GRAFT_TRAINER_MEMORY_H

#include "autograd/device.h"

/* What a budget is made of, in bytes. */
struct memory {
    size_t resident;  /* that this process has already */
    size_t available; /* that it could have beside them */
};

/* Where the device's bytes lie: of the host, or of a GPU, where this process has nothing before it allocates. */
struct memory memory_of(struct device *device);
/* Bytes that could be used without swapping: the kernel's estimate, bounded by this process's control group. */
size_t memory_available(void);
/* Bytes that this process has resident now. */
size_t memory_resident(void);
/* Most bytes this process had resident so far. */
size_t memory_peak(void);

#endif
