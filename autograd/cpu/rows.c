/* Spans of elements of any float dtype as f32 values, and back. */
#include "autograd/cpu/rows.h"
#include "autograd/cpu/halves.h"

#include <string.h>

static WIDE void widen_bf16(float *to, const uint16_t *from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = from_bf16(from[i]);
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
