/* Sums of columns: f32 inside a block of rows, f64 over the blocks. */
#include "autograd/cpu/columns.h"
#include "autograd/cpu/rows.h"

enum { COLUMNS = 64, ROW_BLOCK = 64 };

/* sum[i] += a[i] * b[i] of one row's piece; b NULL: 1. */
static void add_piece(float *sum, const struct tensor *a, const struct tensor *b, int64_t first, int64_t count)
{
    float one[COLUMNS], other[COLUMNS];
    const float *values = span_read(a, first, count, one), *factors = b ? span_read(b, first, count, other) : NULL;
    for (int64_t i = 0; i < count; i++)
        sum[i] += factors ? values[i] * factors[i] : values[i];
}

void column_sums(const struct device *device, const struct tensor *to, const struct tensor *a, const struct tensor *b, float scale, bool add)
{
#pragma omp parallel for num_threads(device->threads)
    for (int64_t j = 0; j < a->cols; j += COLUMNS) {
        const int64_t count = a->cols - j < COLUMNS ? a->cols - j : COLUMNS;
        double total[COLUMNS] = { 0 };
        float values[COLUMNS];
        for (int64_t first = 0; first < a->rows; first += ROW_BLOCK) {
            float sum[COLUMNS] = { 0 };
            for (int64_t r = first; r < a->rows && r < first + ROW_BLOCK; r++)
                add_piece(sum, a, b, r * a->cols + j, count);
            for (int64_t i = 0; i < count; i++)
                total[i] += (double)sum[i];
        }
        char *place = (char *)to->data + (size_t)j * dtype_bytes(to->dtype);
        if (add)
            widen(values, place, to->dtype, count);
        for (int64_t i = 0; i < count; i++)
            values[i] = (float)((double)scale * total[i] + (add ? (double)values[i] : 0));
        narrow(place, values, to->dtype, count);
    }
}
