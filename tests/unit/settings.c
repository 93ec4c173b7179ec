/* Settings: values, mistakes with their cures, and that what is printed reads back. */
#include "common/random.h"
#include "common/settings.h"
#include "tests/unit/scratch.h"

#include <math.h>

struct section {
    bool flag;
    int64_t count, optional;
    double rate, any;
    const char *title, *path;
    int kind;
    int items;
};

static const char *const kinds[] = { "constant", "linear", "cosine", "no", NULL };

static enum status parse_items(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    (void)arena, (void)folder;
    if (value && value->kind != YAML_LIST)
        return fail_with(err, BAD_CONFIG, "%s: %s is no list", "write [a, b]", value->where, row->name);
    *(int *)field = value ? value->count : 3;
    return OK;
}

static void print_items(struct text *out, const struct setting *row, const void *field)
{
    (void)row;
    text_add_string(out, "[");
    for (int i = 0; i < *(const int *)field; i++)
        text_print(out, "%sx", i ? ", " : "");
    text_add_string(out, "]");
}

#define AT(field) offsetof(struct section, field)

static const struct setting rows[] = {
    { .name = "flag", .type = SETTING_BOOL, .offset = AT(flag), .fallback = "true", .help = "a flag" },
    { .name = "count", .type = SETTING_INT, .offset = AT(count), .fallback = "8", .min = 1, .max = 4096, .help = "how many" },
    { .name = "optional", .type = SETTING_INT, .offset = AT(optional), .min = 1, .max = INFINITY, .help = "absent: none" },
    { .name = "learning_rate", .type = SETTING_REAL, .offset = AT(rate), .fallback = "2e-4", .min = 0, .max = 10, .help = "how fast" },
    { .name = "any", .type = SETTING_REAL, .offset = AT(any), .help = "any number" },
    { .name = "title", .type = SETTING_TEXT, .offset = AT(title), .help = "words" },
    { .name = "path", .type = SETTING_PATH, .offset = AT(path), .fallback = "!", .help = "where" },
    { .name = "kind", .type = SETTING_CHOICE, .offset = AT(kind), .fallback = "cosine", .choices = kinds, .help = "which" },
    { .name = "items", .type = SETTING_OWN, .offset = AT(items), .fallback = "three", .parse = parse_items, .print = print_items, .help = "things" },
};

static enum status fill(struct scratch *s, const char *text, struct section *section)
{
    struct yaml *root;
    *section = (struct section){ 0 };
    TRY(yaml_parse(s->arena, "f.yaml", text, strlen(text), &root, &s->err));
    return settings_read(s->arena, rows, COUNT(rows), root, "training", "conf", section, &s->err);
}

static void defaults_fill_what_is_absent(void **state)
{
    struct scratch *s = *state;
    struct section section;
    assert_fine(s, fill(s, "path: x\n", &section));
    assert_true(section.flag);
    assert_int_equal(section.count, 8);
    assert_int_equal(section.optional, 0);
    assert_true(section.rate == 2e-4);
    assert_null(section.title);
    assert_string_equal(section.path, "conf/x");
    assert_int_equal(section.kind, 2);
    assert_int_equal(section.items, 3);
    assert_fine(s, fill(s, "path: x\ntitle: ~\nany:\nitems: null\n", &section));
    assert_null(section.title);
    assert_int_equal(section.items, 3);
}

static void values_are_read_by_their_type(void **state)
{
    struct scratch *s = *state;
    struct section section;
    assert_fine(
        s, fill(s, "{flag: false, count: 4096, optional: 9007199254740993, learning_rate: 1e-4, any: -1.0e-4, title: 007, path: /abs, kind: no, items: [a]}",
                &section));
    assert_false(section.flag);
    assert_int_equal(section.count, 4096);
    assert_true(section.optional == 9007199254740993);
    assert_true(section.rate == 1e-4);
    assert_true(section.any == -1e-4);
    assert_string_equal(section.title, "007");
    assert_string_equal(section.path, "/abs");
    assert_int_equal(section.kind, 3);
    assert_int_equal(section.items, 1);
    assert_fine(s, fill(s, "{path: x, learning_rate: 3, kind: 'linear', title: \"null\"}", &section));
    assert_true(section.rate == 3);
    assert_string_equal(section.title, "null");
}

