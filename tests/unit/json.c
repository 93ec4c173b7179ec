/* JSON: where errors are, what members may be, and records one by one. */
#include "common/json.h"
#include "tests/unit/scratch.h"

#include <math.h>

static void errors_name_file_line_and_column(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *text;
        size_t length; /* 0: strlen */
        const char *what, *cure;
    } cases[] = {
        { "{\"a\": 1,\n \"b\": }", 0, "f.json:2:7: unexpected token near '}'", "JSON" },
        { "{\"a\": 1, \"a\": 2}", 0, "f.json:1:12: duplicate object key near '\"a\"'", "keep one" },
        { "{\"a\": [1, 2", 0, "f.json:1:", "ends too early" },
        { "", 0, "f.json:1:1:", "ends too early" },
        { "[1, 2,]", 0, "f.json:1:7: unexpected token near ']'", "no comma" },
        { "[1] 2", 0, "f.json:1:5: end of file expected near '2'", "JSON" },
        { "[1e999]", 0, "real number overflow", "double" },
        { "[NaN]", 0, "invalid token near 'NaN'", "JSON" },
        { "[\"\\u0000\"]", 0, "\\u0000 is not allowed", "remove" },
        { "[1,\n\"a\0b\"]", 10, "f.json:2:3: a NUL byte", "UTF-8" },
        { "[\"\xFF\"]", 0, "f.json:1:2: unable to decode byte 0xff", "UTF-8" },
        { "{'a': 1}", 0, "f.json:1:2: string or '}' expected", "double quotes" },
        { "// x\n1", 0, "f.json:1:1: invalid token near '/'", "no comments" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *value;
        size_t length = cases[i].length ? cases[i].length : strlen(cases[i].text);
        enum status status = json_parse(cases[i].text, length, "f.json", &value, &s->err);
        assert_null(value);
        assert_holds(s->err.cure, cases[i].cure);
        assert_failed(s, status, BAD_FILE, cases[i].what);
    }
    json_t *value;
    assert_failed(s, json_parse_at("[1,\n 2 x]", 9, "f", 10, 5, &value, &s->err), BAD_FILE, "f:11:4:");
    assert_failed(s, json_parse_at("[x]", 3, "f", 10, 5, &value, &s->err), BAD_FILE, "f:10:6:");
}

static void integers_beyond_64_bits_become_reals(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *text;
        double value; /* 0: stays an integer or a string */
    } cases[] = {
        { "9223372036854775807", 0 },
        { "-9223372036854775808", 0 },
        { "9223372036854775808", 9223372036854775808.0 },
        { "-9223372036854775809", -9223372036854775809.0 },
        { "1000000000000000019884624838656", 1e30 },
        { "-1000000000000000019884624838656", -1e30 },
        { "12345678901234567890123.5", 12345678901234567890123.5 },
        { "12345678901234567890123e-5", 12345678901234567890123e-5 },
        { "1.12345678901234567890123", 1.12345678901234567890123 },
        { "\"92233720368547758080 \\\" 92233720368547758080\"", 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *value;
        /* The first element makes each case take the way of large integers. */
        const char *text = arena_print(s->arena, "[99999999999999999999, {\"a\": %s}]", cases[i].text);
        assert_fine(s, json_parse(text, strlen(text), "f", &value, &s->err));
        const json_t *a = json_object_get(json_array_get(value, 1), "a");
        assert_true(json_real_value(json_array_get(value, 0)) == 1e20);
        assert_int_equal(json_is_real(a), cases[i].value != 0);
        assert_true(json_real_value(a) == cases[i].value);
        if (json_is_string(a))
            assert_string_equal(json_string_value(a), "92233720368547758080 \" 92233720368547758080");
        json_decref(value);
    }
    json_t *value;
    int64_t number;
    const char *text = "{\"a\": 99999999999999999999}", *bad = "[99999999999999999999, x]";
    assert_fine(s, json_parse(text, strlen(text), "f", &value, &s->err));
    assert_failed(s, json_get_int(value, "f", "a", INT64_MIN, INT64_MAX, &number, &s->err), BAD_FILE, "'a' is 1e+20");
    json_decref(value);
    assert_failed(s, json_parse(bad, strlen(bad), "f", &value, &s->err), BAD_FILE, "f:1:24: invalid token near 'x'");
}

