/* The arithmetic of sampling, which sample.c and sample.cu share: all sums are of whole numbers, so neither their order nor the device changes an id.
 *
 * A logit's key orders all of a row: larger logits first, then lower ids. Its weight is 2^40 e^((logit - largest) / temperature), rounded down. What is kept,
 * and what is drawn, is then always "the largest key such that the keys from it on have at least so many items, or so much weight".
 */
#ifndef GRAFT_AUTOGRAD_OPS_SAMPLE_H
#define GRAFT_AUTOGRAD_OPS_SAMPLE_H

#include "autograd/cpu/math.h"
#include "autograd/graph.h"

enum { PLACE_BITS = 24, KEY_BITS = 32 + PLACE_BITS, WEIGHT_BITS = 40 };

/* 0 and -0 are one logit; what is no number comes before all that are. */
INLINE uint64_t key_of(float logit, int64_t place)
{
    const uint32_t bits = bits_of(logit + 0.0f), ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (uint64_t)(logit == logit ? ordered : UINT32_MAX) << PLACE_BITS | (((uint64_t)1 << PLACE_BITS) - 1 - (uint64_t)place);
}

INLINE int32_t place_of_key(uint64_t key)
{
    return (int32_t)(((uint64_t)1 << PLACE_BITS) - 1 - (key & (((uint64_t)1 << PLACE_BITS) - 1)));
}

/* 2^-x for x in units of 2^-32, times 2^40: the series of 2^f = 1 + f (ln 2 + f (ln^2 2 / 2! + ...)), f the part behind the point. */
INLINE uint64_t power_of_half(uint64_t x)
{
    static const uint32_t coefficient[] = { 2, 30, 437, 5676, 65510, 661577, 5726720, 41309550, 238388332, 1031764991, 2977044472 }; /* 2^32 ln^k 2 / k! */
    const uint64_t whole = (x + UINT32_MAX) >> 32, f = whole * ((uint64_t)1 << 32) - x;
    uint64_t sum = 0;
    for (int k = 0; k < 11; k++)
        sum = coefficient[k] + (sum * f >> 32);
    return whole > WEIGHT_BITS ? 0 : ((((uint64_t)1 << 32) + (sum * f >> 32)) << (WEIGHT_BITS - 32)) >> whole;
}

INLINE uint64_t weight_of(float logit, float largest, double temperature)
{
    const double below = logit == largest ? 0 : ((double)largest - (double)logit) / temperature;
    return below < 28 ? power_of_half((uint64_t)(below * (1.4426950408889634 * 0x1p32))) : 0; /* log2 e */
}

/* The weight that this share of all has at least, but not nothing. */
INLINE uint64_t weight_of_share(uint64_t all, double share)
{
    const double wanted = (double)all * share;
    uint64_t weight = (uint64_t)wanted;
    weight += (double)weight < wanted;
    return weight < 1 ? 1 : weight > all ? all : weight;
}

/* A uniform draw of 24 bits among the weights kept, counted from 1. */
INLINE uint64_t weight_drawn(uint64_t kept, uint32_t bits)
{
    return (kept >> 24) * bits + ((kept & 0xFFFFFF) * bits >> 24) + 1;
}

INLINE float penalized(float logit, double penalty)
{
    return (float)(logit > 0 ? (double)logit / penalty : (double)logit * penalty);
}

#endif