static void mistakes_get_where_what_and_cure(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *text, *what, *cure;
    } cases[] = {
        { "path: x\nlerning_rate: 1\n", "f.yaml:2:1: unknown key 'lerning_rate' in training", "did you mean 'learning_rate'?" },
        { "path: x\ncompletely: 1\n", "f.yaml:2:1: unknown key 'completely'", "valid keys here: flag, count, optional, learning_rate" },
        { "count: 1\n", "f.yaml:1:1: training.path is missing", "add 'path:' to section training: where" },
        { "path:\n", "training.path is missing", "add 'path:'" },
        { "path: ''\n", "f.yaml:1:7: training.path: '' is an empty path", "give a path" },
        { "path: x\ncount:\n", "training.count has no value", "the default, 8" },
        { "path: x\nflag: yes\n", "f.yaml:2:7: training.flag: 'yes' is neither true nor false", "write true or false" },
        { "path: x\nflag: no\n", "'no' is neither true nor false", "write true or false" },
        { "path: x\nflag: on\n", "'on' is neither true nor false", "write true or false" },
        { "path: x\nflag: off\n", "'off' is neither true nor false", "write true or false" },
        { "path: x\nflag: 1\n", "'1' is neither true nor false", "write true or false" },
        { "path: x\nflag: 'true'\n", "'true' in quotes is text", "remove the quotes" },
        { "path: x\ncount: 1.5\n", "training.count: '1.5' is no whole number", "whole number" },
        { "path: x\ncount: 1e3\n", "'1e3' is no whole number", "without point or exponent" },
        { "path: x\ncount: inf\n", "'inf' is no whole number", "whole number" },
        { "path: x\ncount: 99999999999999999999\n", "'99999999999999999999' is no whole number of 64 bits", "whole" },
        { "path: x\ncount: '8'\n", "'8' in quotes is text, not a number", "remove the quotes" },
        { "path: x\ncount: 0\n", "f.yaml:2:8: training.count: '0' is out of range", "count must lie between 1 and 4096" },
        { "path: x\ncount: 4097\n", "'4097' is out of range", "count must lie between 1 and 4096" },
        { "path: x\noptional: 0\n", "'0' is out of range", "optional must be at least 1" },
        { "path: x\ncount: [1]\n", "f.yaml:2:8: training.count is a list, not a whole number", "one value" },
        { "path: x\nlearning_rate: {a: 1}\n", "training.learning_rate is a map, not a number", "one value" },
        { "path: x\nlearning_rate: fast\n", "'fast' is no finite number", "2e-4" },
        { "path: x\nlearning_rate: .inf\n", "'.inf' is no finite number", "2e-4" },
        { "path: x\nlearning_rate: .nan\n", "'.nan' is no finite number", "2e-4" },
        { "path: x\nlearning_rate: 1e999\n", "'1e999' is no finite number", "2e-4" },
        { "path: x\nlearning_rate: -0.1\n", "'-0.1' is out of range", "between 0 and 10" },
        { "path: x\nlearning_rate: \"1e-4\"\n", "'1e-4' in quotes is text", "remove the quotes" },
        { "path: x\nkind: cosin\n", "training.kind: 'cosin' is none of the choices", "did you mean 'cosine'?" },
        { "path: x\nkind: else\n", "'else' is none of the choices", "choose one of: constant, linear, cosine, no" },
        { "path: x\nitems: a\n", "f.yaml:2:8: items is no list", "write [a, b]" },
        { "- path\n", "f.yaml:1:1: training is a list, not a map", "key: value" },
        { "path\n", "f.yaml:1:1: training is a single value, not a map", "key: value" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct section section;
        enum status status = fill(s, cases[i].text, &section);
        assert_holds(s->err.cure, cases[i].cure);
        assert_failed(s, status, BAD_CONFIG, cases[i].what);
    }
}

static void absent_sections_have_required_keys_too(void **state)
{
    struct scratch *s = *state;
    struct section section = { 0 };
    assert_failed(s, settings_read(s->arena, rows, COUNT(rows), NULL, "training", "", &section, &s->err), BAD_CONFIG, "training.path is missing");
    assert_failed(s, settings_read(s->arena, rows, COUNT(rows), NULL, "", "", &section, &s->err), BAD_CONFIG, "path is missing");
    assert_fine(s, settings_read(s->arena, rows, 4, NULL, "training", "", &section, &s->err));
    assert_int_equal(section.count, 8);
}

