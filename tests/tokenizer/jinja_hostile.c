/* Templates that mean harm, and templates that ask for what graft does not have: each is refused by name and place, at parse time where the
 * template alone shows it; nothing hangs, crashes or grows without end.
 */
#include "common/text.h"
#include "tokenizer/jinja.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum when { PARSED, RENDERED };

struct refusal {
    const char *template, *says;
};

static const char *say(enum when *when, const char *template, size_t length)
{
    static char what[1024];
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct jinja *jinja;
    struct jinja_rendering rendering;
    *when = PARSED;
    enum status status = jinja_parse(&jinja, arena, "t", template, length, &err);
    if (status == OK) {
        *when = RENDERED;
        const struct jinja_variable ten = { .name = "x", .text = "0123456789" };
        status = jinja_render(jinja, arena, &ten, 1, 0, &rendering, &err);
    }
    snprintf(what, sizeof what, "%s", err.what);
    assert_true(status == err.code && (status == OK) == (err.cure[0] == 0));
    assert_true(status == OK || status == (*when == PARSED ? BAD_FILE : BAD_DATA));
    arena_destroy(arena);
    return what;
}

static void check(const struct refusal *row, size_t rows, enum when wanted)
{
    int wrong = 0;
    for (size_t i = 0; i < rows; i++) {
        enum when when;
        const char *what = say(&when, row[i].template, strlen(row[i].template));
        if (when != wanted || strcmp(what, row[i].says) != 0)
            wrong += fprintf(stderr, "%s\n  says    %s\n  not     %s\n", row[i].template, what, row[i].says) > 0;
    }
    assert_int_equal(wrong, 0);
}

static void what_graft_does_not_have_is_refused_by_name_before_rendering(void **state)
{
    static const struct refusal rows[] = {
        { "a\n{{ 1 }}{% block b %}{% endblock %}", "t:2:11: tag 'block' is not supported here" },
        { "{% include 'x' %}", "t:1:4: tag 'include' is not supported here" },
        { "{% if false %}{{ x | urlencode }}{% endif %}", "t:1:22: filter 'urlencode' is not supported" },
        { "{% if x is filter('upper') %}{% endif %}", "t:1:12: test 'filter' is not supported" },
        { "{{ x.zfill(3) }}", "t:1:5: method 'zfill' is not supported" },
        { "{{ cycler(1, 2) }}", "t:1:4: function 'cycler' is not supported" },
        { "{{ f(*x) }}", "t:1:6: arguments taken out of a list or mapping are not supported" },
        { "{% for a in x recursive %}{% endfor %}", "t:1:15: recursive loops are not supported" },
        { "{{ 0x10 }}", "t:1:4: graft cannot read the number that begins with '0'" },
        { "{{ 1_000 }}", "t:1:4: graft cannot read the number that begins with '1'" },
        { "{{ 99999999999999999999 }}", "t:1:4: graft cannot read the number that begins with '99999999999999999999'" },
        { "{{ é }}", "t:1:4: 'é' has no meaning in a tag" },
        { "{{ '\\N{DASH}' }}", "t:1:5: graft does not know the escape that begins here" },
        { "{{ '\\ud800' }}", "t:1:5: graft does not know the escape that begins here" },
        { "{% generation %}{% generation %}{% endgeneration %}{% endgeneration %}", "t:1:20: a generation block inside a generation block" },
        { "é {% if x %}", "t:1:13: {% endif %} is wanted here, not the end of the template" },
        { "{{ x", "t:1:1: the tag that begins here is not closed" },
        { "{{ (x }}", "t:1:7: '}' closes nothing" },
        { "{{ x y }}", "t:1:6: '}}' is wanted here, not 'y'" },
        { "{\n# x #}{# y", "t:2:7: the comment is not closed" },
        { "{% break %}", "t:1:4: no loop to leave or go on with" },
        { "{% for a in x %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}", "t:1:35: no loop to leave or go on with" },
    };
    (void)state;
    check(rows, COUNT(rows), PARSED);
}

#define STEPS  "the rendering takes more than 16777216 steps"
#define MEMORY "the rendering takes more than 128 MiB of memory"
#define OUTPUT "the rendering writes a text of more than 16 MiB"
#define DEPTH  "blocks, macros and expressions inside each other, deeper than 400"

