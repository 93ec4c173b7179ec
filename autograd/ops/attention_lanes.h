/* PRODUCT: panel_product() for n columns, a multiple of LANES, with vectors of LANES floats. attention_product.c includes this once for each width of each
 * instruction set; no guard is wanted.
 *
 * Up to BLOCK rows of sums stay in registers; a row that is missing is the last one computed again and not stored.
 */
typedef float VECTOR __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

static inline __attribute__((always_inline)) void ROWS(int64_t rows, int64_t live, int64_t k, struct strided a, const float *b, int64_t b_row, float *c,
                                                       int64_t c_row, bool add)
{
    const float *at[BLOCK];
    VECTOR sum[BLOCK];
#pragma GCC unroll 8
    for (int64_t i = 0; i < rows; i++) {
        at[i] = a.data + (i < live ? i : live - 1) * a.row;
        sum[i] = (VECTOR){ 0 };
    }
    for (int64_t p = 0; p < k; p++, b += b_row) {
        VECTOR columns = *(const VECTOR *)b;
#pragma GCC unroll 8
        for (int64_t i = 0; i < rows; i++)
            sum[i] += at[i][p * a.column] * columns;
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < rows; i++)
        if (i < live) {
            VECTOR *to = (VECTOR *)(c + i * c_row);
            if (add)
                sum[i] += *to;
            *to = sum[i];
        }
}

static void PRODUCT(int64_t m, int64_t n, int64_t k, struct strided a, const float *b, int64_t b_row, float *c, int64_t c_row, bool add)
{
    for (int64_t column = 0; column < n; column += LANES) {
        struct strided rest = a;
        float *to = c + column;
        int64_t left = m;
        for (; left >= BLOCK; left -= BLOCK, rest.data += BLOCK * a.row, to += BLOCK * c_row)
            ROWS(BLOCK, BLOCK, k, rest, b + column, b_row, to, c_row, add);
        if (left > BLOCK / 2)
            ROWS(BLOCK, left, k, rest, b + column, b_row, to, c_row, add);
        else if (left > 0)
            ROWS(BLOCK / 2, left, k, rest, b + column, b_row, to, c_row, add);
    }
}

#undef LANES
#undef VECTOR
#undef ROWS
#undef PRODUCT