static void depth_is_bounded(void **state)
{
    struct scratch *s = *state;
    enum { DEEP = 1000000 };
    char *text = arena_alloc(s->arena, DEEP);
    memset(text, '[', DEEP);
    json_t *value;
    assert_failed(s, json_parse(text, DEEP, "f", &value, &s->err), BAD_FILE, "maximum parsing depth");
    struct json_lines *lines;
    int64_t line;
    assert_fine(s, json_lines_open(&lines, s->arena, scratch_write(s, "deep", text, DEEP), &s->err));
    assert_failed(s, json_lines_next(lines, &value, &line, &s->err), BAD_FILE, "nested more than 512 deep");
    json_lines_close(lines);
}

static void whole_files_are_read(void **state)
{
    struct scratch *s = *state;
    json_t *value;
    assert_fine(s, json_read(scratch_write(s, "bom", "\xEF\xBB\xBF{\"a\":1}\r\n", 12), &value, &s->err));
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 1);
    json_decref(value);
    assert_failed(s, json_read(scratch_write(s, "empty", "", 0), &value, &s->err), BAD_FILE, "empty: the file is empty");
    assert_failed(s, json_read(scratch_path(s, "none"), &value, &s->err), BAD_FILE, "none: No such file");
    assert_failed(s, json_read(scratch_write(s, "bad", "{\n\n1}", 5), &value, &s->err), BAD_FILE, "bad:3:1:");
}

static const char members[] = "{\"int\": 7, \"real\": 0.5, \"yes\": true, \"text\": \"abc\", \"nothing\": null, \"list\": [1, 2, 300],"
                              "\"mixed\": [1, \"x\"], \"object\": {}, \"long\": \"0123456789012345678901234567890123456789012345678901234567890123456789\"}";

static void members_are_checked(void **state)
{
    struct scratch *s = *state;
    json_t *root;
    int64_t number = -1, count;
    double real = -1;
    bool truth = false;
    const char *text = "kept";
    int32_t *ids;
    assert_fine(s, json_parse(members, strlen(members), "f", &root, &s->err));
    assert_fine(s, json_get_int(root, "f", "int", 0, 7, &number, &s->err));
    assert_int_equal(number, 7);
    assert_fine(s, json_get_real(root, "f", "real", &real, &s->err));
    assert_true(real == 0.5);
    assert_fine(s, json_get_real(root, "f", "int", &real, &s->err));
    assert_true(real == 7);
    assert_fine(s, json_get_bool(root, "f", "yes", &truth, &s->err));
    assert_true(truth);
    assert_fine(s, json_get_text(root, "f", "text", &text, &s->err));
    assert_string_equal(text, "abc");
    assert_fine(s, json_get_ids(s->arena, root, "f", "list", 1, 300, &ids, &count, &s->err));
    assert_int_equal(count, 3);
    assert_int_equal(ids[2], 300);

    assert_failed(s, json_get_int(root, "f", "int", 0, 6, &number, &s->err), BAD_FILE, "f: 'int' is 7");
    assert_failed(s, json_get_int(root, "f", "real", INT64_MIN, INT64_MAX, &number, &s->err), BAD_FILE, "'real' is 0.5");
    assert_failed(s, json_get_int(root, "f", "yes", 0, INT64_MAX, &number, &s->err), BAD_FILE, "'yes' is true");
    assert_failed(s, json_get_real(root, "f", "text", &real, &s->err), BAD_FILE, "'text' is \"abc\"");
    assert_failed(s, json_get_bool(root, "f", "int", &truth, &s->err), BAD_FILE, "'int' is 7");
    assert_failed(s, json_get_text(root, "f", "object", &text, &s->err), BAD_FILE, "'object' is an object");
    assert_failed(s, json_get_bool(root, "f", "long", &truth, &s->err), BAD_FILE, "56789...");
    assert_failed(s, json_get_ids(s->arena, root, "f", "list", 0, 299, &ids, &count, &s->err), BAD_FILE, "'list[2]' is 300");
    assert_failed(s, json_get_ids(s->arena, root, "f", "mixed", 0, 9, &ids, &count, &s->err), BAD_FILE, "'mixed[1]' is \"x\"");
    assert_failed(s, json_get_ids(s->arena, root, "f", "object", 0, 9, &ids, &count, &s->err), BAD_FILE, "'object' is an object");
    assert_failed(s, json_get_int(json_object_get(root, "list"), "f", "a", 0, 9, &number, &s->err), BAD_FILE, "f: is an array");
    json_decref(root);
}

