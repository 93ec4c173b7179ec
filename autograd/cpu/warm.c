/* Products that nobody asked for, so that what the first ones bring is there: the pages of the library, the kernels that it generates, a stack and buffers for
 * every thread. What a process has resident afterwards then lacks only what is planned.
 */
#include "autograd/cpu/gemm.h"

enum { ROWS_OF_TILES = 1024, COLUMNS_OF_TILES = 1792, DEPTH = 384 }; /* several tiles of full size for each of a few threads */

/* oneDNN 2.6 copies operands of longer products into larger buffers than the first ones need: 2.3 MiB on a worker were measured, half of a MiB on the first
 * thread. */
size_t gemm_growth(const struct device *device)
{
    return (size_t)device->threads * (2 << 20);
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
    device_release(device, memory, bytes);
    return status;
}
