/* Products that cuBLASLt does not know: operands of different dtypes, F16, and odd strides. A block makes a square of SIDE rows and columns, a thread a square
 * of EACH in it; operands pass through shared memory in steps of the inner dimension, widened to f32. Every element is one sum in order. */
#include "autograd/cuda/kernel.cuh"

extern "C" {
#include "autograd/cuda/gemm.h"
}

constexpr int SIDE = 64, EACH = 4, ACROSS = SIDE / EACH, INNER = 16;
static_assert(ACROSS * ACROSS == THREADS, "a thread for each small square");

/* Element (row, column) of an operand as it is meant. */
struct meant {
    struct view values;
    int64_t row_step, column_step;
};

static struct meant meant_by(struct operand o)
{
    return (struct meant){ { (void *)o.data, o.dtype }, o.transposed ? 1 : o.stride, o.transposed ? o.stride : 1 };
}

/* tile[i * SIDE + s] = element (first + s, inner + i) of a matrix with `lines` lines, or 0. */
static __device__ inline void take(float *tile, struct view v, int64_t line_step, int64_t inner_step, int64_t first, int64_t lines, int64_t inner,
                                   int64_t depth)
{
    for (int e = threadIdx.x; e < SIDE * INNER; e += THREADS) {
        bool along = inner_step == 1; /* neighbours in memory go to neighbouring threads */
        int i = along ? e % INNER : e / SIDE, s = along ? e / INNER : e % SIDE;
        bool inside = first + s < lines && inner + i < depth;
        tile[i * SIDE + s] = inside ? read_one(v, (first + s) * line_step + (inner + i) * inner_step) : 0;
    }
}

__global__ void plain_product(struct meant a, struct meant b, struct view c, int64_t c_stride, int64_t rows, int64_t cols, int64_t depth, float alpha,
                              float beta)
{
    __shared__ float a_tile[INNER * SIDE], b_tile[INNER * SIDE];
    const int64_t squares = (cols + SIDE - 1) / SIDE, row = blockIdx.x / squares * SIDE, column = blockIdx.x % squares * SIDE;
    const int r = threadIdx.x / ACROSS, s = threadIdx.x % ACROSS;
    float sum[EACH][EACH] = {};
    for (int64_t inner = 0; inner < depth; inner += INNER) {
        take(a_tile, a.values, a.row_step, a.column_step, row, rows, inner, depth);
        take(b_tile, b.values, b.column_step, b.row_step, column, cols, inner, depth);
        __syncthreads();
        for (int i = 0; i < INNER; i++)
            for (int y = 0; y < EACH; y++)
                for (int x = 0; x < EACH; x++)
                    sum[y][x] += a_tile[i * SIDE + r + y * ACROSS] * b_tile[i * SIDE + s + x * ACROSS];
        __syncthreads();
    }
    for (int y = 0; y < EACH; y++)
        for (int x = 0; x < EACH; x++) {
            int64_t i = row + r + y * ACROSS, j = column + s + x * ACROSS;
            if (i < rows && j < cols)
                write_one(c, i * c_stride + j, alpha * sum[y][x] + (beta != 0 ? beta * read_one(c, i * c_stride + j) : 0));
        }
}

/* What cuBLASLt multiplies. */
static bool is_common(const struct product *p)
{
    return p->inner > 0 && p->a.dtype == p->b.dtype && p->a.dtype != F16 && p->c_dtype != F16 && (p->a.dtype == BF16 || p->c_dtype == F32);
}

enum status cuda_gemm(struct device *device, const struct node *n, int64_t rows, int64_t cols, int64_t inner, float alpha, struct operand a, struct operand b,
                      float beta, void *c, enum dtype c_dtype, int64_t c_stride)
{
    const struct product p = { rows, cols, inner, alpha, a, b, beta, c, c_dtype, c_stride };
    if (rows == 0 || cols == 0)
        return OK;
    bool known = false;
    if (is_common(&p) && lt_product(device, &p, &known) != OK)
        return place_failure(device->err, n->op->name);
    if (known)
        return OK;
    const int64_t squares = (rows + SIDE - 1) / SIDE * ((cols + SIDE - 1) / SIDE);
    const struct view to = { c, c_dtype };
    LAUNCH(device, (unsigned)squares, THREADS, 0, plain_product, meant_by(a), meant_by(b), to, c_stride, rows, cols, inner, alpha, beta);
    return launched(device, n);
}