static void work_without_end_is_refused_with_its_limit(void **state)
{
    static const struct refusal rows[] = {
        { "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "t:1:19: " DEPTH },
        { "{% macro f() %}{% call g() %}{% endcall %}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", "t:1:76: " DEPTH },
        { "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "t:1:31: " MEMORY },
        { "{% set l = x * 999999 %}{% for a in range(99999) %}\n{% if l == l %}{% endif %}{% endfor %}", "t:2:9: " STEPS },
        { "{% set l = x * 999999 %}{% for a in range(99999) %}{% if 'y' in l %}{% endif %}{% endfor %}", "t:1:62: " STEPS },
        { "{% for a in range(999999) %}{% endfor %}", "t:1:18: range() of 999999 numbers; the limit is 100000" },
        { "{{ range(-9223372036854775807, 9223372036854775807, 2) }}", "t:1:9: range() of 9223372036854775807 numbers; the limit is 100000" },
        { "{{ x * 999999999 }}", "t:1:6: " MEMORY },
        { "{{ 'ab' * 9223372036854775807 }}", "t:1:9: " MEMORY },
        { "{{ [1] * 9223372036854775807 }}", "t:1:8: " MEMORY },
        { "{% set s = namespace(v=x) %}{% for a in range(99) %}{% set s.v = s.v ~ s.v %}{% endfor %}", "t:1:70: " MEMORY },
        { "{% set s = namespace(v=[1]) %}{% for a in range(99) %}{% set s.v = s.v + s.v %}{% endfor %}", "t:1:72: " MEMORY },
        { "{% for a in range(99999) %}{{ x * 999 }}{% endfor %}", "t:1:33: " OUTPUT },
        { "{{ x | replace('', x * 99999) | replace('', x * 99999) }}", "t:1:33: " OUTPUT },
        { "{% set s = namespace(v=1) %}{% for a in range(999) %}{% set s.v = [s.v] %}{% endfor %}",
          "t:1:69: lists and mappings inside each other, deeper than 100" },
        { "{% set s = namespace(v=1) %}{% for a in range(99) %}{% set s.v = [s.v, s.v] %}{% endfor %}{{ s.v }}", "t:1:95: " STEPS },
        { "{% set s = namespace(v=1) %}{% for a in range(99) %}{% set s.v = [s.v, s.v] %}{% endfor %}{{ s.v == s.v }}", "t:1:98: " STEPS },
        { "{% set s = namespace() %}{% set s.s = s %}{{ s }}", "t:1:46: a namespace cannot be printed" },
        { "{{ 9223372036854775807 + 1 }}", "t:1:24: a whole number that 64 bits cannot hold" },
        { "{{ 3 ** 9223372036854775807 }}", "t:1:6: a whole number that 64 bits cannot hold" },
        { "{{ 1 ** 9223372036854775807 }}", "t:1:6: " STEPS },
        { "{{ -9223372036854775807 - 1 | abs }}", "" },
        { "{{ (-9223372036854775807 - 1) | abs }}", "t:1:33: a whole number that 64 bits cannot hold" },
        { "{{ [1] | tojson(indent=9223372036854775807) }}", "t:1:10: 'indent' is 9223372036854775807; the limit is 100" },
        { "{{ x | indent(9223372036854775807) }}", "t:1:8: 'width' is 9223372036854775807; the limit is 100" },
        { "{{ x[::9223372036854775807] ~ x[::-9223372036854775807] ~ x[-9223372036854775807:9223372036854775807] }}", "" },
        { "{{ strftime_now('%Y') }}", "t:1:16: 'strftime_now' is undefined, so it cannot be called" },
        { "{{ x.nope.more }}", "t:1:10: 'nope' is undefined, so 'more' of it is nothing" },
        { "{{ raise_exception('a\nb') }}", "t:1:19: the template refuses the conversation: a?b" },
        { "{{ x | map('nope') | list }}", "t:1:8: filter 'nope' is not supported" },
        { "{% set y %}{% generation %}{% endgeneration %}{% endset %}",
          "t:1:15: a generation block inside a text that is captured (set, filter, macro): what it generates has no place in the output" },
    };
    (void)state;
    check(rows, COUNT(rows), RENDERED);
}

struct nest {
    const char *begin, *before, *middle, *after, *end;
};

/* What a template says in which before and after stand so many times. */
static const char *say_nested(const struct nest *nest, int times)
{
    struct arena *arena = arena_create(NULL);
    struct text text = text_new(arena);
    enum when when;
    text_add_string(&text, nest->begin);
    for (int n = 0; n < times; n++)
        text_add_string(&text, nest->before);
    text_add_string(&text, nest->middle);
    for (int n = 0; n < times; n++)
        text_add_string(&text, nest->after);
    text_add_string(&text, nest->end);
    const char *what = say(&when, text.bytes, text.length);
    arena_destroy(arena);
    return what;
}

static void nesting_is_bounded_and_what_is_inside_the_bound_works(void **state)
{
    static const struct nest rows[] = { { "{{", "(", "1", ")", "}}" },
                                        { "{{", "[", "1", "]", "}}" },
                                        { "{{", "{1:", "1", "}", "}}" },
                                        { "{{", "-", "1", "", "}}" },
                                        { "{{", "not ", "1", "", "}}" },
                                        { "{{", "1 if 1 else ", "1", "", "}}" },
                                        { "{{", "x[", "1", "]", "}}" },
                                        { "{{", "range(", "1", ")", "}}" },
                                        { "", "{% if 1 %}", "1", "{% endif %}", "" },
                                        { "", "{% for a in x %}", "", "{% break %}{% endfor %}", "" } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *what = say_nested(&rows[i], 20);
        if (strstr(what, "deeper"))
            fail_msg("%s * 20: '%s'", rows[i].before, what);
        what = say_nested(&rows[i], 20000);
        if (!strstr(what, "deeper than 100") && !strstr(what, "more than 200 open brackets"))
            fail_msg("%s * 20000: '%s'", rows[i].before, what);
    }
}

/* They are parsed in a loop but evaluated inside each other. */
static void chains_are_bounded_and_what_is_inside_the_bound_works(void **state)
{
    static const char *const link[] = { "+'1'", "~1", "[0:]", "|trim", ".a", " and 1", " is string" };
    (void)state;
    for (size_t i = 0; i < COUNT(link); i++) {
        const struct nest chain = { "{{ x", link[i], " }}", "", "" };
        const char *what = say_nested(&chain, 300);
        if (strstr(what, "deeper"))
            fail_msg("%s * 300: '%s'", link[i], what);
        what = say_nested(&chain, 100000);
        if (!strstr(what, "deeper than 400"))
            fail_msg("%s * 100000: '%s'", link[i], what);
    }
}

static void a_template_cut_anywhere_or_with_any_byte_changed_never_crashes(void **state)
{
    static const char template[] =
        "{%- macro f(a, b='é') -%}{{ a ~ b }}{%- endmacro %}\n{% for m in [{'r': x}, {'r': 1.5}] if m.r is not none %}{% set n = m['r'] | string %}"
        "{{ f(n[1:-1]) if loop.first else n.split('.')[0] | upper }}{% raw %}{{{% endraw %}{# c #}{% else %}{% endfor %}";
    static const char byte[] = { 0, '\'', '}', '{', '%', (char)0xC3, '9' };
    enum when when;
    (void)state;
    assert_string_equal(say(&when, template, sizeof template - 1), "");
    for (size_t i = 0; i < sizeof template - 1; i++) {
        say(&when, template, i);
        for (size_t change = 0; change < COUNT(byte); change++) {
            char copy[sizeof template];
            memcpy(copy, template, sizeof template);
            copy[i] = byte[change];
            say(&when, copy, sizeof template - 1);
        }
    }
}

static void a_template_too_large_or_not_utf8_is_refused(void **state)
{
    struct arena *arena = arena_create(NULL);
    enum when when;
    (void)state;
    char *large = arena_alloc(arena, JINJA_LARGEST_TEMPLATE + 1);
    memset(large, 'a', JINJA_LARGEST_TEMPLATE + 1);
    assert_string_equal(say(&when, large, JINJA_LARGEST_TEMPLATE), "");
    assert_string_equal(say(&when, large, JINJA_LARGEST_TEMPLATE + 1), "t: a template of 1048577 bytes; the limit is 1048576");
    assert_string_equal(say(&when, "a\xFF", 2), "t: byte 1 of the template is not UTF-8");
    arena_destroy(arena);
}

static void the_moment_given_is_what_strftime_now_tells(void **state)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct jinja *jinja;
    struct jinja_rendering rendering;
    static const char template[] = "{{ strftime_now('%d %b %Y') if strftime_now is defined else 'no day' }}";
    (void)state;
    assert_int_equal(jinja_parse(&jinja, arena, "t", template, sizeof template - 1, &err), OK);
    assert_int_equal(jinja_render(jinja, arena, NULL, 0, 0, &rendering, &err), OK);
    assert_string_equal(rendering.text, "no day");
    assert_int_equal(jinja_render(jinja, arena, NULL, 0, 1700000000, &rendering, &err), OK); /* noon where no time zone is far off */
    assert_true(strcmp(rendering.text, "14 Nov 2023") == 0 || strcmp(rendering.text, "15 Nov 2023") == 0);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_graft_does_not_have_is_refused_by_name_before_rendering),
        cmocka_unit_test(work_without_end_is_refused_with_its_limit),
        cmocka_unit_test(nesting_is_bounded_and_what_is_inside_the_bound_works),
        cmocka_unit_test(chains_are_bounded_and_what_is_inside_the_bound_works),
        cmocka_unit_test(a_template_cut_anywhere_or_with_any_byte_changed_never_crashes),
        cmocka_unit_test(a_template_too_large_or_not_utf8_is_refused),
        cmocka_unit_test(the_moment_given_is_what_strftime_now_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
