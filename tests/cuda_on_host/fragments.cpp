/* The instructions of autograd/cuda/fragments.cuh on the host: what each lane of a warp has in its registers is laid before the others, and each takes from it
 * what the hardware would give it. */
#include <cuda_runtime.h>

#include <stdio.h>
#include <vector>

extern "C" {
#include "autograd/cpu/halves.h"
}

static unsigned lane(void)
{
    return threadIdx.x % 32;
}

static void give_up(const char *why)
{
    fprintf(stderr, "cuda_on_host: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, why);
    abort();
}

static float half_of(uint32_t word, unsigned half)
{
    return from_bf16((uint16_t)(word >> 16 * half));
}

static uint32_t word_of(const host_slot &slot, unsigned word)
{
    uint32_t value;
    memcpy(&value, slot.bytes + word * sizeof value, sizeof value);
    return value;
}

/* Value i of a lane is row l / 4 + 8 (i / 2), column 2 (l % 4) + i % 2; the four lanes of a quad hold what the row, or column, has along the sum. */
void mma_bf16(float to[4], const uint32_t a[4], const uint32_t b[2])
{
    const uint32_t mine[6] = { a[0], a[1], a[2], a[3], b[0], b[1] };
    const host_slot *slot = host_exchange(mine, sizeof mine), *rows = slot + lane() / 4 * 4, *columns = slot + lane() % 4 * 8;
    for (unsigned k = 0; k < 8; k++)
        for (unsigned i = 0; i < 4; i++) {
            const uint32_t left = word_of(rows[k % 4], i / 2 + k / 4 * 2), right = word_of(columns[i % 2 * 4 + k % 4], 4 + k / 4);
            to[i] += half_of(left, 0) * half_of(right, 0) + half_of(left, 1) * half_of(right, 1);
        }
}

/* The rows that the lanes name, by lane. */
static const host_slot *rows_of(const uint16_t *row)
{
    if ((uintptr_t)row % 16 != 0)
        give_up("a row of a matrix does not lie on a boundary of 16 bytes");
    return host_exchange(&row, sizeof row);
}

static uint16_t element(const host_slot *slot, unsigned matrix, unsigned row, unsigned column)
{
    const uint16_t *at;
    memcpy(&at, slot[8 * matrix + row].bytes, sizeof at);
    return at[column];
}

void load_matrices(uint32_t to[4], const uint16_t *row)
{
    const host_slot *slot = rows_of(row);
    const unsigned r = lane() / 4, column = lane() % 4 * 2;
    for (unsigned w = 0; w < 4; w++)
        to[w] = element(slot, w, r, column) | (uint32_t)element(slot, w, r, column + 1) << 16;
}

void load_turned_matrices(uint32_t to[4], const uint16_t *row)
{
    const host_slot *slot = rows_of(row);
    const unsigned column = lane() / 4, r = lane() % 4 * 2;
    for (unsigned w = 0; w < 4; w++)
        to[w] = element(slot, w, r, column) | (uint32_t)element(slot, w, r + 1, column) << 16;
}

uint32_t pair_of(float low, float high)
{
    return to_bf16(low) | (uint32_t)to_bf16(high) << 16;
}

/* By thread, of a block. */
struct copy {
    void *to;
    const void *from;
};
static std::vector<copy> copies[1024];

void copy_soon(void *to, const void *from)
{
    if ((uintptr_t)to % 16 != 0 || (uintptr_t)from % 16 != 0)
        give_up("a copy does not lie on a boundary of 16 bytes");
    copies[threadIdx.x].push_back({ to, from });
}

void wait_for_copies(void)
{
    for (const copy &c : copies[threadIdx.x])
        memcpy(c.to, c.from, 16);
    copies[threadIdx.x].clear();
}
