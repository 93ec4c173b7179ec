/* YAML: the tree with its positions, what the subset refuses, and overrides. */
#include "common/text.h"
#include "common/yaml.h"
#include "tests/unit/scratch.h"

static struct yaml *parse(struct scratch *s, const char *text)
{
    struct yaml *root = NULL;
    assert_fine(s, yaml_parse(s->arena, "f.yaml", text, strlen(text), &root, &s->err));
    assert_non_null(root);
    return root;
}

static void trees_carry_positions(void **state)
{
    struct scratch *s = *state;
    struct yaml *root = parse(s, "model:\n  path: a/b # comment\n  list: [1, 'two', {x: ~}]\n\"quoted key\": |\n  text\n  more\n");
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 2);
    struct yaml *model = yaml_find(root, "model"), *path = yaml_find(model, "path"), *list = yaml_find(model, "list");
    assert_string_equal(path->text, "a/b");
    assert_false(path->quoted);
    assert_string_equal(path->where, "f.yaml:2:9");
    assert_string_equal(model->key_where[1], "f.yaml:3:3");
    assert_int_equal(list->kind, YAML_LIST);
    assert_int_equal(list->count, 3);
    assert_true(list->item[1]->quoted);
    assert_string_equal(list->item[1]->where, "f.yaml:3:13");
    assert_true(yaml_is_null(yaml_find(list->item[2], "x")));
    assert_string_equal(yaml_find(root, "quoted key")->text, "text\nmore\n");
    assert_true(yaml_find(root, "quoted key")->quoted);
    assert_null(yaml_find(root, "none"));
    assert_null(yaml_find(path, "none"));
    assert_null(yaml_find(NULL, "none"));
}

static void empty_files_are_empty_maps(void **state)
{
    struct scratch *s = *state;
    static const char *const cases[] = { "", "\n\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF", "---\n...\n" };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct yaml *root = parse(s, cases[i]);
        assert_int_equal(root->kind, YAML_MAP);
        assert_int_equal(root->count, 0);
        assert_string_equal(root->where, "f.yaml:1:1");
    }
}

static void only_unquoted_nulls_are_null(void **state)
{
    struct scratch *s = *state;
    struct yaml *list = parse(s, "[~, null, Null, NULL, '', \"null\", nil, 0, [], {}]");
    for (int i = 0; i < list->count; i++)
        assert_int_equal(yaml_is_null(list->item[i]), i < 4);
    assert_true(yaml_is_null(yaml_find(parse(s, "a:\n"), "a")));
}

