/* Elementary functions on floats for inner loops: no branches, no library calls, so that loops over them become wide instructions in WIDE functions.
 *
 * Relative error at most 3e-7 (Phi and gelu: 6e-7) wherever the result is a normal number; limits at both infinities are exact, NaN stays NaN. Polynomials are
 * minimax fits of their own; tests/ops/math.c holds everything against double precision.
 */
#ifndef GRAFT_AUTOGRAD_CPU_MATH_H
#define GRAFT_AUTOGRAD_CPU_MATH_H

#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#define INLINE static inline __host__ __device__ __attribute__((always_inline))
#else
#define INLINE static inline __attribute__((always_inline))
#endif

/* A function and its derivative at one point; what a loop does not use costs nothing. */
struct curve {
    float value, slope;
};

INLINE float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float clamp_f32(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* x = n ln 2 + r, |r| <= ln 2 / 2, for |x| < 1e5. Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits. */
struct reduced {
    float r;
    int32_t n;
};

INLINE struct reduced reduce_f32(float x)
{
    const float round = 0x1.8p23f;
    float shifted = x * 1.44269504f + round, n = shifted - round;
    return (struct reduced){ x - n * 0.693145752f - n * 1.42860677e-6f, (int32_t)(bits_of(shifted) - bits_of(round)) };
}

/* (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2 */
INLINE float exp_rest(float r)
{
    return 0.49999997f + r * (0.166665435f + r * (0.0416672006f + r * (0.00836652052f + r * 0.0013882519f)));
}

INLINE float power_of_two(int32_t n)
{
    return float_of((uint32_t)(n + 127) << 23);
}

/* e^(x + more), more being tiny beside x: for exponents that f32 cannot hold. 2^n is multiplied in two halves, so results reach down to 0 and up to infinity.
 */
INLINE float exp_parts(float x, float more)
{
    struct reduced a = reduce_f32(clamp_f32(x, -104.0f, 89.0f));
    float r = a.r + more, p = 1.0f + (r + r * r * exp_rest(r));
    int32_t half = a.n >> 1;
    return p * power_of_two(half) * power_of_two(a.n - half);
}

/* e^x for x up to 88, and 0 where that is no normal number: for sums in which such a share is nothing. One power of two, which is 0 for n = -127. */
INLINE float exp_flushed_f32(float x)
{
    struct reduced a = reduce_f32(x < -88.0f ? -88.0f : x);
    return (1.0f + (a.r + a.r * a.r * exp_rest(a.r))) * power_of_two(a.n);
}

INLINE float exp_f32(float x)
{
    return exp_parts(x, 0);
}

/* 1 / (1 + e^-x), and 1 minus that without cancellation. */
struct sides {
    float s, other;
};

INLINE struct sides logistic_f32(float x)
{
    float e = exp_f32(x < 0 ? x : -x), share = 1.0f / (1.0f + e);
    return (struct sides){ x < 0 ? e * share : share, x < 0 ? share : e * share };
}

INLINE float sigmoid_f32(float x)
{
    return logistic_f32(x).s;
}

/* -u / (2 + u) with u = e^(-2|x|) - 1, which is formed without cancellation. */
INLINE float tanh_f32(float x)
{
    float magnitude = x < 0 ? -x : x;
    struct reduced a = reduce_f32(-2.0f * clamp_f32(magnitude, 0, 20.0f));
    float scale = power_of_two(a.n), u = scale * (a.r + a.r * a.r * exp_rest(a.r)) + (scale - 1.0f);
    return float_of(bits_of(u / (-2.0f - u)) | (bits_of(x) & 0x80000000u));
}

INLINE struct curve tanh_curve_f32(float x)
{
    float y = tanh_f32(x);
    return (struct curve){ y, 1.0f - y * y };
}

INLINE struct curve relu_f32(float x)
{
    return (struct curve){ x > 0 ? x : 0, x > 0 ? 1.0f : 0.0f };
}

/* The normal distribution function Phi and its density. With z = |x| / sqrt(2) and t = 1 / (1 + 0.3 z), erfc(z) e^(z^2) is t times a polynomial in t. x^2 is
 * split so that e^(-x^2/2) is right to the last bits: the upper half of x has an exact square. */
INLINE struct curve normal_f32(float x)
{
    float m = clamp_f32(x < 0 ? -x : x, 0, 15.0f), high = float_of(bits_of(m) & 0xFFFFF000u);
    float falling = exp_parts(-0.5f * high * high, -0.5f * (m - high) * (m + high));
    float t = 1.0f / (1.0f + 0.212132034f * m), u = t - 0.5f;
    float q = 0.280511409f + u * (-0.0327105075f + u * -0.129254714f);
    q = 0.324979931f + u * (0.55304724f + u * (0.79512614f + u * (0.949732661f + u * (0.911282122f + u * (0.653461218f + u * q)))));
    float beyond = 0.5f * t * q * falling;
    return (struct curve){ x < 0 ? beyond : 1.0f - beyond, 0.398942280f * falling };
}

/* x * share where share is 0 long before x is -128: minus infinity times 0 is 0 here. */
INLINE float shared_f32(float x, float share)
{
    return (x < -128.0f ? -128.0f : x) * share;
}

/* x s(x), s the logistic function */
INLINE struct curve silu_f32(float x)
{
    struct sides a = logistic_f32(x);
    return (struct curve){ shared_f32(x, a.s), a.s * (1.0f + clamp_f32(x, -128.0f, 128.0f) * a.other) };
}

/* x Phi(x) */
INLINE struct curve gelu_f32(float x)
{
    struct curve normal = normal_f32(x);
    return (struct curve){ shared_f32(x, normal.value), normal.value + clamp_f32(x, -15.0f, 15.0f) * normal.slope };
}

/* 0.5 x (1 + tanh(v)), v = sqrt(2/pi) (x + 0.044715 x^3), which is x s(2 v) */
INLINE struct curve gelu_tanh_f32(float x)
{
    float c = clamp_f32(x, -32.0f, 32.0f), square = c * c;
    struct sides a = logistic_f32(1.59576912f * c * (1.0f + 0.044715f * square));
    return (struct curve){ shared_f32(x, a.s), a.s + c * a.s * a.other * 1.59576912f * (1.0f + 0.134145f * square) };
}

#endif
