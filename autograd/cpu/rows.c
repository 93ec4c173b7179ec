/* Conversions between storage dtypes and f32, by integer operations only: the same bits on every machine, and loops that vectorise everywhere.
 *
 * Narrowing rounds to nearest even, keeps infinities and signs, and keeps NaN a (quiet) NaN.
 */
#include "autograd/cpu/rows.h"
#include "autograd/cpu/math.h"

#include <string.h>

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

static WIDE void widen_bf16(float *to, const uint16_t *from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = float_of((uint32_t)from[i] << 16);
}

static WIDE void widen_f16(float *to, const uint16_t *from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = from_f16(from[i]);
}

static WIDE void narrow_bf16(uint16_t *to, const float *from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = to_bf16(from[i]);
}

static WIDE void narrow_f16(uint16_t *to, const float *from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = to_f16(from[i]);
}

void widen(float *to, const void *from, enum dtype dtype, int64_t count)
{
    if (dtype == BF16)
        widen_bf16(to, from, count);
    else if (dtype == F16)
        widen_f16(to, from, count);
    else if (count)
        memcpy(to, from, (size_t)count * sizeof *to);
}

void narrow(void *to, const float *from, enum dtype dtype, int64_t count)
{
    if (dtype == BF16)
        narrow_bf16(to, from, count);
    else if (dtype == F16)
        narrow_f16(to, from, count);
    else if (count)
        memcpy(to, from, (size_t)count * sizeof *from);
}

static void *element(const struct tensor *t, int64_t first)
{
    return (char *)t->data + (size_t)first * dtype_bytes(t->dtype);
}

const float *span_read(const struct tensor *t, int64_t first, int64_t count, float *buffer)
{
    if (t->dtype == F32)
        return element(t, first);
    widen(buffer, element(t, first), t->dtype, count);
    return buffer;
}

float *span_open(const struct tensor *t, int64_t first, float *buffer)
{
    return t->dtype == F32 ? element(t, first) : buffer;
}

void span_close(const struct tensor *t, int64_t first, int64_t count, const float *values)
{
    if (t->dtype != F32)
        narrow(element(t, first), values, t->dtype, count);
}

static WIDE void add_to(float *to, const float *from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
}

float *span_open_gradient(const struct tensor *t, int64_t first, float *buffer, bool add)
{
    return add ? buffer : span_open(t, first, buffer);
}

void span_close_gradient(const struct tensor *t, int64_t first, int64_t count, const float *values, bool add)
{
    if (!add) {
        span_close(t, first, count, values);
        return;
    }
    float there[SPAN];
    for (int64_t at = 0; at < count; at += SPAN) {
        int64_t length = span_length(at, count);
        float *sum = span_open(t, first + at, there);
        if (t->dtype != F32)
            widen(sum, element(t, first + at), t->dtype, length);
        add_to(sum, values + at, length);
        span_close(t, first + at, length, sum);
    }
}

void span_copy(const struct tensor *to, int64_t to_first, const struct tensor *from, int64_t from_first, int64_t count, bool add)
{
    if (!add && to->dtype == from->dtype) {
        if (count)
            memcpy(element(to, to_first), element(from, from_first), (size_t)count * dtype_bytes(to->dtype));
        return;
    }
    float buffer[SPAN];
    for (int64_t at = 0; at < count; at += SPAN) {
        int64_t length = span_length(at, count);
        const float *values = span_read(from, from_first + at, length, buffer);
        if (to->dtype == F32 && !add)
            memcpy(element(to, to_first + at), values, (size_t)length * sizeof *values);
        else
            span_close_gradient(to, to_first + at, length, values, add);
    }
}
