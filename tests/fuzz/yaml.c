/* Any bytes as a configuration; then the same bytes as an override of what was read, and as settings. */
#include "common/settings.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

struct section {
    bool flag;
    int64_t count;
    double rate;
    const char *title, *path;
    int kind;
};

static const char *const kinds[] = { "one", "two", NULL };

#define AT(field) offsetof(struct section, field)

static const struct setting rows[] = {
    { "flag", SETTING_BOOL, AT(flag), "true", 0, 0, NULL, NULL, NULL, "flag" }, { "count", SETTING_INT, AT(count), "3", 1, 9, NULL, NULL, NULL, "count" },
    { "rate", SETTING_REAL, AT(rate), "1e-4", 0, 0, NULL, NULL, NULL, "rate" }, { "title", SETTING_TEXT, AT(title), NULL, 0, 0, NULL, NULL, NULL, "title" },
    { "path", SETTING_PATH, AT(path), NULL, 0, 0, NULL, NULL, NULL, "path" },   { "kind", SETTING_CHOICE, AT(kind), "two", 0, 0, kinds, NULL, NULL, "kind" },
};

/* Settings that were read are printed and must read back to the same text. */
static void check_settings(struct arena *arena, const struct yaml *root)
{
    struct section section = { 0 }, again = { 0 };
    struct error err = { 0 };
    enum status status = settings_read(arena, rows, COUNT(rows), root, "section", "/folder", &section, &err);
    fuzz_check(status, &err);
    if (status != OK)
        return;
    struct text text = text_new(arena), twice = text_new(arena), help = text_new(arena);
    settings_help(&help, rows, COUNT(rows), "section");
    struct yaml *printed;
    settings_print(&text, rows, COUNT(rows), &section, 0);
    CHECK(yaml_parse(arena, "printed", text.bytes, text.length, &printed, &err) == OK);
    CHECK(settings_read(arena, rows, COUNT(rows), printed, "section", "/other", &again, &err) == OK);
    settings_print(&twice, rows, COUNT(rows), &again, 0);
    CHECK(text_equal(text.bytes, twice.bytes));
    CHECK(section.count == again.count && section.rate == again.rate);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct yaml *root;
    enum status status = yaml_parse(arena, "input", (const char *)bytes, size, &root, &err);
    fuzz_check(status, &err);
    if (status == OK) {
        fuzz_accepted++;
        check_settings(arena, root);
        status = yaml_override(arena, root, arena_text(arena, (const char *)bytes, size), &err);
        fuzz_check(status, &err);
    }
    arena_destroy(arena);
    return 0;
}
