/* The device: memory that is zeroed and aligned, names and numbers that are refused, copies that follow the live rows. */
#include "autograd/device.h"
#include "autograd/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <omp.h>

static void devices_open_by_name_with_threads(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int threads;
    } cases[] = { { "cpu", 1 }, { "cpu", 3 }, { "auto", 0 } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct device device;
        struct error err = { 0 };
        assert_int_equal(device_open(&device, cases[i].spec, cases[i].threads, &err), OK);
        assert_true(cases[i].threads ? device.threads == cases[i].threads : device.threads >= 1);
        assert_int_equal(omp_get_max_threads(), device.threads);
        assert_int_equal(device.kind, CPU);
        assert_string_equal(device.row->name, "cpu");
        assert_true(strlen(device.name) > 0 && !strchr(device.name, '\n'));
        assert_ptr_equal(device.err, &err);
        assert_int_equal(device.row->synchronize(&device), OK);
        device_close(&device);
        device_close(&device); /* closing twice is harmless */
    }
}

static void unknown_devices_and_negative_threads_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int threads;
        const char *what;
    } cases[] = { { "gpu", 1, "unknown device 'gpu'" }, { "", 1, "unknown device ''" }, { "cpu", -1, "-1 threads" } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct device device;
        struct error err = { 0 };
        assert_int_equal(device_open(&device, cases[i].spec, cases[i].threads, &err), BAD_OPTION);
        assert_string_equal(err.what, cases[i].what);
        assert_true(strlen(err.cure) > 0);
        device_close(&device);
    }
}

static void memory_is_zeroed_aligned_and_all_there(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 63, 64, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 12345 };
    struct device device;
    struct error err = { 0 };
    assert_int_equal(device_open(&device, "cpu", 1, &err), OK);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            void *data;
            assert_int_equal(device_allocate(&device, "test", sizes[i], &data, &err), OK);
            assert_true((uintptr_t)data % 64 == 0);
            const unsigned char *bytes = data;
            for (size_t k = 0; k < sizes[i]; k++)
                assert_true(bytes[k] == 0);
            device.row->fill(&device, data, 0xAB, sizes[i]); /* the next round must not see this again */
            device_release(&device, data, sizes[i]);
        }
    device_release(&device, NULL, 12);
    device_close(&device);
}

static void memory_that_cannot_be_had_is_named(void **state)
{
    (void)state;
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 60 };
    struct device device;
    struct error err = { 0 };
    assert_int_equal(device_open(&device, "cpu", 1, &err), OK);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        void *data = &device;
        err = (struct error){ 0 };
        assert_int_equal(device_allocate(&device, "the attic", sizes[i], &data, &err), NO_MEMORY);
        assert_null(data);
        assert_non_null(strstr(err.what, "the attic"));
    }
    device_close(&device);
}

static void copies_follow_the_live_rows(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    struct device device;
    struct error err = { 0 };
    int32_t values[5][2] = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 }, { 9, 10 } }, back[5][2] = { 0 };
    void *data;
    assert_int_equal(device_open(&device, "cpu", 1, &err), OK);
    assert_int_equal(device_allocate(&device, "test", sizeof values, &data, &err), OK);
    struct tensor *t = tensor_new(arena, "t", I32, INPUT, 5, 2, data);
    t->rows = 3;
    assert_int_equal(tensor_bytes(t), 24);
    assert_int_equal(tensor_capacity_bytes(t), 40);
    tensor_upload(&device, t, values);
    t->rows = 5;
    tensor_download(&device, t, back);
    assert_memory_equal(back, values, 24);
    assert_true(back[3][0] == 0 && back[4][1] == 0);
    t->rows = 0;
    tensor_upload(&device, t, NULL);
    device_release(&device, data, sizeof values);
    device_close(&device);
    arena_destroy(arena);
}

static void dtypes_have_names_and_sizes(void **state)
{
    (void)state;
    static const struct {
        enum dtype dtype;
        const char *name;
        size_t bytes;
    } cases[] = { { F32, "float32", 4 }, { BF16, "bfloat16", 2 }, { F16, "float16", 2 }, { I32, "int32", 4 } };
    assert_int_equal(COUNT(cases), DTYPES);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_string_equal(dtype_name(cases[i].dtype), cases[i].name);
        assert_int_equal(dtype_bytes(cases[i].dtype), cases[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_open_by_name_with_threads),
        cmocka_unit_test(unknown_devices_and_negative_threads_are_refused),
        cmocka_unit_test(memory_is_zeroed_aligned_and_all_there),
        cmocka_unit_test(memory_that_cannot_be_had_is_named),
        cmocka_unit_test(copies_follow_the_live_rows),
        cmocka_unit_test(dtypes_have_names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
