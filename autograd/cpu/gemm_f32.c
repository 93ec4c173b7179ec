/* The f32 product in tiles, whatever its operands are stored as.
 *
 * What is not f32 is widened into the thread's scratch tile by tile, so frozen weights stay as they are in the file; a narrow result is summed in f32 and
 * rounded once. A tile is large enough that widening (and the library's own copying) is paid once per few hundred uses.
 */
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/rows.h"

#include <omp.h>

enum {
    TILE_ROWS = 512,
    TILE_COLUMNS = 448,
    TILE_DEPTH = 768,   /* of widened operands: so many columns at a time */
    ENOUGH_TILES = 8,   /* there is no point in smaller tiles once there are so many */
    SMALLEST_TILE = 96, /* rows or columns, when there are not enough tiles */
};

/* Rows and columns of a tile; the library's kernels are 48 columns wide (64 for bf16) and 8 rows high. */
struct tiles {
    int64_t rows, columns, down, across; /* size, count */
};

static struct tiles tiles_of(int64_t m, int64_t n)
{
    struct tiles t = { 0 };
    int64_t down = parts(m, TILE_ROWS), across = parts(n, TILE_COLUMNS);
    while (down * across < ENOUGH_TILES && m / (2 * down) >= SMALLEST_TILE)
        down *= 2;
    while (down * across < ENOUGH_TILES && n / (2 * across) >= SMALLEST_TILE)
        across *= 2;
    t.rows = even_part(m, down, 8);
    t.columns = even_part(n, across, 48);
    t.down = parts(m, t.rows);
    t.across = parts(n, t.columns);
    return t;
}

/* Rows [row, row + rows) and columns of an operand as it is meant, as f32: itself or widened into scratch. */
static struct operand f32_part(const struct operand *o, int64_t row, int64_t rows, int64_t column, int64_t columns, float *scratch)
{
    int64_t first = o->transposed ? column : row, count = o->transposed ? columns : rows; /* stored rows */
    int64_t start = o->transposed ? row : column, length = o->transposed ? rows : columns;
    struct operand part = { element(o->data, o->dtype, first * o->stride + start), F32, o->stride, o->transposed };
    if (o->dtype == F32)
        return part;
    for (int64_t r = 0; r < count; r++)
        widen(scratch + r * length, element(o->data, o->dtype, (first + r) * o->stride + start), o->dtype, length);
    part.data = scratch;
    part.stride = length;
    return part;
}

/* Tile of c through f32 sums in scratch, where c itself is narrower. */
static void add_and_narrow(const struct product *p, int64_t row, int64_t rows, int64_t column, int64_t columns, float *sums)
{
    float before[TILE_COLUMNS + 64];
    for (int64_t r = 0; r < rows; r++) {
        void *c = element(p->c, p->c_dtype, (row + r) * p->c_stride + column);
        float *sum = sums + r * columns;
        if (p->beta != 0) {
            widen(before, c, p->c_dtype, columns);
            for (int64_t j = 0; j < columns; j++)
                sum[j] += before[j];
        }
        narrow(c, sum, p->c_dtype, columns);
    }
}

static bool widens(const struct product *p)
{
    return p->a.dtype != F32 || p->b.dtype != F32;
}

/* Scratch of f32_tile: a, b, then c; unused parts have no size. */
static size_t f32_scratch(const struct product *p, int64_t rows, int64_t columns, size_t at[3])
{
    int64_t depth = smaller(p->k, TILE_DEPTH + 16);
    at[0] = 0;
    at[1] = at[0] + (p->a.dtype == F32 ? 0 : (size_t)(rows * depth));
    at[2] = at[1] + (p->b.dtype == F32 ? 0 : (size_t)(columns * depth));
    return sizeof(float) * (at[2] + (p->c_dtype == F32 ? 0 : (size_t)(rows * columns)));
}

static void f32_tile(const struct product *p, int64_t row, int64_t rows, int64_t column, int64_t columns, void *scratch)
{
    size_t at[3];
    f32_scratch(p, rows, columns, at);
    float *wide = scratch;
    bool direct = p->c_dtype == F32;
    float *c = direct ? (float *)p->c + row * p->c_stride + column : wide + at[2];
    int64_t c_stride = direct ? p->c_stride : columns;
    int64_t step = widens(p) ? even_part(p->k, parts(p->k, TILE_DEPTH), 16) : p->k;
    for (int64_t from = 0; from < p->k; from += step) {
        int64_t depth = smaller(step, p->k - from);
        struct operand a = f32_part(&p->a, row, rows, from, depth, wide + at[0]);
        struct operand b = f32_part(&p->b, from, depth, column, columns, wide + at[1]);
        float beta = from ? 1 : direct ? p->beta : 0;
        gemm_tile(rows, columns, depth, p->alpha, a.data, a.stride, a.transposed, b.data, b.stride, b.transposed, beta, c, c_stride);
    }
    if (!direct)
        add_and_narrow(p, row, rows, column, columns, c);
}

enum status f32_product(struct device *device, const struct product *p)
{
    struct tiles t = tiles_of(p->m, p->n);
    size_t at[3];
    TRY(gemm_reserve(device, f32_scratch(p, t.rows, t.columns, at)));
#pragma omp parallel for schedule(dynamic) num_threads(device->threads) if (t.down * t.across > 1)
    for (int64_t i = 0; i < t.down * t.across; i++) {
        int64_t row = i % t.down * t.rows, column = i / t.down * t.columns; /* neighbours in time share columns: one read of b from memory */
        f32_tile(p, row, smaller(t.rows, p->m - row), column, smaller(t.columns, p->n - column), gemm_scratch(device, omp_get_thread_num()));
    }
    return OK;
}

/* Rows and columns that no tile of up to m rows exceeds. */
static struct tiles largest_tiles(int64_t m, int64_t n)
{
    struct tiles most = { 0 };
    for (int64_t rows = 1; rows <= m; rows++) {
        const struct tiles t = tiles_of(rows, n);
        most.rows = larger(most.rows, smaller(t.rows, rows));
        most.columns = larger(most.columns, t.columns);
    }
    return most;
}

enum status f32_prepare(struct device *device, const struct product *p)
{
    const struct tiles t = p->a.transposed ? tiles_of(p->m, p->n) : largest_tiles(p->m, p->n);
    const int64_t rows = smaller(t.rows, p->m), columns = smaller(t.columns, p->n);
    size_t at[3];
    TRY(gemm_reserve(device, f32_scratch(p, t.rows, t.columns, at)));
    gemm_tile_prepare(device, rows, columns, p->a.transposed, p->b.transposed);
    return OK;
}
