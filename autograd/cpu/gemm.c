/* Matrix products over oneDNN: the only file that includes it.
 *
 * A product is cut into tiles by its shape alone, and every tile is one single-threaded product, so no result depends on the number of threads. Tiles are large
 * enough for the library to copy its operands once per few hundred uses, and there are enough of them to keep the cores busy. f32 tiles are dnnl_sgemm (as fast
 * as a prepared primitive here, and indifferent to new sizes); bf16 tiles are prepared primitives, kept by shape, so the rows of a batch, which change all the
 * time, are cut into a few fixed sizes and an f32 rest.
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/gemm_parts.h"
#include "autograd/cpu/rows.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BF16_ROWS = 256, /* of the largest bf16 tile; powers of two down to BF16_FEWEST_ROWS */
    BF16_COLUMNS = 384,
    SHAPES = 1024, /* room for prepared primitives, a power of two */
};

/* A prepared bf16 product; all that its code depends on. */
struct shape {
    int64_t m, n, k, a_stride, b_stride, c_stride;
    int64_t b_transposed, c_bf16;
    float alpha, beta;
};

struct prepared {
    struct shape shape;
    dnnl_primitive_t primitive; /* NULL: a free place */
    size_t scratch_bytes;
};

struct lane {
    dnnl_stream_t stream;
    char *scratch;
    size_t bytes;
};

struct gemm_state {
    dnnl_engine_t engine;
    int lanes;
    struct lane *lane;
    int used;
    struct prepared prepared[SHAPES];
    struct asked asked;
};

static void forget_prepared(struct gemm_state *state)
{
    for (int i = 0; i < SHAPES; i++)
        if (state->prepared[i].primitive)
            dnnl_primitive_destroy(state->prepared[i].primitive);
    memset(state->prepared, 0, sizeof state->prepared);
    state->used = 0;
    state->asked = (struct asked){ 0 };
}

void gemm_close(struct device *device)
{
    struct gemm_state *state = device->gemm;
    if (!state)
        return;
    forget_prepared(state);
    for (int i = 0; state->lane && i < state->lanes; i++) {
        if (state->lane[i].stream)
            dnnl_stream_destroy(state->lane[i].stream);
        free(state->lane[i].scratch);
    }
    if (state->engine)
        dnnl_engine_destroy(state->engine);
    free(state->lane);
    free(state);
    device->gemm = NULL;
}

enum status gemm_open(struct device *device, struct error *err)
{
    struct gemm_state *state = device->gemm = calloc(1, sizeof *state);
    if (state)
        state->lane = calloc((size_t)device->threads, sizeof *state->lane);
    if (!state || !state->lane) {
        gemm_close(device);
        return fail_with(err, NO_MEMORY, "matrix products: no memory for %d threads", "use fewer threads (--threads), or free some memory", device->threads);
    }
    state->lanes = device->threads;
    dnnl_status_t status = dnnl_engine_create(&state->engine, dnnl_cpu, 0);
    for (int i = 0; status == dnnl_success && i < state->lanes; i++)
        status = dnnl_stream_create(&state->lane[i].stream, state->engine, dnnl_stream_default_flags);
    if (status == dnnl_success)
        return OK;
    gemm_close(device);
    return fail_with(err, LIBRARY, "matrix products: oneDNN does not start (status %d)", "free some memory; 'graft doctor' shows what works", (int)status);
}

enum status gemm_reserve(struct device *device, size_t bytes)
{
    struct gemm_state *state = device->gemm;
    bool grown = false;
    for (int i = 0; i < state->lanes; i++) {
        struct lane *lane = &state->lane[i];
        if (lane->scratch && lane->bytes >= bytes)
            continue;
        size_t rounded = bytes / 4096 * 4096 + 4096; /* never nothing: callers add offsets, if only of zero */
        grown = true;
        free(lane->scratch);
        lane->scratch = aligned_alloc(4096, rounded);
        lane->bytes = lane->scratch ? rounded : 0;
        if (!lane->scratch)
            return fail_with(device->err, NO_MEMORY, "matrix products: no memory for %zu bytes of scratch per thread", "use fewer threads", rounded);
    }
#pragma omp parallel num_threads(state->lanes) if (grown)
    for (int i = omp_get_thread_num(); grown && i < state->lanes; i += omp_get_num_threads())
        memset(state->lane[i].scratch, 0, state->lane[i].bytes); /* by the thread that uses it */
    return OK;
}

