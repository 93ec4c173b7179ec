/* Products through cuBLASLt, the only file that knows it. It counts in columns, so a row-major c = a b is asked for as c' = b' a', and nothing moves.
 *
 * The library is opened with the device: linked, it would cost every run on a CPU 200 MB and a tenth of a second.
 *
 * A plan, which is what the library proposed for one shape, is kept in a table of fixed size; another shape of the same place takes it over. Sums that are
 * split are only those that are put together in a fixed order, so that a product has the same bits every time.
 */
#include <cublasLt.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/cuda/kernel.cuh"

extern "C" {
#include "autograd/cuda/gemm.h"
#include "common/library.h"
}

enum { PLANS = 1024, OPERANDS = 3 };
constexpr size_t WORKSPACE = 32 << 20;

#define FUNCTIONS(each)                                                                                                                                        \
    each(cublasLtCreate) each(cublasLtDestroy) each(cublasLtGetStatusString) each(cublasLtMatmul) each(cublasLtMatmulAlgoGetHeuristic)                         \
        each(cublasLtMatmulDescCreate) each(cublasLtMatmulDescDestroy) each(cublasLtMatmulDescSetAttribute) each(cublasLtMatrixLayoutCreate)                   \
            each(cublasLtMatrixLayoutDestroy) each(cublasLtMatmulPreferenceCreate) each(cublasLtMatmulPreferenceDestroy)                                       \
                each(cublasLtMatmulPreferenceSetAttribute)
#define FIELD(function)       decltype(&::function) function;
#define TEXT_OF(number)       #number
#define LIBRARY_FILE(version) "libcublasLt.so." TEXT_OF(version)

struct library {
    void *opened;
    FUNCTIONS(FIELD)
};

/* All that a proposal depends on. */
struct shape {
    int64_t rows, cols, inner, stride[OPERANDS]; /* of a, b, c */
    int dtype, c_dtype, transposed[2], alignment[OPERANDS];
};

struct lt_plan {
    struct shape shape;
    bool made, known;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t layout[OPERANDS];
    cublasLtMatmulAlgo_t algorithm;
};

struct lt_state {
    struct library library;
    cublasLtHandle_t handle;
    void *workspace;
    struct lt_plan plan[PLANS];
};

static enum status lt_failed(struct device *device, const char *what, const struct shape *s, cublasStatus_t code)
{
    return fail_with(device->err, LIBRARY, "cuBLASLt, %s of a product [%lld, %lld] over %lld: %s",
                     "use a smaller batch; if that does not help, use --device cpu", what, (long long)s->rows, (long long)s->cols, (long long)s->inner,
                     device->cuda->lt->library.cublasLtGetStatusString(code));
}

#define TRY_LT(device, what, shape, call)                                                                                                                      \
    do {                                                                                                                                                       \
        cublasStatus_t try_lt_ = (call);                                                                                                                       \
        if (try_lt_ != CUBLAS_STATUS_SUCCESS)                                                                                                                  \
            return lt_failed(device, what, shape, try_lt_);                                                                                                    \
    } while (0)

static enum status open_library(struct device *device, struct library *library)
{
    char why[256];
    library->opened = library_open(LIBRARY_FILE(CUBLAS_VER_MAJOR), why);
    bool whole = library->opened != NULL;
#define FIND(function)                                                                                                                                         \
    if (whole)                                                                                                                                                 \
        whole = (library->function = (decltype(library->function))library_function(library->opened, #function)) != NULL;
    FUNCTIONS(FIND)
    if (whole)
        return OK;
    return fail_with(device->err, LIBRARY, "%s cannot be used: %s", "install the CUDA toolkit's libraries, or name their folder in LD_LIBRARY_PATH",
                     LIBRARY_FILE(CUBLAS_VER_MAJOR), library->opened ? "it is incomplete" : why);
}

enum status lt_open(struct device *device)
{
    const struct shape none = {};
    struct lt_state *state = (struct lt_state *)calloc(1, sizeof *state);
    if (!state)
        return fail_with(device->err, NO_MEMORY, "no memory for plans of products", "free some memory");
    device->cuda->lt = state;
    TRY(open_library(device, &state->library));
    TRY_LT(device, "opening", &none, state->library.cublasLtCreate(&state->handle));
    if (cudaMalloc(&state->workspace, WORKSPACE) == cudaSuccess)
        return OK;
    cudaGetLastError();
    return fail_with(device->err, NO_MEMORY, "no memory for the workspace of products on %s", "see what else uses the GPU", device->name);
}

static void forget(const struct library *library, struct lt_plan *p)
{
    for (int i = 0; i < OPERANDS; i++)
        if (p->layout[i])
            library->cublasLtMatrixLayoutDestroy(p->layout[i]);
    if (p->product)
        library->cublasLtMatmulDescDestroy(p->product);
    memset(p, 0, sizeof *p);
}

void lt_close(struct device *device)
{
    struct lt_state *state = device->cuda->lt;
    if (!state)
        return;
    for (int i = 0; i < PLANS; i++)
        forget(&state->library, &state->plan[i]);
    if (state->handle)
        state->library.cublasLtDestroy(state->handle);
    if (state->library.opened)
        dlclose(state->library.opened);
    cudaFree(state->workspace);
    free(state);
    device->cuda->lt = NULL;
}

/* The largest power of two that an address is a multiple of, as far as anybody asks. */
static int alignment_of(const void *at)
{
    int bytes = 256;
    while ((uintptr_t)at % (uintptr_t)bytes)
        bytes /= 2;
    return bytes;
}

static struct shape shape_of(const struct product *p)
{
    struct shape s;
    memset(&s, 0, sizeof s); /* shapes are compared as bytes */
    s.rows = p->rows;
    s.cols = p->cols;
    s.inner = p->inner;
    s.stride[0] = p->a.stride;
    s.stride[1] = p->b.stride;
    s.stride[2] = p->c_stride;
    s.dtype = p->a.dtype;
    s.c_dtype = p->c_dtype;
    s.transposed[0] = p->a.transposed;
    s.transposed[1] = p->b.transposed;
    s.alignment[0] = alignment_of(p->a.data);
    s.alignment[1] = alignment_of(p->b.data);
    s.alignment[2] = alignment_of(p->c);
    return s;
}

static struct lt_plan *place_of(struct lt_state *state, const struct shape *s)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *s; i++)
        hash = (hash ^ ((const unsigned char *)s)[i]) * 1099511628211u;
    return &state->plan[(hash ^ hash >> 32) % PLANS];
}

