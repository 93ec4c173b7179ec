/* The loops of gemm_thin.c, once per instruction set (each_set.h). */
enum { FOR_SET(BLOCK_ROWS) = SET_REGISTERS == 32 ? MOST_ROWS : FEW_ROWS };

/* Widened as widen() does it (the instruction makes a signalling NaN quiet). */
INLINE void FOR_SET(load)(vector *to, const char *from, enum dtype dtype)
{
    if (dtype == F32) {
        *to = *(const vector *)from;
        return;
    }
    bits stored = __builtin_convertvector(*(const narrow_bits *)from, bits);
    if (dtype == BF16) {
        *to = (vector)(stored << 16);
        return;
    }
#ifdef __F16C__
    *to = (vector)__builtin_ia32_vcvtph2ps256(*(const f16_lanes *)from);
#else
    bits magnitude = stored & 0x7FFFu, sign = (stored & 0x8000u) << 16;
    bits finite = (bits)((vector)(magnitude << 13) * 0x1p112f), special = (bits)(magnitude >= 0x7C00u);
    *to = (vector)((special & (magnitude << 13 | 0x7F800000u)) | (~special & finite) | sign);
#endif
}

/* The sums of four vectors, each over pairs of lanes a power of two apart. */
INLINE void FOR_SET(add_lanes)(float *to, const vector *v)
{
    half h[4];
    EACH(i, 4)
    h[i] = *(const half *)&v[i] + *((const half *)&v[i] + 1);
    half left = __builtin_shufflevector(h[0], h[1], 0, 4, 1, 5) + __builtin_shufflevector(h[0], h[1], 2, 6, 3, 7);
    half right = __builtin_shufflevector(h[2], h[3], 0, 4, 1, 5) + __builtin_shufflevector(h[2], h[3], 2, 6, 3, 7);
    *(half *)to = __builtin_shufflevector(left, right, 0, 1, 4, 5) + __builtin_shufflevector(left, right, 2, 3, 6, 7);
}

/* Rows [row, row + rows) of x against weight rows [column, column + columns), of which `live` exist. Meanwhile the next weight rows are asked for, each block
 * of rows its share, in the order in which they lie in memory; a single weight row at a time needs no asking. */
INLINE void FOR_SET(block)(const struct task *t, enum dtype dtype, int rows, int columns, int64_t row, int64_t column, int64_t live)
{
    const int bytes = dtype == F32 ? sizeof(float) : sizeof(uint16_t), quads = (rows * columns + 3) / 4;
    const int64_t k = t->k / LANES * LANES, blocks = parts(t->m, FOR_SET(BLOCK_ROWS)), share = columns * LANES * bytes / blocks;
    const char *ahead = t->w + (column + columns) * t->w_bytes + row / FOR_SET(BLOCK_ROWS) * (k / LANES * share), *w[MOST_COLUMNS];
    const float *x[MOST_ROWS];
    vector sum[MOST_SUMS] = { 0 };
    EACH(i, rows)
    x[i] = t->x + (row + i) * t->x_stride;
    EACH(j, columns)
    w[j] = t->w + (column + (j < live ? j : live - 1)) * t->w_bytes;
    for (int64_t p = 0; p < k; p += LANES) {
        vector weight[MOST_COLUMNS];
        EACH(j, columns)
        FOR_SET(load)(&weight[j], w[j] + p * bytes, dtype);
        EACH(i, rows)
        {
            vector value = *(const vector *)(x[i] + p);
            EACH(j, columns)
            sum[i * columns + j] += value * weight[j];
        }
        if (columns > 1)
            __builtin_prefetch(ahead);
        if (columns > 1 && share > LINE) /* never more than two lines */
            __builtin_prefetch(ahead + LINE);
        ahead += share;
    }
    float total[MOST_SUMS];
    EACH(i, quads)
    FOR_SET(add_lanes)(total + 4 * i, sum + 4 * i);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns && j < live; j++)
            t->sums[(row + i) * TASK + column + j] = total[i * columns + j];
}

INLINE void FOR_SET(blocks)(const struct task *t, enum dtype dtype, int columns, int64_t count)
{
    for (int64_t j = 0; j < count; j += columns)
        for (int64_t i = 0, rows; i < t->m; i += rows) {
            int64_t left = t->m - i;
            rows = left >= FOR_SET(BLOCK_ROWS) ? FOR_SET(BLOCK_ROWS) : smaller(left, FEW_ROWS);
            if (rows == MOST_ROWS)
                FOR_SET(block)(t, dtype, FOR_SET(BLOCK_ROWS), columns, i, j, count - j);
            else if (rows == 4)
                FOR_SET(block)(t, dtype, 4, columns, i, j, count - j);
            else if (rows == 3)
                FOR_SET(block)(t, dtype, 3, columns, i, j, count - j);
            else if (rows == 2)
                FOR_SET(block)(t, dtype, 2, columns, i, j, count - j);
            else
                FOR_SET(block)(t, dtype, 1, columns, i, j, count - j);
        }
}

/* The sums of a task. Few rows wait for memory, which likes one f32 row, or two narrow ones, at a time; more wait for arithmetic. */
static void FOR_SET(task_sums)(const struct task *t, enum dtype dtype, int64_t count)
{
    bool one = t->m <= FEW_ROWS;
    if (dtype == F32 && one)
        FOR_SET(blocks)(t, F32, 1, count);
    else if (dtype == F32)
        FOR_SET(blocks)(t, F32, 3, count);
    else if (dtype == BF16 && one)
        FOR_SET(blocks)(t, BF16, 2, count);
    else if (dtype == BF16)
        FOR_SET(blocks)(t, BF16, 3, count);
    else if (one)
        FOR_SET(blocks)(t, F16, 2, count);
    else
        FOR_SET(blocks)(t, F16, 3, count);
}