static void what_the_subset_lacks_is_refused_by_name(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *text, *what, *cure;
    } cases[] = {
        { "a: &x 1\n", "f.yaml:1:4: anchors (&x) are not supported", "remove the anchor" },
        { "a: &x [1]\n", "f.yaml:1:4: anchors (&x)", "remove the anchor" },
        { "&x a: 1\n", "f.yaml:1:1: anchors (&x)", "remove the anchor" },
        { "a: &x {b: 1}\n", "f.yaml:1:4: anchors (&x)", "remove the anchor" },
        { "a: *x\n", "f.yaml:1:4: aliases (*x)", "write the value out" },
        { "*x : 1\n", "f.yaml:1:1: aliases (*x)", "write the value out" },
        { "a: !!int '1'\n", "f.yaml:1:4: tags (tag:yaml.org,2002:int)", "remove the tag" },
        { "a: !own [1]\n", "f.yaml:1:4: tags (!own)", "remove the tag" },
        { "a: 1\n<<: {b: 2}\n", "f.yaml:2:1: merge keys (<<)", "write the keys out" },
        { "a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins", "remove the '---'" },
        { "a: 1\n...\n---\nb: 2\n", "f.yaml:3:1: a second document begins", "one document" },
        { "a: 1\nb: 2\n\na: 3\n", "f.yaml:4:1: key 'a' stands here a second time; first at f.yaml:1:1", "keep one" },
        { "m: {a: 1, \"a\": 3}\n", "f.yaml:1:11: key 'a' stands here a second time; first at f.yaml:1:5", "keep one" },
        { "[1]: 2\n", "f.yaml:1:1: a key must be one word", "quotes" },
        { "{a: 1}: 2\n", "f.yaml:1:1: a key must be one word", "quotes" },
        { "\"\": 2\n", "f.yaml:1:1: an empty key", "name" },
        { "a:\n\tb: 1\n", "f.yaml:2:1: a tab in the indentation", "spaces" },
        { "a:\n  b: 1\n\tc: 2\n", "f.yaml:3:", "spaces" },
        { "a: 1\n b: 2\n", "f.yaml:2:3: mapping values are not allowed in this context", "check indentation" },
        { "a: [1, 2\nb: 3\n", "f.yaml:2:", "check" },
        { "a: 'open\n", "f.yaml:2:1: found unexpected end of stream while scanning a quoted scalar", "quotes" },
        { "a: 1\nb: @x\n", "f.yaml:2:4: found character that cannot start any token", "check" },
        { "a: 1\nb: \xFF\n", "f.yaml:2:4: invalid leading UTF-8 octet", "UTF-8" },
        { "a: 1\nb: x\x01\n", "f.yaml:2:5: control characters are not allowed", "UTF-8" },
        { "a: \"x\\0y\"\n", "f.yaml:1:4: text with a NUL", "remove" },
        { "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n", "f.yaml:1:35: nested more than 32 deep", "less deeply" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct yaml *root;
        enum status status = yaml_parse(s->arena, "f.yaml", cases[i].text, strlen(cases[i].text), &root, &s->err);
        assert_holds(s->err.cure, cases[i].cure);
        assert_failed(s, status, BAD_CONFIG, cases[i].what);
    }
}

static void sizes_are_bounded(void **state)
{
    struct scratch *s = *state;
    enum { LARGE = (16 << 20) + 1 };
    struct yaml *root;
    char *bytes = arena_alloc(s->arena, LARGE);
    memset(bytes, '[', LARGE);
    assert_failed(s, yaml_parse(s->arena, "f", bytes, LARGE, &root, &s->err), BAD_CONFIG, "16777217 bytes");
    assert_failed(s, yaml_parse(s->arena, "f", bytes, LARGE - 1, &root, &s->err), BAD_CONFIG, "f:1:33: nested more than 32 deep");
    for (int i = 1; i < LARGE; i++)
        bytes[i] = i % 2 ? 'a' : ',';
    assert_failed(s, yaml_parse(s->arena, "f", bytes, LARGE - 1, &root, &s->err), BAD_CONFIG, "more than 200000 values");
    struct text text = text_new(s->arena);
    for (int i = 0; i < 4097; i++)
        text_print(&text, "k%d: 1\n", i);
    assert_failed(s, yaml_parse(s->arena, "f", text.bytes, text.length, &root, &s->err), BAD_CONFIG, "f:4097:1: more than 4096 keys");
    assert_failed(s, yaml_parse(s->arena, "f", "a: 1\0b", 6, &root, &s->err), BAD_CONFIG, "f:1:5: control characters");
}

static void files_must_be_maps(void **state)
{
    struct scratch *s = *state;
    struct yaml *root;
    assert_fine(s, yaml_read(s->arena, scratch_write(s, "f", "a: 1\r\nb: 2\r\n", 12), &root, &s->err));
    assert_string_equal(yaml_find(root, "b")->text, "2");
    assert_fine(s, yaml_read(s->arena, scratch_write(s, "f", "", 0), &root, &s->err));
    assert_failed(s, yaml_read(s->arena, scratch_write(s, "f", "- a\n", 4), &root, &s->err), BAD_CONFIG, "f:1:1: the file is no map");
    assert_failed(s, yaml_read(s->arena, scratch_write(s, "f", "text", 4), &root, &s->err), BAD_CONFIG, "f:1:1: the file is no map");
    assert_failed(s, yaml_read(s->arena, scratch_path(s, "none"), &root, &s->err), BAD_FILE, "none: No such file");
}

