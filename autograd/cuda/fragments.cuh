/* Tensor cores: matrices of 16 x 16 bf16 spread over a warp, their products summed in f32, and copies into shared memory that nobody waits for.
 *
 * Lane l holds four words of two elements of an operand. Of a left one, word w is row l / 4 + 8 (w % 2), columns 2 (l % 4) + 8 (w / 2) and the next; of a right
 * one it is column l / 4 + 8 (w / 2), rows 2 (l % 4) + 8 (w % 2) and the next. Sums lie as left operands do, two floats for a word, so what one product made
 * is an operand of the next without leaving its registers.
 *
 * Source: NVIDIA, "PTX ISA", mma.m16n8k16, ldmatrix and cp.async.
 */
#ifndef GRAFT_AUTOGRAD_CUDA_FRAGMENTS_CUH
#define GRAFT_AUTOGRAD_CUDA_FRAGMENTS_CUH

#include "autograd/cuda/kernel.cuh"

constexpr int SIDE = 16; /* rows, and columns, of a fragment */

struct fragment {
    uint32_t word[4];
};
struct sums {
    float value[8];
};

/* The instructions; tests/cuda_on_host has its own. */
#if defined(__CUDACC__)

/* Before loops over what a thread keeps in registers, which have no index. */
#define UNROLLED _Pragma("unroll")

/* to[16, 8] += a[16, 16] b[16, 8] by all lanes of a warp. */
static __device__ inline void mma_bf16(float to[4], const uint32_t a[4], const uint32_t b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(to[0]), "+f"(to[1]), "+f"(to[2]), "+f"(to[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four matrices of 8 x 8 from shared memory: lane l names row l % 8 of matrix l / 8, 16 bytes on a boundary of 16; word w is row l / 4 of matrix w, columns
 * 2 (l % 4) and the next. */
static __device__ inline void load_matrices(uint32_t to[4], const uint16_t *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

/* The same, each matrix turned: word w is column l / 4, rows 2 (l % 4) and the next. */
static __device__ inline void load_turned_matrices(uint32_t to[4], const uint16_t *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

/* Two values rounded to bf16, the first in the low half. */
static __device__ inline uint32_t pair_of(float low, float high)
{
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/* 16 bytes into shared memory, both ends on a boundary of 16: there once this thread has waited, for others after a barrier behind that. */
static __device__ inline void copy_soon(void *to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory");
}

static __device__ inline void wait_for_copies(void)
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

#endif

/* A matrix of bf16 in shared memory, its rows `stride` elements apart: an odd multiple of 8, so that the rows of a fragment never meet in a bank. */
struct tile {
    uint16_t *data;
    int stride;
};

/* The left operand at (row, column) of a tile. */
static __device__ inline struct fragment left_of(const struct tile &t, int row, int column)
{
    const int lane = threadIdx.x % WARP;
    struct fragment f;
    load_matrices(f.word, t.data + (row + lane % 16) * t.stride + column + lane / 16 * 8);
    return f;
}

/* A right operand whose rows are those of the tile. */
static __device__ inline struct fragment right_of(const struct tile &t, int row, int column)
{
    const int lane = threadIdx.x % WARP;
    struct fragment f;
    load_turned_matrices(f.word, t.data + (row + lane % 16) * t.stride + column + lane / 16 * 8);
    return f;
}

/* A right operand whose columns are the rows of the tile. */
static __device__ inline struct fragment turned_right_of(const struct tile &t, int row, int column)
{
    const int lane = threadIdx.x % WARP;
    struct fragment f;
    load_matrices(f.word, t.data + (row + lane % 8 + lane / 16 * 8) * t.stride + column + lane / 8 % 2 * 8);
    return f;
}

/* Sums rounded to bf16, as a left operand. */
static __device__ inline struct fragment left_of(const struct sums &s)
{
    struct fragment f;
    UNROLLED
    for (int w = 0; w < 4; w++)
        f.word[w] = pair_of(s.value[2 * w], s.value[2 * w + 1]);
    return f;
}

/* Sums as they will be when they are an operand. */
static __device__ inline void round_to_bf16(struct sums &s)
{
    const struct fragment f = left_of(s);
    UNROLLED
    for (int i = 0; i < 8; i++)
        s.value[i] = from_bf16((uint16_t)(f.word[i / 2] >> i % 2 * 16));
}

/* Where value i of this lane's sums stands. */
static __device__ inline int sum_row(int i)
{
    return (int)threadIdx.x % WARP / 4 + i / 2 % 2 * 8;
}

static __device__ inline int sum_column(int i)
{
    return (int)threadIdx.x % 4 * 2 + i % 2 + i / 4 * 8;
}

static __device__ inline void add_product(struct sums &to, const struct fragment &left, const struct fragment &right)
{
    mma_bf16(to.value, left.word, right.word);
    mma_bf16(to.value + 4, left.word, right.word + 2);
}

#endif