static cudaDataType type_of(int dtype)
{
    return dtype == BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* A stored matrix of `lines` lines, `length` long and stride apart, is a matrix of `lines` columns there. */
static cublasStatus_t lay_out(const struct library *library, cublasLtMatrixLayout_t *layout, int dtype, int64_t lines, int64_t length, int64_t stride)
{
    return library->cublasLtMatrixLayoutCreate(layout, type_of(dtype), (uint64_t)length, (uint64_t)lines, stride);
}

static enum status describe(struct device *device, struct lt_plan *p)
{
    const struct shape *s = &p->shape;
    const struct library *library = &device->cuda->lt->library;
    const cublasOperation_t a = s->transposed[0] ? CUBLAS_OP_T : CUBLAS_OP_N, b = s->transposed[1] ? CUBLAS_OP_T : CUBLAS_OP_N;
    TRY_LT(device, "description", s, library->cublasLtMatmulDescCreate(&p->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    TRY_LT(device, "description", s, library->cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSA, &b, sizeof b));
    TRY_LT(device, "description", s, library->cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSB, &a, sizeof a));
    TRY_LT(device, "layout", s,
           lay_out(library, &p->layout[0], s->dtype, s->transposed[0] ? s->inner : s->rows, s->transposed[0] ? s->rows : s->inner, s->stride[0]));
    TRY_LT(device, "layout", s,
           lay_out(library, &p->layout[1], s->dtype, s->transposed[1] ? s->cols : s->inner, s->transposed[1] ? s->inner : s->cols, s->stride[1]));
    TRY_LT(device, "layout", s, lay_out(library, &p->layout[2], s->c_dtype, s->rows, s->cols, s->stride[2]));
    return OK;
}

static cublasStatus_t prefer(const struct library *library, cublasLtMatmulPreference_t preference, const struct shape *s)
{
    const uint64_t workspace = WORKSPACE;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, a = (uint32_t)s->alignment[0], b = (uint32_t)s->alignment[1],
                   c = (uint32_t)s->alignment[2];
    const struct {
        cublasLtMatmulPreferenceAttributes_t what;
        const void *value;
        size_t bytes;
    } wishes[] = {
        { CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace },
        { CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &b, sizeof b },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &a, sizeof a },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &c, sizeof c },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &c, sizeof c },
    };
    for (size_t i = 0; i < COUNT(wishes); i++) {
        cublasStatus_t code = library->cublasLtMatmulPreferenceSetAttribute(preference, wishes[i].what, wishes[i].value, wishes[i].bytes);
        if (code != CUBLAS_STATUS_SUCCESS)
            return code;
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* The library's first proposal; known stays false where it has none. */
static enum status choose(struct device *device, struct lt_plan *p)
{
    const struct lt_state *state = device->cuda->lt;
    const struct library *library = &state->library;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t proposal;
    int proposals = 0;
    TRY_LT(device, "preference", &p->shape, library->cublasLtMatmulPreferenceCreate(&preference));
    cublasStatus_t code = prefer(library, preference, &p->shape);
    if (code == CUBLAS_STATUS_SUCCESS)
        code = library->cublasLtMatmulAlgoGetHeuristic(state->handle, p->product, p->layout[1], p->layout[0], p->layout[2], p->layout[2], preference, 1,
                                                       &proposal, &proposals);
    library->cublasLtMatmulPreferenceDestroy(preference);
    if (code != CUBLAS_STATUS_SUCCESS && code != CUBLAS_STATUS_NOT_SUPPORTED)
        return lt_failed(device, "choice", &p->shape, code);
    p->known = code == CUBLAS_STATUS_SUCCESS && proposals > 0;
    if (p->known)
        p->algorithm = proposal.algo;
    p->made = true;
    return OK;
}

enum status lt_product(struct device *device, const struct product *p, bool *known)
{
    struct lt_state *state = device->cuda->lt;
    const struct shape shape = shape_of(p);
    struct lt_plan *plan = place_of(state, &shape);
    if (!plan->made || memcmp(&plan->shape, &shape, sizeof shape) != 0) {
        forget(&state->library, plan);
        plan->shape = shape;
        TRY(describe(device, plan));
        TRY(choose(device, plan));
    }
    *known = plan->known;
    if (plan->known)
        TRY_LT(device, "start", &shape,
               state->library.cublasLtMatmul(state->handle, plan->product, &p->alpha, p->b.data, plan->layout[1], p->a.data, plan->layout[0], &p->beta, p->c,
                                             plan->layout[2], p->c, plan->layout[2], &plan->algorithm, state->workspace, WORKSPACE, device->cuda->stream));
    return OK;
}