struct asked *gemm_asked(struct device *device)
{
    return &device->gemm->asked;
}

void *gemm_scratch(const struct device *device, int thread)
{
    return device->gemm->lane[thread].scratch;
}

/* One f32 product on the calling thread. The library runs alone inside a parallel region; outside (also in a region of one thread) it has to be told. When it
 * lacks the memory for its copies, the loops that need none do the work. */
static void library_product(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
                            bool b_transposed, float beta, float *c, int64_t c_stride)
{
    int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    if (threads > 1)
        omp_set_num_threads(1);
    dnnl_status_t status = dnnl_sgemm(a_transposed ? 'T' : 'N', b_transposed ? 'T' : 'N', m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
    if (threads > 1)
        omp_set_num_threads(threads);
    if (status != dnnl_success)
        small_product(m, n, k, alpha, a, a_stride, a_transposed, b, b_stride, b_transposed, beta, c, c_stride);
}

void gemm_tile(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_stride, bool a_transposed, const float *b, int64_t b_stride,
               bool b_transposed, float beta, float *c, int64_t c_stride)
{
    enum { NARROW = 32, SMALL = 256 * 256, FEW_ROWS = 8 }; /* columns, and elements of b: where the library's copies cost more than they save, measured */
    if (m == 0 || n == 0)
        return;
    bool few = b_transposed && m <= FEW_ROWS && m * n * k > FEW_ROWS * FEW_ROWS * NARROW; /* uses of what own loops would have to turn */
    if (k == 0 || (!few && (n <= NARROW || n * k <= SMALL)))
        small_product(m, n, k, alpha, a, a_stride, a_transposed, b, b_stride, b_transposed, beta, c, c_stride);
    else
        library_product(m, n, k, alpha, a, a_stride, a_transposed, b, b_stride, b_transposed, beta, c, c_stride);
}

static dnnl_status_t prepare(const struct gemm_state *state, const struct shape *s, struct prepared *out)
{
    dnnl_dims_t a_size = { s->m, s->k }, b_size = { s->k, s->n }, c_size = { s->m, s->n };
    dnnl_dims_t a_step = { s->a_stride, 1 }, b_step = { s->b_transposed ? 1 : s->b_stride, s->b_transposed ? s->b_stride : 1 }, c_step = { s->c_stride, 1 };
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t add = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(&a, 2, a_size, dnnl_bf16, a_step);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&b, 2, b_size, dnnl_bf16, b_step);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&c, 2, c_size, s->c_bf16 ? dnnl_bf16 : dnnl_f32, c_step);
    if (status == dnnl_success)
        status = dnnl_matmul_desc_init(&matmul, &a, &b, NULL, &c);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && s->alpha != 1)
        status = dnnl_primitive_attr_set_output_scales(attributes, 1, 0, &s->alpha);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&add);
    if (status == dnnl_success && s->beta != 0)
        status = dnnl_post_ops_append_sum(add, s->beta);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attributes, add);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&description, &matmul, attributes, state->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&out->primitive, description);
    if (status == dnnl_success)
        out->scratch_bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0));
    if (description)
        dnnl_primitive_desc_destroy(description);
    if (add)
        dnnl_post_ops_destroy(add);
    if (attributes)
        dnnl_primitive_attr_destroy(attributes);
    out->shape = *s;
    return status;
}

static uint64_t hash(const struct shape *s)
{
    const unsigned char *byte = (const unsigned char *)s;
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *s; i++)
        h = (h ^ byte[i]) * 1099511628211u;
    return h ^ h >> 32;
}

/* The prepared product of a shape, made when it is new; NULL if the library has none. Prepared for one thread: its plan must not depend on how many there are.
 */
