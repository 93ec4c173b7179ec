/* Counter-based random numbers: a value depends only on (seed, stream, index), never on what was drawn before.
 *
 * That is what makes recomputation, resuming and any number of ranks or threads agree to the bit. The generator is
 * Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"); tests hold its published vectors.
 */
#ifndef GRAFT_COMMON_RANDOM_H
#define GRAFT_COMMON_RANDOM_H

#include <stdint.h>

#if defined(__CUDACC__)
#define ON_EVERY_DEVICE __host__ __device__
#else
#define ON_EVERY_DEVICE
#endif

/* Ten Philox rounds; all four words of out depend on every bit of counter and key. Inline: kernels call it per element group. */
ON_EVERY_DEVICE static inline void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1, c3 = (uint32_t)p0, c0 = n0, c2 = n2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* 32 random bits at (seed, stream, index). The key is the seed; the counter is (index, stream), so streams never meet. */
ON_EVERY_DEVICE static inline uint32_t random_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    const uint32_t counter[4] = { (uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32) };
    const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    uint32_t word[4];
    philox(counter, key, word);
    return word[0];
}
/* Uniform in [0, 1), 24 bits. */
float random_uniform(uint64_t seed, uint64_t stream, uint64_t index);
/* Standard normal (Box-Muller on two uniforms of the same counter). */
float random_normal(uint64_t seed, uint64_t stream, uint64_t index);
/* Uniform integer in [0, n), n >= 1, without modulo bias (rejection on a second counter word). */
uint64_t random_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n);
/* A stream number from a name, so that streams are named at their place of use ("shuffle", "dropout.3"): FNV-1a. */
uint64_t random_stream(const char *name);
/* order[0..count) becomes a permutation of 0..count-1 (Fisher-Yates). */
void random_permutation(uint64_t seed, uint64_t stream, int64_t *order, int64_t count);

#endif