static void tables_may_share_a_map(void **state)
{
    struct scratch *s = *state;
    static const char *const known[] = { "r", "lora_alpha", NULL };
    static const char text[] = "{r: 8, lora_alpha: 1, count: 3}", wrong[] = "{lora_alhpa: 1}";
    struct section section = { 0 };
    struct yaml *root;
    assert_fine(s, yaml_parse(s->arena, "f", text, strlen(text), &root, &s->err));
    assert_fine(s, settings_read_shared(s->arena, rows, 4, known, root, "adapter", "", &section, &s->err));
    assert_int_equal(section.count, 3);
    assert_true(settings_given(root, "count") && !settings_given(root, "flag") && !settings_given(NULL, "flag"));
    assert_fine(s, yaml_parse(s->arena, "f", wrong, strlen(wrong), &root, &s->err));
    assert_int_equal(settings_read_shared(s->arena, rows, 4, known, root, "adapter", "", &section, &s->err), BAD_CONFIG);
    assert_holds(s->err.cure, "did you mean 'lora_alpha'?");
}

static void paths_start_where_they_stand(void **state)
{
    struct scratch *s = *state;
    struct section section;
    struct yaml *root;
    assert_fine(s, yaml_parse(s->arena, "f", "path: a", 7, &root, &s->err));
    assert_fine(s, settings_read(s->arena, rows, COUNT(rows), root, "t", "folder/of/file", &section, &s->err));
    assert_string_equal(section.path, "folder/of/file/a");
    assert_fine(s, yaml_override(s->arena, root, "path=b", &s->err));
    assert_fine(s, settings_read(s->arena, rows, COUNT(rows), root, "t", "folder/of/file", &section, &s->err));
    assert_string_equal(section.path, "b");
}

static const char *const hard_texts[] = {
    "plain",
    "two words",
    " leading",
    "trailing ",
    "a: b",
    "a #b",
    "- x",
    "null",
    "~",
    "true",
    "No",
    "1",
    "1e5",
    "0x1f",
    "",
    "'",
    "\"",
    "\\",
    "{x}",
    "[x]",
    "*x",
    "&x",
    "!x",
    "%x",
    "@x",
    "`x",
    "|",
    ">",
    "?",
    "a\nb\n",
    "\t",
    "a\tb",
    "\x01\x7F",
    "\xC2\x85",
    "\xC2\xA0",
    "\xE2\x80\xA8",
    "\xE2\x80\xA9",
    "\xEF\xBB\xBF",
    "\xEF\xBF\xBE",
    "\xF0\x9F\x98\x80",
    "---",
    "...",
    "a  b",
    "{prompt}\n### \"x\": \\n",
    "\r\n",
    "a,b",
    "=",
    "<<",
    ".inf",
    "a/b-c.d_e",
    "-",
    ".5",
};

static void any_text_survives_yaml(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(hard_texts); i++) {
        struct text text = text_new(s->arena);
        struct yaml *root;
        text_add_string(&text, "k: ");
        text_add_yaml(&text, hard_texts[i]);
        text_add_string(&text, "\nl: [");
        text_add_yaml(&text, hard_texts[i]);
        text_add_string(&text, ", x]\n");
        assert_fine(s, yaml_parse(s->arena, text.bytes, text.bytes, text.length, &root, &s->err));
        assert_string_equal(yaml_find(root, "k")->text, hard_texts[i]);
        assert_string_equal(yaml_find(root, "l")->item[0]->text, hard_texts[i]);
        assert_int_equal(yaml_find(root, "l")->count, 2);
        assert_false(yaml_is_null(yaml_find(root, "k")));
    }
    struct text all = text_new(s->arena), text = text_new(s->arena);
    for (uint32_t code = 1; code <= 0x10FFFF; code += code < 0x3000 ? 1 : 61)
        if (code < 0xD800 || code >= 0xE000)
            text_add_code(&all, code);
    text_add_yaml(&text, all.bytes);
    struct yaml *list;
    text_add_string(&text, "]");
    assert_fine(s, yaml_parse(s->arena, "f", arena_print(s->arena, "[%s", text.bytes), text.length + 1, &list, &s->err));
    assert_string_equal(list->item[0]->text, all.bytes);
    text_clear(&text);
    text_add_yaml(&text, "a\xFFz");
    assert_string_equal(text.bytes, "\"a\xEF\xBF\xBDz\"");
}