static const struct prepared *prepared(struct gemm_state *state, const struct shape *s)
{
    uint64_t at = hash(s) % SHAPES;
    for (; state->prepared[at].primitive; at = (at + 1) % SHAPES)
        if (memcmp(&state->prepared[at].shape, s, sizeof *s) == 0)
            return &state->prepared[at];
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_status_t status = prepare(state, s, &state->prepared[at]);
    omp_set_num_threads(threads);
    if (status != dnnl_success) {
        state->prepared[at] = (struct prepared){ 0 };
        return NULL;
    }
    state->used++;
    return &state->prepared[at];
}

/* Row tile number `index`: where it begins and its rows, the largest power of two that fits; 0 rows: the rest is for f32. */
static int64_t bf16_rows(int64_t m, int64_t index, int64_t *row)
{
    int64_t rows = BF16_ROWS;
    for (*row = 0;; *row += rows) {
        while (rows > m - *row)
            rows /= 2;
        if (rows < BF16_FEWEST_ROWS)
            return 0;
        if (index-- == 0)
            return rows;
    }
}

static bool run_prepared(const struct gemm_state *state, struct lane *lane, const struct prepared *q, void *a, void *b, void *c)
{
    const_dnnl_primitive_desc_t description = NULL;
    void *data[] = { a, b, c, lane->scratch };
    const dnnl_query_t query[] = { dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md, dnnl_query_scratchpad_md };
    dnnl_exec_arg_t argument[] = { { DNNL_ARG_SRC, NULL }, { DNNL_ARG_WEIGHTS, NULL }, { DNNL_ARG_DST, NULL }, { DNNL_ARG_SCRATCHPAD, NULL } };
    dnnl_status_t status = dnnl_primitive_get_primitive_desc(q->primitive, &description);
    int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    for (size_t i = 0; i < COUNT(argument) && status == dnnl_success; i++)
        status = dnnl_memory_create(&argument[i].memory, dnnl_primitive_desc_query_md(description, query[i], 0), state->engine, data[i]);
    if (threads > 1)
        omp_set_num_threads(1);
    if (status == dnnl_success)
        status = dnnl_primitive_execute(q->primitive, lane->stream, (int)COUNT(argument), argument);
    if (threads > 1)
        omp_set_num_threads(threads);
    for (size_t i = 0; i < COUNT(argument); i++)
        if (argument[i].memory)
            dnnl_memory_destroy(argument[i].memory);
    return status == dnnl_success;
}

/* The prepared products of all tiles, by size of rows (256, 128, ...) and for the last column tile, which may be narrower. */
struct bf16_tiles {
    int64_t columns, across, down, rest; /* rest: the first row that is left to f32 */
    const struct prepared *prepared[4][2];
    size_t scratch_bytes;
};

static int size_index(int64_t rows)
{
    return rows >= BF16_ROWS ? 0 : rows >= BF16_ROWS / 2 ? 1 : rows >= BF16_ROWS / 4 ? 2 : 3;
}

/* False if the library has no such product. */
static bool prepare_tiles(struct gemm_state *state, const struct product *p, struct bf16_tiles *t)
{
    int64_t rows, row;
    t->across = parts(p->n, BF16_COLUMNS);
    t->columns = even_part(p->n, t->across, 64);
    t->across = parts(p->n, t->columns);
    for (; (rows = bf16_rows(p->m, t->down, &row)); t->down++)
        for (int last = 0; last < 2; last++) {
            int64_t columns = last ? p->n - (t->across - 1) * t->columns : t->columns;
            struct shape s = { rows, columns, p->k, p->a.stride, p->b.stride, p->c_stride, p->b.transposed, p->c_dtype == BF16, p->alpha, p->beta };
            const struct prepared **q = &t->prepared[size_index(rows)][last];
            if (*q || (!last && t->across == 1))
                continue;
            *q = prepared(state, &s);
            if (!*q)
                return false;
            t->scratch_bytes = t->scratch_bytes > (*q)->scratch_bytes ? t->scratch_bytes : (*q)->scratch_bytes;
        }
    t->rest = row;
    return true;
}

static enum status bf16_failed(struct device *device)
{
    return fail_with(device->err, LIBRARY, "matrix products: oneDNN failed in bfloat16", "free some memory, or use dtype float32");
}

