/* Making ready what products need before the first of them: a process has then resident all that products will take.
 *
 * Who counts memory cannot ask the library what it will allocate, but can let it multiply zeros once in every shape that is to come.
 */
#include "autograd/cpu/gemm_parts.h"

#include <omp.h>
#include <string.h>
#include <sys/mman.h>

bool zeros_map(struct zeros *zeros, const struct device *device, size_t read, size_t each)
{
    enum { PAGE = 4096 };
    zeros->before = read / PAGE * PAGE + PAGE;
    zeros->each = each / PAGE * PAGE + PAGE;
    zeros->bytes = zeros->before + (size_t)device->threads * zeros->each;
    zeros->read = mmap(NULL, zeros->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return zeros->read != MAP_FAILED;
}

void *zeros_written(const struct zeros *zeros, int thread)
{
    return zeros->read + zeros->before + (size_t)thread * zeros->each;
}

void zeros_unmap(struct zeros *zeros)
{
    munmap(zeros->read, zeros->bytes);
}

enum {
    DEPTH = 768,     /* where the copies that oneDNN 2.6 makes of its operands are largest: longer products are cut, some shorter ones are not copied */
    COPIED = 256,    /* operands whose stride is a multiple of this are copied; others are mostly read where they are, by code of its own */
    NOT_COPIED = 16, /* so much beside such a multiple is one of those strides */
    FEW_ROWS = 2,    /* up to four rows times a transposed operand are done by a third kind of code */
    FEW_DEPTH = 64,
};

/* Each kind of code that the library has for a tile; it generates a kind when it first needs one. */
static void rehearse_tile(const struct tile *t, const float *read, float *write)
{
    const int64_t a_stride = t->a_transposed ? t->rows : DEPTH, b_stride = t->b_transposed ? DEPTH : t->columns;
    for (int beside = 0; beside <= NOT_COPIED; beside += NOT_COPIED)
        gemm_tile(t->rows, t->columns, DEPTH, 1, read, parts(a_stride, COPIED) * COPIED + beside, t->a_transposed, read,
                  parts(b_stride, COPIED) * COPIED + beside, t->b_transposed, 0, write, t->columns);
    if (t->b_transposed && !t->a_transposed)
        gemm_tile(smaller(t->rows, FEW_ROWS), t->columns, FEW_DEPTH, 1, read, FEW_DEPTH, false, read, FEW_DEPTH, true, 0, write, t->columns);
}

void gemm_tile_prepare(struct device *device, int64_t rows, int64_t columns, bool a_transposed, bool b_transposed)
{
    struct tile *most = &gemm_asked(device)->rehearsed[a_transposed][b_transposed];
    struct zeros zeros;
    if (rows <= most->rows && columns <= most->columns)
        return;
    *most = (struct tile){ larger(rows, most->rows), larger(columns, most->columns), a_transposed, b_transposed };
    const int64_t longest = larger(larger(most->rows, most->columns), DEPTH);
    if (!zeros_map(&zeros, device, sizeof(float) * (size_t)(longest * (longest + COPIED + NOT_COPIED)), sizeof(float) * (size_t)(most->rows * most->columns)))
        return;
#pragma omp parallel num_threads(device->threads)
    rehearse_tile(most, (const float *)zeros.read, zeros_written(&zeros, omp_get_thread_num()));
    zeros_unmap(&zeros);
}

static bool same_operand(const struct operand *a, const struct operand *b)
{
    return a->dtype == b->dtype && a->stride == b->stride && a->transposed == b->transposed;
}

/* But for where the data are. */
static bool same_product(const struct product *p, const struct product *q)
{
    return p->m == q->m && p->n == q->n && p->k == q->k && memcmp(&p->alpha, &q->alpha, sizeof p->alpha) == 0 && p->beta == q->beta &&
           same_operand(&p->a, &q->a) && same_operand(&p->b, &q->b) && p->c_dtype == q->c_dtype && p->c_stride == q->c_stride;
}

/* Whether that product is prepared already; it is remembered, in place of the one asked for longest ago. */
static bool asked_before(struct asked *asked, const struct product *p)
{
    for (int i = 0; i < ASKED && i < asked->count; i++)
        if (same_product(&asked->product[i], p))
            return true;
    asked->product[asked->count++ % ASKED] = *p;
    return false;
}

enum status gemm_prepare(struct device *device, int64_t m, int64_t n, int64_t k, float alpha, struct operand a, struct operand b, float beta, void *c,
                         enum dtype c_dtype, int64_t c_stride)
{
    struct product p = { m, n, k, alpha, beta, a, b, c, c_dtype, c_stride };
    bool can;
    if (m == 0 || n == 0 || k == 0 || asked_before(gemm_asked(device), &p))
        return OK;
    if (thins(&p))
        TRY(thin_prepare(device, &p));
    if (thins(&p) && m <= THIN_ROWS)
        return OK;
    if (multiplies_bf16(&p)) {
        TRY(bf16_prepare(device, &p, &can));
        p.m = can ? smaller(m, BF16_FEWEST_ROWS - 1) : m; /* the rest of a batch */
    }
    return f32_prepare(device, &p);
}
