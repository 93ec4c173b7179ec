/* The loops of attention_product.c, once per instruction set (each_set.h): panel_product() for n columns, a multiple of SET_LANES.
 *
 * Up to BLOCK rows of sums stay in registers; a row that is missing is the last one computed again and not stored.
 */
typedef float FOR_SET(vector) __attribute__((vector_size(SET_LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

INLINE void FOR_SET(rows)(int64_t rows, int64_t live, int64_t k, struct strided a, const float *b, int64_t b_row, float *c, int64_t c_row, bool add)
{
    const float *at[BLOCK];
    FOR_SET(vector) sum[BLOCK];
#pragma GCC unroll 8
    for (int64_t i = 0; i < rows; i++) {
        at[i] = a.data + (i < live ? i : live - 1) * a.row;
        sum[i] = (FOR_SET(vector)){ 0 };
    }
    for (int64_t p = 0; p < k; p++, b += b_row) {
        FOR_SET(vector) columns = *(const FOR_SET(vector) *)b;
#pragma GCC unroll 8
        for (int64_t i = 0; i < rows; i++)
            sum[i] += at[i][p * a.column] * columns;
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < rows; i++)
        if (i < live) {
            FOR_SET(vector) *to = (FOR_SET(vector) *)(c + i * c_row);
            if (add)
                sum[i] += *to;
            *to = sum[i];
        }
}

static void FOR_SET(product)(int64_t m, int64_t n, int64_t k, struct strided a, const float *b, int64_t b_row, float *c, int64_t c_row, bool add)
{
    for (int64_t column = 0; column < n; column += SET_LANES) {
        struct strided rest = a;
        float *to = c + column;
        int64_t left = m;
        for (; left >= BLOCK; left -= BLOCK, rest.data += BLOCK * a.row, to += BLOCK * c_row)
            FOR_SET(rows)(BLOCK, BLOCK, k, rest, b + column, b_row, to, c_row, add);
        if (left > BLOCK / 2)
            FOR_SET(rows)(BLOCK, left, k, rest, b + column, b_row, to, c_row, add);
        else if (left > 0)
            FOR_SET(rows)(BLOCK / 2, left, k, rest, b + column, b_row, to, c_row, add);
    }
}
