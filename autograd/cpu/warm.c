/* Products that nobody asked for, so that what the first ones bring is there: the pages of the library, the kernels that it generates, a stack and buffers for
 * every thread. What a process has resident afterwards then lacks only what is planned.
 */
#include "autograd/cpu/gemm.h"

enum {
    ROWS_OF_TILES = 1024 + 31, /* several tiles of full size for each of a few threads, and rows that no bf16 tile takes: those are f32 */
    COLUMNS_OF_TILES = 1792,
    DEPTH = 384,
    ROWS_OF_ONE = 256, /* one tile, which is the whole result: oneDNN has other kernels for that */
    COLUMNS_OF_ONE = 256,
};

/* Measured with oneDNN 2.6. It copies operands of longer products into larger buffers than the first ones need: 2.3 MiB on a worker, half of a MiB on the first
 * thread. A prepared bf16 product keeps code and descriptions; what lies between the buffers of others, which malloc then cannot hand out again, is in the
 * share of each. 92 to 108 of them were counted in training with batches of changing rows, 44 to 56 of them forward; more layers add none. 36 KiB each is about
 * the mean of what three bf16 trainings of benchmarks/plan_memory.py lacked: 1.6 to 6.1 MB. */
enum { BUFFERS_OF_THREAD = 2 << 20, OF_PREPARED = 36 << 10, PREPARED_IN_TRAINING = 100, PREPARED_FORWARD = 50 };

size_t gemm_growth(const struct device *device, enum dtype computed, bool training)
{
    const size_t prepared = computed != BF16 || !cpu_has_bf16() ? 0 : training ? PREPARED_IN_TRAINING : PREPARED_FORWARD;
    return (size_t)device->threads * BUFFERS_OF_THREAD + prepared * OF_PREPARED;
}

enum status gemm_warm(struct device *device, enum dtype computed, enum dtype stored, bool training, struct error *err)
{
    const size_t left = (size_t)ROWS_OF_TILES * DEPTH * sizeof(float), right = (size_t)COLUMNS_OF_TILES * DEPTH * sizeof(float);
    const size_t bytes = left + right + (size_t)ROWS_OF_TILES * COLUMNS_OF_TILES * sizeof(float);
    void *memory;
    TRY(device_allocate(device, "products to begin with", bytes, &memory, err));
    void *a = memory, *b = (char *)memory + left, *c = (char *)b + right;
    const struct operand x = { a, computed, DEPTH, false }, w = { b, stored, DEPTH, true };
    device->err = err;
    enum status status = gemm(device, ROWS_OF_TILES, COLUMNS_OF_TILES, DEPTH, 1, x, w, 0, c, computed, COLUMNS_OF_TILES);
    const struct operand dy = { c, computed, COLUMNS_OF_TILES, false }, over = { b, stored, DEPTH, false };
    if (status == OK && training)
        status = gemm(device, ROWS_OF_TILES, DEPTH, COLUMNS_OF_TILES, 1, dy, over, 0, a, computed, DEPTH);
    const struct operand across = { c, computed, COLUMNS_OF_TILES, true }, y = { a, computed, DEPTH, false };
    if (status == OK && training)
        status = gemm(device, COLUMNS_OF_TILES, DEPTH, ROWS_OF_TILES, 1, across, y, 0, b, F32, DEPTH);
    for (int beta = 0; beta < 2 && status == OK; beta++)
        status = gemm(device, ROWS_OF_ONE, COLUMNS_OF_ONE, DEPTH, 1, x, w, (float)beta, c, computed, COLUMNS_OF_ONE);
    device_release(device, memory, bytes);
    return status;
}
