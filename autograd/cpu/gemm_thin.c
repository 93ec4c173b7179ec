/* x w^T of few rows: one dot product for each of many weight rows, and nearly all the time goes into reading those.
 *
 * A block of a few rows of x and a few weight rows keeps one vector of sums per pair in registers; what the weights are stored as is widened on its way there.
 * Every element is LANES sums over the inner dimension in ascending order, added pairwise at the end, whatever m, n and the storage are: a sequence decoded
 * alone has the products of one decoded beside others, to the bit. Vectors have 8 lanes on every CPU, as in gemm_small.c.
 */
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"

enum {
    LANES = 8,
    FEW_ROWS = 4,  /* wait for memory, more for arithmetic */
    MOST_ROWS = 8, /* of a block, where the registers hold so many sums */
    MOST_COLUMNS = 3,
    MOST_SUMS = MOST_ROWS * MOST_COLUMNS, /* added up four at a time */
    TASK = 24,                            /* weight rows of a task: whole blocks, and enough tasks */
    FEW_WEIGHTS = 65536,                  /* worth no second thread */
    LINE = 64,                            /* bytes that memory gives at once */
};

typedef float vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef float half __attribute__((vector_size(LANES / 2 * sizeof(float)), aligned(sizeof(float)), may_alias));
#ifdef __x86_64__
typedef int16_t f16_lanes __attribute__((vector_size(LANES * sizeof(int16_t)), aligned(sizeof(int16_t)), may_alias));
#endif
typedef uint32_t bits __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint16_t narrow_bits __attribute__((vector_size(LANES * sizeof(uint16_t)), aligned(sizeof(uint16_t)), may_alias));

/* The rows of x, the weight rows of a task from the first on, and where the sums go: [m, TASK]. */
struct task {
    int64_t m, k;
    const float *x;
    int64_t x_stride;
    const char *w;
    int64_t w_bytes; /* from row to row */
    float *sums;
};

#define KERNEL "autograd/cpu/gemm_thin_kernel.h"
#include "autograd/cpu/each_set.h"

/* What is left of the inner dimension behind the last whole vector. */
static void add_rest(const struct task *t, enum dtype dtype, int64_t count)
{
    int64_t from = t->k / LANES * LANES, rest = t->k - from;
    for (int64_t j = 0; j < count && rest; j++) {
        float w[LANES];
        widen(w, t->w + j * t->w_bytes + from * (int64_t)dtype_bytes(dtype), dtype, rest);
        for (int64_t i = 0; i < t->m; i++)
            for (int64_t p = 0; p < rest; p++)
                t->sums[i * TASK + j] += t->x[i * t->x_stride + from + p] * w[p];
    }
}

/* c = alpha * sum + beta * c for the columns of a task, rounded once. */
static void store(const struct product *p, const float *sums, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < p->m; i++) {
        float value[TASK] = { 0 };
        void *c = element(p->c, p->c_dtype, i * p->c_stride + first);
        if (p->beta != 0)
            widen(value, c, p->c_dtype, count);
        for (int64_t j = 0; j < count; j++)
            value[j] += p->alpha * sums[i * TASK + j];
        narrow(c, value, p->c_dtype, count);
    }
}

static int64_t wide_stride(const struct product *p)
{
    return even_part(p->k, 1, 16);
}

static enum status rows_as_f32(struct device *device, const struct product *p, const float **x, int64_t *stride)
{
    *x = p->a.data;
    *stride = p->a.stride;
    if (p->a.dtype == F32)
        return OK;
    *stride = wide_stride(p);
    TRY(gemm_reserve(device, (size_t)(p->m * *stride) * sizeof(float)));
    float *wide = gemm_scratch(device, 0);
    for (int64_t i = 0; i < p->m; i++)
        widen(wide + i * *stride, element(p->a.data, p->a.dtype, i * p->a.stride), p->a.dtype, p->k);
    *x = wide;
    return OK;
}

enum status thin_product(struct device *device, const struct product *p)
{
    const float *x;
    int64_t stride;
    void (*sums)(const struct task *, enum dtype, int64_t) = FASTEST(task_sums);
    TRY(rows_as_f32(device, p, &x, &stride));
#pragma omp parallel for schedule(static) num_threads(device->threads) if (p->n * p->k > FEW_WEIGHTS)
    for (int64_t j = 0; j < p->n; j += TASK) {
        float sum[THIN_ROWS * TASK];
        struct task t = { p->m, p->k, x, stride, element(p->b.data, p->b.dtype, j * p->b.stride), p->b.stride * (int64_t)dtype_bytes(p->b.dtype), sum };
        int64_t count = smaller(TASK, p->n - j);
        sums(&t, p->b.dtype, count);
        add_rest(&t, p->b.dtype, count);
        store(p, sum, j, count);
    }
    return OK;
}

enum status thin_prepare(struct device *device, const struct product *p)
{
    return p->a.dtype == F32 ? OK : gemm_reserve(device, (size_t)(smaller(p->m, THIN_ROWS) * wide_stride(p)) * sizeof(float));
}