static struct section random_section(uint64_t i)
{
    struct section section = {
        .flag = random_bits(1, 0, i) & 1,
        .count = 1 + (int64_t)random_below(1, 1, i, 4096),
        .optional = random_bits(1, 2, i) & 1 ? (int64_t)(random_below(1, 3, i, INT64_MAX) | 1) : 0,
        .rate = 10.0 * random_uniform(1, 4, i) * (i % 3 ? 1 : 1e-7),
        .any = random_normal(1, 5, i) * pow(10, 300.0 * random_normal(1, 6, i) / 6),
        .title = i % 7 ? hard_texts[i % COUNT(hard_texts)] : NULL,
        .path = i % 2 ? "/a b/c" : "/x",
        .kind = (int)random_below(1, 7, i, 4),
        .items = (int)random_below(1, 8, i, 5),
    };
    return section;
}

static void printed_settings_read_back_the_same(void **state)
{
    struct scratch *s = *state;
    for (uint64_t i = 0; i < 3000; i++) {
        struct arena *arena = arena_create(NULL);
        struct text text = text_new(arena);
        struct section before = random_section(i), after = { 0 };
        struct yaml *root;
        text_add_string(&text, "training:\n");
        settings_print(&text, rows, COUNT(rows), &before, 2);
        assert_fine(s, yaml_parse(arena, "printed", text.bytes, text.length, &root, &s->err));
        assert_fine(s, settings_read(arena, rows, COUNT(rows), yaml_find(root, "training"), "training", "elsewhere", &after, &s->err));
        assert_true(before.flag == after.flag && before.count == after.count && before.optional == after.optional);
        assert_true(before.rate == after.rate && before.any == after.any && before.kind == after.kind && before.items == after.items);
        assert_true(text_equal(before.title, after.title));
        assert_string_equal(before.path, after.path);
        arena_destroy(arena);
    }
}

static void printed_settings_look_as_people_write_them(void **state)
{
    struct scratch *s = *state;
    struct section section;
    struct text text = text_new(s->arena);
    assert_fine(s, fill(s, "{path: /x, learning_rate: 0.00002, any: 0.1, title: 'a: b'}", &section));
    settings_print(&text, rows, COUNT(rows), &section, 2);
    assert_string_equal(text.bytes, "  flag: true\n  count: 8\n  optional: null\n  learning_rate: 2.0e-05\n  any: 0.1\n  title: \"a: b\"\n"
                                    "  path: /x\n  kind: cosine\n  items: [x, x, x]\n");
    text_clear(&text);
    assert_int_equal(chdir(s->folder), 0);
    assert_fine(s, fill(s, "path: rel", &section));
    settings_print(&text, rows, COUNT(rows), &section, 0);
    assert_holds(text.bytes, arena_print(s->arena, "path: %s/conf/rel\n", s->folder));
}

static void help_names_every_row(void **state)
{
    struct scratch *s = *state;
    struct text text = text_new(s->arena);
    settings_help(&text, rows, COUNT(rows), "training");
    static const char *const parts[] = {
        "training.flag",
        "true|false (default true)",
        "integer 1..4096 (default 8)",
        "integer >= 1\n",
        "number 0..10 (default 2e-4)",
        "path (required)",
        "constant|linear|cosine|no (default cosine)",
        "value (default three)",
        "      how fast\n",
    };
    for (size_t i = 0; i < COUNT(parts); i++)
        assert_holds(text.bytes, parts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(defaults_fill_what_is_absent),
        SCRATCH_TEST(values_are_read_by_their_type),
        SCRATCH_TEST(mistakes_get_where_what_and_cure),
        SCRATCH_TEST(absent_sections_have_required_keys_too),
        SCRATCH_TEST(tables_may_share_a_map),
        SCRATCH_TEST(paths_start_where_they_stand),
        SCRATCH_TEST(any_text_survives_yaml),
        SCRATCH_TEST(printed_settings_read_back_the_same),
        SCRATCH_TEST(printed_settings_look_as_people_write_them),
        SCRATCH_TEST(help_names_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
