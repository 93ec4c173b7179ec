/* The loops of gemm_small.c, once per instruction set (each_set.h). */
enum {
    FOR_SET(ROWS_OF_TWO) = SET_REGISTERS == 32 ? MOST_ROWS : UNIT,  /* rows of a block of two vectors, */
    FOR_SET(ROWS_OF_THREE) = SET_REGISTERS == 32 ? 2 * UNIT : UNIT, /* and of three: what the registers hold */
};

typedef float FOR_SET(vector) __attribute__((vector_size(SET_LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* One vector of a row of c, of which all lanes exist. */
INLINE void FOR_SET(store)(const struct panel *s, float *c, FOR_SET(vector) sum)
{
    sum *= s->alpha;
    if (s->beta != 0)
        sum += *(const FOR_SET(vector) *)c;
    *(FOR_SET(vector) *)c = sum;
}

/* Rows [first, first + rows) of a panel, without storing the first `done` of them. Four rows share an address: one each would be more than there are registers.
 */
INLINE void FOR_SET(block)(const struct panel *s, int rows, int vectors, int64_t first, int64_t done)
{
    FOR_SET(vector) sum[MOST_SUMS] = { 0 };
    const int starts = (rows + UNIT - 1) / UNIT;
    const int64_t step = s->a_row;
    const float *a[MOST_ROWS / UNIT], *b = s->b;
    EACH(i, starts)
    a[i] = s->a + (first + UNIT * i) * step;
    for (int64_t p = 0; p < s->k; p++, b += s->b_stride) {
        FOR_SET(vector) columns[MOST_VECTORS];
        EACH(j, vectors)
        columns[j] = *(const FOR_SET(vector) *)(b + j * SET_LANES);
        EACH(i, rows)
        {
            float value = a[i / UNIT][i % UNIT * step];
            EACH(j, vectors)
            sum[i * vectors + j] += value * columns[j];
        }
        EACH(i, starts)
        a[i] += s->a_column;
    }
    float *c = s->c + first * s->c_stride;
    if (vectors == 1 && s->columns < SET_LANES) {
        EACH(i, rows)
        if (i >= done)
            store_some(s, c + i * s->c_stride, (const float *)&sum[i]);
        return;
    }
    EACH(i, rows)
    if (i >= done)
        EACH(j, vectors)
    FOR_SET(store)(s, c + i * s->c_stride + j * SET_LANES, sum[i * vectors + j]);
}

/* Rows [first, end), in blocks of at most `most`. The last block reaches back over rows that are done already, so that all of it exist. */
INLINE void FOR_SET(blocks)(const struct panel *s, int most, int vectors, int64_t first, int64_t end)
{
    for (int64_t rows; first < end; first += rows) {
        int64_t left = end - first;
        if (most > 2 * UNIT && left > 2 * UNIT && (left <= most || left > 4 * UNIT) && end >= most) {
            rows = smaller(left, most);
            FOR_SET(block)(s, MOST_ROWS, vectors, first + rows - most, most - rows);
        } else if (most >= 2 * UNIT && left > UNIT && end >= 2 * UNIT) {
            rows = smaller(left, 2 * UNIT);
            FOR_SET(block)(s, 2 * UNIT, vectors, first + rows - 2 * UNIT, 2 * UNIT - rows);
        } else if (end >= UNIT) {
            rows = smaller(left, UNIT);
            FOR_SET(block)(s, UNIT, vectors, first + rows - UNIT, UNIT - rows);
        } else {
            rows = 1;
            FOR_SET(block)(s, 1, vectors, first, 0);
        }
    }
}

static void FOR_SET(small)(const struct small *q)
{
    float packed[ROOM] __attribute__((aligned(64)));
    struct panel panel[MOST_PANELS];
    int64_t p = 0;
    do { /* once for k = 0 too: beta * c */
        for (int64_t column = 0; column < q->n;) {
            int count = 0;
            column = some_panels(q, p, column, SET_LANES, panel, &count, packed);
            for (int64_t row = 0, end; row < q->m; row = end) {
                end = count == 1 || q->m - row < 2 * GROUP ? q->m : row + GROUP;
                for (int i = 0; i < count; i++)
                    if (panel[i].vectors == 1)
                        FOR_SET(blocks)(&panel[i], MOST_ROWS, 1, row, end);
                    else if (panel[i].vectors == 2)
                        FOR_SET(blocks)(&panel[i], FOR_SET(ROWS_OF_TWO), 2, row, end);
                    else
                        FOR_SET(blocks)(&panel[i], FOR_SET(ROWS_OF_THREE), 3, row, end);
            }
        }
        p += BLOCK;
    } while (p < q->k);
}
