/* What this machine can do, measured. */
#include "trainer/measure.h"
#include "autograd/cpu/gemm.h"
#include "trainer/progress.h"

#include <string.h>

enum { SIZE = 1536, ROUNDS = 5, COPY_BYTES = 64 << 20 };

enum status measure_product(struct device *device, enum dtype dtype, double *rate, struct error *err)
{
    size_t operand_bytes = SIZE * SIZE * dtype_bytes(dtype), bytes = 2 * operand_bytes + SIZE * SIZE * sizeof(float);
    void *memory;
    TRY(device_allocate(device, "a measured product", bytes, &memory, err));
    char *a = memory, *b = a + operand_bytes, *c = b + operand_bytes;
    memset(c, 1, SIZE * SIZE * sizeof(float)); /* pages are there before the clock runs */
    const struct operand left = { a, dtype, SIZE, false }, right = { b, dtype, SIZE, true };
    enum status status = OK;
    *rate = 0;
    device->err = err;
    for (int round = 0; status == OK && round < ROUNDS; round++) {
        double began = monotonic_seconds();
        status = gemm(device, SIZE, SIZE, SIZE, 1, left, right, 0, c, F32, SIZE);
        double now = 2.0 * SIZE * SIZE * SIZE / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate ? now : *rate;
    }
    device_release(device, memory, bytes);
    return status;
}

enum status measure_copy(struct device *device, double *rate, struct error *err)
{
    void *memory;
    TRY(device_allocate(device, "a measured copy", 2 * (size_t)COPY_BYTES, &memory, err));
    char *from = memory, *to = from + COPY_BYTES;
    memset(from, 1, COPY_BYTES);
    *rate = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double began = monotonic_seconds();
        memcpy(to, from, COPY_BYTES);
        double now = 2.0 * COPY_BYTES / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate && to[round] == from[round] ? now : *rate;
    }
    device_release(device, memory, 2 * (size_t)COPY_BYTES);
    return OK;
}
