/* Elementary functions of inner loops against double precision, over their whole range; and conversions of storage dtypes, value by value. */
#include "autograd/cpu/math.h"
#include "autograd/cpu/rows.h"
#include "common/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { POINTS = 2000000 };

static float silu_value(float x)
{
    return silu_f32(x).value;
}

static float silu_slope(float x)
{
    return silu_f32(x).slope;
}

static float gelu_value(float x)
{
    return gelu_f32(x).value;
}

static float gelu_slope(float x)
{
    return gelu_f32(x).slope;
}

static float gelu_tanh_value(float x)
{
    return gelu_tanh_f32(x).value;
}

static float gelu_tanh_slope(float x)
{
    return gelu_tanh_f32(x).slope;
}

static float call_exp(float x)
{
    return exp_f32(x);
}

static float call_sigmoid(float x)
{
    return sigmoid_f32(x);
}

static float call_tanh(float x)
{
    return tanh_f32(x);
}

static double sigmoid_64(double x)
{
    return 1 / (1 + exp(-x));
}

static double silu_64(double x)
{
    return x * sigmoid_64(x);
}

static double silu_slope_64(double x)
{
    return sigmoid_64(x) * (1 + x * sigmoid_64(-x));
}

static double gelu_64(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}

static double gelu_slope_64(double x)
{
    return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
}

static double tanh_argument(double x)
{
    return sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
}

static double gelu_tanh_64(double x)
{
    return x * sigmoid_64(2 * tanh_argument(x));
}

static double gelu_tanh_slope_64(double x)
{
    double s = sigmoid_64(2 * tanh_argument(x)), other = sigmoid_64(-2 * tanh_argument(x));
    return s + 2 * x * s * other * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

/* relative: of the exact value. absolute: what a slope may be off near the point where it is 0, where nothing relative can be asked. The exponent of gelu_tanh
 * is itself rounded, which its far left tail shows: relative to 1 + its size. */
static const struct function {
    const char *name;
    float (*f)(float x);
    double (*exact)(double x);
    double from, to, relative, absolute;
    float at_minus_infinity, at_infinity;
    bool argument_rounds;
} functions[] = {
    { "exp", call_exp, exp, -87.3, 88.7, 3e-7, 0, 0, INFINITY, false },
    { "sigmoid", call_sigmoid, sigmoid_64, -87.3, 200, 3e-7, 0, 0, 1, false },
    { "tanh", call_tanh, tanh, -30, 30, 3e-7, 0, -1, 1, false },
    { "silu", silu_value, silu_64, -80, 200, 3e-7, 0, 0, INFINITY, false },
    { "silu'", silu_slope, silu_slope_64, -80, 200, 3e-7, 2e-7, 0, 1, false },
    { "gelu", gelu_value, gelu_64, -12.8, 100, 6e-7, 0, 0, INFINITY, false },
    { "gelu'", gelu_slope, gelu_slope_64, -12.8, 100, 6e-7, 2e-7, 0, 1, false },
    { "gelu_tanh", gelu_tanh_value, gelu_tanh_64, -9, 100, 3e-7, 0, 0, INFINITY, true },
    { "gelu_tanh'", gelu_tanh_slope, gelu_tanh_slope_64, -9, 100, 3e-7, 2e-7, 0, 1, true },
};

static void check_at(const struct function *f, float x)
{
    double exact = f->exact((double)x), bound = f->relative * fabs(exact);
    if (f->argument_rounds)
        bound *= 1 + 2 * fabs(tanh_argument((double)x < 4 ? (double)x : 4));
    if (bound < f->absolute)
        bound = f->absolute;
    if (fabs(exact) < 0x1p-126)
        bound += 0x1p-148;
    double error = fabs((double)f->f(x) - exact);
    if (!(error <= bound))
        fail_msg("%s(%.9g) = %.9g, exactly %.12g: off by %.3g, %.3g is allowed", f->name, (double)x, (double)f->f(x), exact, error, bound);
}

static void functions_are_right_over_their_range(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(functions); k++) {
        const struct function *f = &functions[k];
        for (int i = 0; i <= POINTS / (int)COUNT(functions); i++)
            check_at(f, (float)(f->from + (f->to - f->from) * i * COUNT(functions) / POINTS));
        /* small values of both signs, where results are small too */
        for (float x = 8; x > 1e-30f; x *= 0.99f) {
            check_at(f, x);
            check_at(f, -x);
        }
    }
}

