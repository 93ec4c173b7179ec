/* The curve of the progress line: what each bar stands for, at any number of values and any width, and which locales get which bars. */
#include "trainer/sparkline.h"
#include "common/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void printed(const struct sparkline *line, int width, const char *expected)
{
    char out[SPARKLINE_BYTES];
    assert_int_equal(sparkline_print(line, width, false, out), (int)strlen(expected));
    assert_string_equal(out, expected);
}

static void bars_go_from_the_lowest_to_the_highest(void **state)
{
    (void)state;
    struct sparkline line = { 0 };
    char out[SPARKLINE_BYTES];
    printed(&line, 8, "");
    sparkline_add(&line, 5);
    printed(&line, 8, "_");
    for (int i = 1; i < 8; i++)
        sparkline_add(&line, 5 + i);
    printed(&line, 8, "_.-~=+*#");
    assert_int_equal(sparkline_print(&line, 8, true, out), 8);
    assert_string_equal(out, "▁▂▃▄▅▆▇█");
}

static void the_newest_bars_are_shown_where_there_is_no_room_for_all(void **state)
{
    (void)state;
    struct sparkline line = { 0 };
    for (int i = 0; i < 10; i++)
        sparkline_add(&line, i < 6 ? 1000 : i);
    printed(&line, 4, "_-+#");
    printed(&line, SPARKLINE_BARS, "######____");
}

static void equal_values_are_flat_and_values_that_are_none_leave_no_bar(void **state)
{
    (void)state;
    struct sparkline line = { 0 };
    for (int i = 0; i < 3; i++) {
        sparkline_add(&line, 2);
        sparkline_add(&line, NAN);
        sparkline_add(&line, -INFINITY);
    }
    printed(&line, 8, "___");
    sparkline_add(&line, 1e308);
    sparkline_add(&line, -1e308);
    printed(&line, 8, "===#_");
}

static void a_run_of_any_length_fits_and_every_bar_is_the_mean_of_its_values(void **state)
{
    (void)state;
    struct sparkline line = { 0 };
    for (int64_t n = 1; n <= 5000; n++) {
        sparkline_add(&line, (double)n);
        assert_in_range(line.bars, n < SPARKLINE_BARS / 2 ? n : SPARKLINE_BARS / 2, SPARKLINE_BARS);
        int64_t before = 0;
        for (int bar = 0; bar < line.bars; bar++) {
            assert_true(line.count[bar] == line.stride || (bar == line.bars - 1 && line.count[bar] < line.stride));
            const double mean = (double)before + (double)(line.count[bar] + 1) / 2;
            assert_true(line.sum[bar] / (double)line.count[bar] == mean);
            before += line.count[bar];
        }
        assert_int_equal(before, n);
    }
}

static void blocks_are_for_locales_of_utf8_alone(void **state)
{
    (void)state;
    static const struct {
        const char *all, *type, *language;
        bool unicode;
    } cases[] = {
        { NULL, NULL, NULL, false },  { NULL, NULL, "en_US.UTF-8", true },     { NULL, NULL, "C.utf8", true }, { "C", "de_DE.UTF-8", "de_DE.UTF-8", false },
        { "", "C.UTF-8", "C", true }, { NULL, "en_US.ISO-8859-1", "", false }, { "POSIX", NULL, NULL, false }, { "de_DE.UTF-8@euro", NULL, NULL, true },
    };
    static const char *const name[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const value[] = { cases[i].all, cases[i].type, cases[i].language };
        for (int v = 0; v < 3; v++)
            assert_int_equal(value[v] ? setenv(name[v], value[v], 1) : unsetenv(name[v]), 0);
        assert_int_equal(locale_has_unicode(), cases[i].unicode);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bars_go_from_the_lowest_to_the_highest),
        cmocka_unit_test(the_newest_bars_are_shown_where_there_is_no_room_for_all),
        cmocka_unit_test(equal_values_are_flat_and_values_that_are_none_leave_no_bar),
        cmocka_unit_test(a_run_of_any_length_fits_and_every_bar_is_the_mean_of_its_values),
        cmocka_unit_test(blocks_are_for_locales_of_utf8_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
