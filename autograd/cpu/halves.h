/* One element between the 16-bit storage dtypes and f32, by integer operations only: the same bits on every device, and loops that vectorise everywhere.
 *
 * Narrowing rounds to nearest even, keeps infinities and signs, and keeps NaN a (quiet) NaN.
 */
#ifndef GRAFT_AUTOGRAD_CPU_HALVES_H
#define GRAFT_AUTOGRAD_CPU_HALVES_H

#include "autograd/cpu/math.h"

INLINE float from_bf16(uint16_t half)
{
    return float_of((uint32_t)half << 16);
}

INLINE uint16_t to_bf16(float value)
{
    uint32_t bits = bits_of(value), rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? bits >> 16 | 0x40u : rounded);
}

/* The bits, shifted into place, are the value times 2^-112 (subnormal f16 become subnormal f32: exact). Exponent 31 is infinity or NaN. */
INLINE float from_f16(uint16_t half)
{
    uint32_t magnitude = half & 0x7FFFu, sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t finite = bits_of(float_of(magnitude << 13) * 0x1p112f);
    return float_of((magnitude >= 0x7C00u ? magnitude << 13 | 0x7F800000u : finite) | sign);
}

/* Normal results: rounded in the integer (a carry into the exponent, and into infinity, comes out right). Subnormal ones: adding 0.5 lets the f32 adder round
 * at bit 2^-24, and the low bits of the sum are the result. */
INLINE uint16_t to_f16(float value)
{
    uint32_t bits = bits_of(value), magnitude = bits & 0x7FFFFFFFu, sign = bits >> 16 & 0x8000u;
    uint32_t normal = (magnitude - (112u << 23) + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    uint32_t half = magnitude < 0x38800000u ? subnormal : normal;
    half = magnitude >= 0x47800000u ? 0x7C00u : half;
    half = magnitude > 0x7F800000u ? 0x7E00u : half;
    return (uint16_t)(half | sign);
}

#endif