static void functions_keep_limits_and_nan(void **state)
{
    (void)state;
    static const float large[] = { 200, 1e4f, 1e20f, 3e38f, INFINITY };
    for (size_t k = 0; k < COUNT(functions); k++) {
        const struct function *f = &functions[k];
        assert_true(isnan(f->f(NAN)));
        assert_true(isnan(f->f(-NAN)));
        for (size_t i = 0; i < COUNT(large); i++) {
            assert_true(f->f(-large[i]) == f->at_minus_infinity);
            bool grows = isinf(f->at_infinity) && f->f != call_exp;
            assert_true(f->f(large[i]) == (grows ? large[i] : f->at_infinity));
        }
    }
    assert_true(exp_f32(0) == 1);
    assert_true(tanh_f32(0) == 0 && signbit(tanh_f32(-0.0f)));
    assert_true(exp_f32(89) == INFINITY && exp_f32(-104) == 0 && exp_f32(-100) > 0);
}

static float call_exp_flushed(float x)
{
    return exp_flushed_f32(x);
}

static void flushed_exponential_is_right_where_normal_and_0_below(void **state)
{
    (void)state;
    static const struct function f = { "exp flushed", call_exp_flushed, exp, 0, 0, 3e-7, 0, 0, 0, false };
    for (int i = 0; i <= POINTS / 8; i++)
        check_at(&f, (float)(-87.3 + (88 + 87.3) * i * 8 / POINTS));
    assert_true(exp_flushed_f32(0) == 1);
    assert_true(exp_flushed_f32(-88) == 0 && exp_flushed_f32(-1e20f) == 0 && exp_flushed_f32(-INFINITY) == 0);
    assert_true(isnan(exp_flushed_f32(NAN)));
}

/* ----- storage dtypes */

static float half_value(uint32_t half)
{
    int exponent = (int)(half >> 10 & 31u), mantissa = (int)(half & 1023u);
    double value = exponent == 0 ? ldexp(mantissa, -24) : exponent == 31 ? (mantissa ? NAN : INFINITY) : ldexp(1024 + mantissa, exponent - 25);
    return (float)(half & 0x8000u ? -value : value);
}

static void every_f16_and_bf16_comes_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t stored = (uint16_t)i, again;
        float wide;
        widen(&wide, &stored, F16, 1);
        assert_true(isnan(wide) ? isnan(half_value(i)) : bits_of(wide) == bits_of(half_value(i)));
        narrow(&again, &wide, F16, 1);
        assert_true(isnan(wide) ? (again & 0x7FFFu) > 0x7C00u : again == stored);
        widen(&wide, &stored, BF16, 1);
        assert_int_equal(bits_of(wide), i << 16);
        narrow(&again, &wide, BF16, 1);
        assert_true(isnan(wide) ? (again & 0x7FFFu) > 0x7F80u : again == stored);
    }
}

/* Between each two neighbours lie values below, at and above the middle; the middle goes to the even one. */
static void narrowing_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = { F16, BF16 };
    static const uint32_t infinity[] = { 0x7C00, 0x7F80 };
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < infinity[k]; i++) {
            uint16_t low = (uint16_t)i, high = (uint16_t)(i + 1);
            float a, b;
            widen(&a, &low, dtypes[k], 1);
            widen(&b, &high, dtypes[k], 1);
            /* beyond the largest finite value the next step counts as infinity */
            double top = !isinf(b) ? (double)b : dtypes[k] == F16 ? 0x1p16 : 0x1p128;
            double middle = ((double)a + top) / 2;
            const float values[] = { nextafterf((float)middle, 0), (float)middle, nextafterf((float)middle, INFINITY) };
            const uint16_t expected[] = { low, i % 2 ? high : low, high };
            for (int j = 0; j < 3; j++) {
                uint16_t got, negative;
                float minus = -values[j];
                narrow(&got, &values[j], dtypes[k], 1);
                narrow(&negative, &minus, dtypes[k], 1);
                assert_int_equal(got, expected[j]);
                assert_int_equal(negative, expected[j] | 0x8000u);
            }
        }
}

static void conversions_of_any_length_touch_nothing_else(void **state)
{
    (void)state;
    enum { MOST = 100 };
    float from[MOST], back[MOST + 1];
    uint16_t to[MOST + 1];
    for (int i = 0; i < MOST; i++)
        from[i] = (float)(i - 50) / 8;
    for (int length = 0; length <= MOST; length++)
        for (enum dtype dtype = BF16; dtype <= F16; dtype++) {
            to[length] = 0xABCD;
            back[length] = 77;
            narrow(to, from, dtype, length);
            widen(back, to, dtype, length);
            assert_int_equal(to[length], 0xABCD);
            assert_true(back[length] == 77);
            assert_memory_equal(back, from, (size_t)length * sizeof *from);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_right_over_their_range),
        cmocka_unit_test(functions_keep_limits_and_nan),
        cmocka_unit_test(flushed_exponential_is_right_where_normal_and_0_below),
        cmocka_unit_test(every_f16_and_bf16_comes_back),
        cmocka_unit_test(narrowing_rounds_to_nearest_even),
        cmocka_unit_test(conversions_of_any_length_touch_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
