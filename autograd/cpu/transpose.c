/* transpose() by squares of four: vectors that every machine has, so there is one version. */
#include "autograd/cpu/transpose.h"

static inline __attribute__((always_inline)) void transpose_quads(float *to, int64_t to_row, const float *from, int64_t from_row)
{
    quad a = *(const quad *)from, b = *(const quad *)(from + from_row), c = *(const quad *)(from + 2 * from_row), d = *(const quad *)(from + 3 * from_row);
    quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    *(quad *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(quad *)(to + to_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quad *)(to + 2 * to_row) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(quad *)(to + 3 * to_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

void transpose(float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows, int64_t columns)
{
    int64_t quads = rows / QUAD * QUAD;
    for (int64_t r = 0; r < quads; r += QUAD) {
        int64_t i = 0;
        for (; i + QUAD <= columns; i += QUAD)
            transpose_quads(to + i * to_row + r, to_row, from + r * from_row + i, from_row);
        for (; i < columns; i++)
            for (int64_t lane = r; lane < r + QUAD; lane++)
                to[i * to_row + lane] = from[lane * from_row + i];
    }
    for (int64_t r = quads; r < rows; r++)
        for (int64_t i = 0; i < columns; i++)
            to[i * to_row + r] = from[r * from_row + i];
}