/* Every thread does each of the tiles once, of zeros: some products generate code and take buffers only then. */
static enum status rehearse_prepared(struct device *device, const struct product *p, const struct bf16_tiles *t)
{
    const int64_t b_rows = p->b.transposed ? t->columns : p->k, b_columns = p->b.transposed ? p->k : t->columns;
    const int64_t a = (BF16_ROWS - 1) * p->a.stride + p->k, b = (b_rows - 1) * p->b.stride + b_columns, c = (BF16_ROWS - 1) * p->c_stride + t->columns;
    struct zeros zeros;
    int failed = 0;
    if (!zeros_map(&zeros, device, dtype_bytes(BF16) * (size_t)larger(a, b), sizeof(float) * (size_t)c))
        return OK;
#pragma omp parallel num_threads(device->threads) reduction(+ : failed)
    for (int i = 0; i < 8; i++) {
        const struct prepared *q = t->prepared[i / 2][i % 2];
        const int thread = omp_get_thread_num();
        failed += q && !run_prepared(device->gemm, &device->gemm->lane[thread], q, zeros.read, zeros.read, zeros_written(&zeros, thread));
    }
    zeros_unmap(&zeros);
    return failed ? bf16_failed(device) : OK;
}

enum status bf16_prepare(struct device *device, const struct product *p, bool *can)
{
    struct product q = *p;
    struct bf16_tiles t = { 0 };
    int64_t largest = BF16_ROWS;
    while (largest > p->m)
        largest /= 2;
    q.m = 2 * largest - BF16_FEWEST_ROWS; /* a tile of every size down from the largest */
    *can = largest < BF16_FEWEST_ROWS || prepare_tiles(device->gemm, &q, &t);
    if (largest < BF16_FEWEST_ROWS || !*can)
        return OK;
    TRY(gemm_reserve(device, t.scratch_bytes));
    return rehearse_prepared(device, &q, &t);
}

static enum status bf16_product(struct device *device, const struct product *p)
{
    struct gemm_state *state = device->gemm;
    struct bf16_tiles t = { 0 };
    if (state->used > SHAPES / 2)
        forget_prepared(state);
    if (!prepare_tiles(state, p, &t))
        return f32_product(device, p);
    TRY(gemm_reserve(device, t.scratch_bytes));
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(device->threads) reduction(+ : failed) if (t.down * t.across > 1)
    for (int64_t i = 0; i < t.down * t.across; i++) {
        int64_t row, rows = bf16_rows(p->m, i % t.down, &row), column = i / t.down * t.columns;
        void *a = element(p->a.data, BF16, row * p->a.stride), *b = element(p->b.data, BF16, p->b.transposed ? column * p->b.stride : column);
        void *c = element(p->c, p->c_dtype, row * p->c_stride + column);
        const struct prepared *q = t.prepared[size_index(rows)][i / t.down == t.across - 1];
        failed += !run_prepared(state, &state->lane[omp_get_thread_num()], q, a, b, c);
    }
    if (failed)
        return bf16_failed(device);
    struct product rest = *p;
    rest.m = p->m - t.rest;
    rest.a.data = element(p->a.data, BF16, t.rest * p->a.stride);
    rest.c = element(p->c, p->c_dtype, t.rest * p->c_stride);
    return rest.m ? f32_product(device, &rest) : OK;
}

enum status gemm(struct device *device, int64_t m, int64_t n, int64_t k, float alpha, struct operand a, struct operand b, float beta, void *c,
                 enum dtype c_dtype, int64_t c_stride)
{
    struct product p = { m, n, k, alpha, beta, a, b, c, c_dtype, c_stride };
    if (m == 0 || n == 0)
        return OK;
    if (k == 0) {
        for (int64_t i = 0; i < m && beta == 0; i++)
            memset(element(c, c_dtype, i * c_stride), 0, (size_t)n * dtype_bytes(c_dtype));
        return OK;
    }
    if (m <= THIN_ROWS && thins(&p))
        return thin_product(device, &p);
    if (m >= BF16_FEWEST_ROWS && multiplies_bf16(&p))
        return bf16_product(device, &p);
    return f32_product(device, &p);
}

void gemm_library(char name[64])
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(name, 64, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}
