/* Random numbers: the published Philox vectors, and the shapes of the distributions. */
#include "common/random.h"
#include "tests/unit/scratch.h"

#include <math.h>

enum { DRAWS = 200000 };

/* Known answers published with Random123 (philox4x32, 10 rounds). */
static void philox_gives_the_published_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 }, { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t out[4];
        philox(cases[i].counter, cases[i].key, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
    assert_int_equal(random_bits(0, 0, 0), 0x6627e8d5);
    assert_int_equal(random_bits(UINT64_MAX, UINT64_MAX, UINT64_MAX), 0x408f276d);
    assert_int_equal(random_bits(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88), 0xd16cfe09);
}

static void streams_are_named_by_fnv(void **state)
{
    (void)state;
    assert_true(random_stream("") == 0xcbf29ce484222325u);
    assert_true(random_stream("a") == 0xaf63dc4c8601ec8cu);
    assert_true(random_stream("foobar") == 0x85944171f73967e8u);
}

static void uniforms_fill_the_unit_interval(void **state)
{
    (void)state;
    double sum = 0, squares = 0;
    int bin[20] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        float u = random_uniform(7, 3, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += (double)u * u;
        bin[(int)(u * 20)]++;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 4 * sqrt(1.0 / 12 / DRAWS));
    assert_true(fabs(squares / DRAWS - 1.0 / 3) < 4 * sqrt(4.0 / 45 / DRAWS));
    double chi = 0;
    for (int i = 0; i < 20; i++)
        chi += pow(bin[i] - DRAWS / 20.0, 2) / (DRAWS / 20.0);
    assert_true(chi < 43.8); /* 19 degrees of freedom, 0.1 % */
}

static void normals_have_the_moments_and_tails_of_a_normal(void **state)
{
    (void)state;
    double sum = 0, squares = 0, cubes = 0, fourths = 0, neighbours = 0, before = 0;
    int beyond_two = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double z = random_normal(11, random_stream("test"), i);
        assert_true(isfinite(z));
        sum += z;
        squares += z * z;
        cubes += z * z * z;
        fourths += z * z * z * z;
        neighbours += z * before;
        before = z;
        beyond_two += fabs(z) > 2;
    }
    const double n = DRAWS;
    assert_true(fabs(sum / n) < 4 / sqrt(n));
    assert_true(fabs(squares / n - 1) < 4 * sqrt(2 / n));
    assert_true(fabs(cubes / n) < 4 * sqrt(15 / n));
    assert_true(fabs(fourths / n - 3) < 4 * sqrt(96 / n));
    assert_true(fabs(neighbours / n) < 4 / sqrt(n));
    assert_true(fabs(beyond_two / n - 0.0455003) < 4 * sqrt(0.0455 * 0.9545 / n));
}

static void integers_below_n_are_even(void **state)
{
    (void)state;
    enum { N = 7 };
    int bin[N] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++)
        bin[random_below(5, 9, i, N)]++;
    double chi = 0;
    for (int i = 0; i < N; i++)
        chi += pow(bin[i] - DRAWS / (double)N, 2) / (DRAWS / (double)N);
    assert_true(chi < 22.5); /* 6 degrees of freedom, 0.1 % */
    /* Just above half of 2^64 nearly every second word is redrawn: the mean shows whether redrawing is even. */
    const uint64_t large = ((uint64_t)1 << 63) + 1;
    double sum = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t value = random_below(5, 9, i, large);
        assert_true(value < large);
        sum += (double)value / (double)large;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 4 * sqrt(1.0 / 12 / DRAWS));
    assert_int_equal(random_below(5, 9, 1, 1), 0);
}

static void values_depend_on_seed_stream_and_index_alone(void **state)
{
    (void)state;
    uint32_t kept = random_bits(1, 2, 3);
    for (uint64_t i = 0; i < 100; i++)
        random_bits(i, i, i);
    assert_int_equal(random_bits(1, 2, 3), kept);
    assert_int_not_equal(random_bits(2, 2, 3), kept);
    assert_int_not_equal(random_bits(1, 3, 3), kept);
    assert_int_not_equal(random_bits(1, 2, 4), kept);
    assert_int_not_equal(random_bits(1 | (uint64_t)1 << 32, 2, 3), kept);
    assert_int_not_equal(random_bits(1, 2 | (uint64_t)1 << 32, 3), kept);
    assert_int_not_equal(random_bits(1, 2, 3 | (uint64_t)1 << 32), kept);
}

static void permutations_hold_everything_once_and_are_even(void **state)
{
    (void)state;
    enum { N = 1000 };
    int64_t order[N], other[N];
    bool seen[N] = { false };
    random_permutation(1, 2, order, N);
    for (int i = 0; i < N; i++) {
        assert_true(order[i] >= 0 && order[i] < N && !seen[order[i]]);
        seen[order[i]] = true;
    }
    random_permutation(1, 2, other, N);
    assert_memory_equal(order, other, sizeof order);
    random_permutation(1, 3, other, N);
    assert_memory_not_equal(order, other, sizeof order);
    int count[6] = { 0 };
    for (uint64_t i = 0; i < 60000; i++) {
        random_permutation(i, 0, order, 3);
        count[order[0] * 2 + (order[1] > order[2])]++;
    }
    double chi = 0;
    for (int i = 0; i < 6; i++)
        chi += pow(count[i] - 10000.0, 2) / 10000;
    assert_true(chi < 20.5); /* 5 degrees of freedom, 0.1 % */
    random_permutation(1, 2, order, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_vectors),
        cmocka_unit_test(streams_are_named_by_fnv),
        cmocka_unit_test(uniforms_fill_the_unit_interval),
        cmocka_unit_test(normals_have_the_moments_and_tails_of_a_normal),
        cmocka_unit_test(integers_below_n_are_even),
        cmocka_unit_test(values_depend_on_seed_stream_and_index_alone),
        cmocka_unit_test(permutations_hold_everything_once_and_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