static void missing_members_leave_the_default(void **state)
{
    struct scratch *s = *state;
    json_t *root;
    int64_t number = -1, count = 9;
    const char *text = "kept";
    int32_t *ids = (int32_t[]){ 1 };
    assert_fine(s, json_parse(members, strlen(members), "f", &root, &s->err));
    static const char *const absent[] = { "none", "nothing" };
    for (size_t i = 0; i < COUNT(absent); i++) {
        assert_fine(s, json_get_int(root, "f", absent[i], 0, 6, &number, &s->err));
        assert_fine(s, json_get_text(root, "f", absent[i], &text, &s->err));
        assert_fine(s, json_get_ids(s->arena, root, "f", absent[i], 0, 6, &ids, &count, &s->err));
        assert_int_equal(number, -1);
        assert_string_equal(text, "kept");
        assert_null(ids);
        assert_int_equal(count, 0);
    }
    assert_fine(s, json_get_int(NULL, "f", "a", 0, 6, &number, &s->err));
    assert_fine(s, json_get_int(json_object_get(root, "nothing"), "f", "a", 0, 6, &number, &s->err));
    json_decref(root);
}

static void written_strings_read_back(void **state)
{
    struct scratch *s = *state;
    struct text text = text_new(s->arena), all = text_new(s->arena);
    for (uint32_t code = 1; code <= 0x10FFFF; code += code < 0x300 ? 1 : 37)
        if (code < 0xD800 || code >= 0xE000)
            text_add_code(&all, code);
    text_add_json(&text, all.bytes, all.length);
    json_t *value;
    assert_fine(s, json_parse(text.bytes, text.length, "f", &value, &s->err));
    assert_string_equal(json_string_value(value), all.bytes);
    json_decref(value);

    text_clear(&text);
    text_add_json(&text, "a\"\\\b\t\n\f\r\x01\x1F/\xC3\xA4\xFF\xE2\x82z\0y", 19);
    assert_string_equal(text.bytes, "\"a\\\"\\\\\\b\\t\\n\\f\\r\\u0001\\u001f/\xC3\xA4\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\\u0000y\"");
}

static void written_numbers_are_json(void **state)
{
    struct scratch *s = *state;
    static const struct {
        double value;
        const char *text;
    } cases[] = { { 0.1, "0.1" }, { 1.0 / 3, "0.333333333" }, { 1e300, "1e+300" }, { -5, "-5" }, { NAN, "null" }, { INFINITY, "null" } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct text text = text_new(s->arena);
        text_add_number(&text, cases[i].value);
        assert_string_equal(text.bytes, cases[i].text);
    }
}

/* Reads all records; each must hold the number of its line. */
static int count_records(struct scratch *s, const char *text, size_t length)
{
    struct json_lines *lines;
    json_t *value;
    int64_t line;
    int count = 0;
    assert_fine(s, json_lines_open(&lines, s->arena, scratch_write(s, "records", text, length), &s->err));
    for (;;) {
        assert_fine(s, json_lines_next(lines, &value, &line, &s->err));
        if (!value)
            break;
        const json_t *number = json_is_array(value) ? json_array_get(value, 0) : json_is_object(value) ? json_object_get(value, "n") : value;
        assert_int_equal(json_integer_value(number), line);
        json_decref(value);
        count++;
    }
    assert_fine(s, json_lines_next(lines, &value, &line, &s->err)); /* the end stays the end */
    assert_null(value);
    json_lines_close(lines);
    return count;
}

