/* What this machine can do, measured. */
#include "trainer/measure.h"
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/rows.h"
#include "trainer/progress.h"

#include <string.h>

enum { SIZE = 1536, ROUNDS = 5, READ_ROUNDS = 30, COPY_BYTES = 64 << 20, READ_BYTES = 256 << 20 }; /* read and copied: far more than any cache keeps */

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

static WIDE uint64_t sum_of(const uint64_t *from, int64_t count)
{
    uint64_t sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += from[i];
    return sum;
}

enum status measure_read(struct device *device, double *rate, struct error *err)
{
    void *memory;
    TRY(device_allocate(device, "measured reading", READ_BYTES, &memory, err));
    const int64_t count = READ_BYTES / (int64_t)sizeof(uint64_t), threads = device->threads;
    const uint64_t *from = memset(memory, 1, READ_BYTES);
    *rate = 0;
    for (int round = 0; round < READ_ROUNDS; round++) {
        double began = monotonic_seconds();
        uint64_t sum = 0;
#pragma omp parallel for schedule(static) num_threads(device->threads) reduction(+ : sum)
        for (int64_t part = 0; part < threads; part++)
            sum += sum_of(from + count * part / threads, count * (part + 1) / threads - count * part / threads);
        double now = READ_BYTES / (monotonic_seconds() - began) / 1e9;
        *rate = now > *rate && sum == (uint64_t)count * from[0] ? now : *rate;
    }
    device_release(device, memory, READ_BYTES);
    return OK;
}