static const char base[] = "model: {path: m}\ntraining:\nseed: 1\ndata:\n  train:\n    - {path: a}\n    - {path: b}\n  none: []\n";

static void overrides_set_values_by_path(void **state)
{
    struct scratch *s = *state;
    struct yaml *root = parse(s, base);
    static const char *const assignments[] = {
        "seed=2e-4",           "training.lr=1",     "new.deep.er=x=y", "data.train.1.path=c.jsonl", "adapter.target_modules=[q_proj, v_proj]", "model.path=",
        "training.quoted='1'", "model={x: {y: 1}}", "model.x.y=2"
    };
    for (size_t i = 0; i < COUNT(assignments); i++)
        assert_fine(s, yaml_override(s->arena, root, assignments[i], &s->err));
    assert_string_equal(yaml_find(root, "seed")->text, "2e-4");
    assert_string_equal(yaml_find(root, "seed")->where, "command line");
    assert_string_equal(yaml_find(yaml_find(root, "training"), "lr")->text, "1");
    assert_true(yaml_find(yaml_find(root, "training"), "quoted")->quoted);
    assert_string_equal(yaml_find(yaml_find(yaml_find(root, "new"), "deep"), "er")->text, "x=y");
    struct yaml *train = yaml_find(yaml_find(root, "data"), "train");
    assert_string_equal(yaml_find(train->item[0], "path")->text, "a");
    assert_string_equal(yaml_find(train->item[1], "path")->text, "c.jsonl");
    struct yaml *targets = yaml_find(yaml_find(root, "adapter"), "target_modules");
    assert_int_equal(targets->count, 2);
    assert_string_equal(targets->item[1]->text, "v_proj");
    assert_string_equal(targets->item[1]->where, "command line");
    assert_null(yaml_find(yaml_find(root, "model"), "path"));
    assert_string_equal(yaml_find(yaml_find(yaml_find(root, "model"), "x"), "y")->text, "2");
    assert_fine(s, yaml_override(s->arena, root, "seed=", &s->err));
    assert_true(yaml_is_null(yaml_find(root, "seed")));
}

static void impossible_overrides_are_refused(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *assignment;
        enum status code;
        const char *what;
    } cases[] = {
        { "seed", BAD_OPTION, "command line: 'seed' is no assignment" },
        { "=1", BAD_OPTION, "'=1' is no assignment" },
        { "a..b=1", BAD_OPTION, "'a..b=1' is no assignment" },
        { ".a=1", BAD_OPTION, "is no assignment" },
        { "a.=1", BAD_OPTION, "is no assignment" },
        { "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1", BAD_OPTION, "is no assignment" },
        { "seed.x=1", BAD_OPTION, "cannot set 'x' inside the single value at f.yaml:3:7" },
        { "data.train.2.path=c", BAD_OPTION, "'2' is no item of the list at f.yaml:6:5" },
        { "data.train.x=c", BAD_OPTION, "'x' is no item of the list" },
        { "data.train.-1=c", BAD_OPTION, "'-1' is no item of the list" },
        { "data.none.0=c", BAD_OPTION, "'0' is no item of the list" },
        { "seed=[1", BAD_CONFIG, "command line: did not find expected" },
        { "seed={a: 1, a: 2}", BAD_CONFIG, "command line: key 'a' stands here a second time" },
        { "seed=&x 1", BAD_CONFIG, "command line: anchors (&x)" },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_failed(s, yaml_override(s->arena, parse(s, base), cases[i].assignment, &s->err), cases[i].code, cases[i].what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(trees_carry_positions),
        SCRATCH_TEST(empty_files_are_empty_maps),
        SCRATCH_TEST(only_unquoted_nulls_are_null),
        SCRATCH_TEST(what_the_subset_lacks_is_refused_by_name),
        SCRATCH_TEST(sizes_are_bounded),
        SCRATCH_TEST(files_must_be_maps),
        SCRATCH_TEST(overrides_set_values_by_path),
        SCRATCH_TEST(impossible_overrides_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