static void records_come_with_their_lines(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *text;
        int records;
    } cases[] = {
        { "", 0 },
        { " \n\t\r\n", 0 },
        { "\xEF\xBB\xBF", 0 },
        { "\xEF\xBB\xBF 1\n2\n", 2 },
        { "1\r\n\r\n  3  \r\n4", 3 },
        { "1\n2\n\n\n5\n\n", 3 },
        { "[]", 0 },
        { " [ ] \n", 0 },
        { "[1]", 1 },
        { "\xEF\xBB\xBF[1,\n2, 2,\n\n4\n]\n", 4 },
        { "[[1, \"a],[\\\"\", {\"b\": [2]}],\n[2, \"\\\\\"],\r\n  [3,\n4], 4]", 4 },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(count_records(s, cases[i].text, strlen(cases[i].text)), cases[i].records);
}

static void broken_records_name_line_and_column(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *text;
        size_t length;
        const char *what, *cure;
    } cases[] = {
        { "1\n{\"a\": }\n", 0, "records:2:7: unexpected token near '}'", "JSON" },
        { "1\n\n1 2\n", 0, "records:3:3: end of file expected", "JSON" },
        { "{\n \"a\": 1\n}\n", 0, "records:1:", "one whole JSON value (JSONL)" },
        { "{\"a\": 1, \"a\": 1}\n2", 0, "records:1:12: duplicate", "keep one" },
        { "1\n2\0\n", 5, "records:2:2: a NUL byte", "UTF-8" },
        { "[1,\n 2, {\"a\":\n x}]", 0, "records:3:2: invalid token near 'x'", "JSON" },
        { "[1,\n 2 {\"a\": 1}]", 0, "records:2:4: end of file expected", "JSON" },
        { "[1,,2]", 0, "records:1:4: an element belongs here", "single commas" },
        { "[,1]", 0, "records:1:2: an element belongs here", "single commas" },
        { "[1,\n]", 0, "records:2:1: an element belongs here", "single commas" },
        { "[1, 2", 0, "records:1:6: the file ends inside", "']'" },
        { "[1,", 0, "records:1:4: the file ends inside", "']'" },
        { "[", 0, "records:1:2: the file ends inside", "']'" },
        { "[\"abc", 0, "records:1:", "ends too early" },
        { "[1]\n x", 0, "records:2:2: something stands behind", "']'" },
        { "[{]}, 1]", 0, "records:1:3:", "JSON" },
        { "[\"\\", 0, "records:1:3: invalid escape", "JSON" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_lines *lines;
        json_t *value = NULL;
        int64_t line;
        size_t length = cases[i].length ? cases[i].length : strlen(cases[i].text);
        assert_fine(s, json_lines_open(&lines, s->arena, scratch_write(s, "records", cases[i].text, length), &s->err));
        enum status status;
        do {
            json_decref(value);
            status = json_lines_next(lines, &value, &line, &s->err);
        } while (value);
        assert_holds(s->err.cure, cases[i].cure);
        assert_failed(s, status, BAD_FILE, cases[i].what);
        json_lines_close(lines);
    }
    json_lines_close(NULL);
}

static void large_files_cost_no_memory(void **state)
{
    struct scratch *s = *state;
    enum { RECORDS = 100000 };
    for (int array = 0; array < 2; array++) {
        struct text text = text_new(s->arena);
        for (int i = 1; i <= RECORDS; i++)
            text_print(&text, "%s{\"n\": %d, \"text\": \"some \\\"words\\\" of a record\"}", i == 1 ? (array ? "[" : "") : array ? ",\n" : "\n", i);
        text_add_string(&text, array ? "]" : "\n");
        size_t before = arena_used(s->arena);
        assert_int_equal(count_records(s, text.bytes, text.length), RECORDS);
        assert_true(arena_used(s->arena) - before < 8192);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(errors_name_file_line_and_column),
        SCRATCH_TEST(integers_beyond_64_bits_become_reals),
        SCRATCH_TEST(depth_is_bounded),
        SCRATCH_TEST(whole_files_are_read),
        SCRATCH_TEST(members_are_checked),
        SCRATCH_TEST(missing_members_leave_the_default),
        SCRATCH_TEST(written_strings_read_back),
        SCRATCH_TEST(written_numbers_are_json),
        SCRATCH_TEST(records_come_with_their_lines),
        SCRATCH_TEST(broken_records_name_line_and_column),
        SCRATCH_TEST(large_files_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
