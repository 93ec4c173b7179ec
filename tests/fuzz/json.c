/* Any bytes as a data file (JSONL or an array) and as one JSON value; strings that were read are written and read again. */
#include "common/json.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

static void check_member(struct arena *arena, const json_t *value)
{
    struct error err = { 0 };
    int64_t number = 5, count;
    int32_t *ids;
    fuzz_check(json_get_int(value, "value", "a", 0, 9, &number, &err), &err);
    CHECK(number >= 0 && number <= 9);
    err = (struct error){ 0 };
    fuzz_check(json_get_ids(arena, value, "value", "b", 0, 9, &ids, &count, &err), &err);
    for (int64_t i = 0; i < count; i++)
        CHECK(ids[i] >= 0 && ids[i] <= 9);
}

static void check_string(struct arena *arena, const char *bytes, size_t size)
{
    struct error err = { 0 };
    struct text text = text_new(arena);
    json_t *value;
    text_add_json(&text, bytes, size);
    if (memchr(bytes, 0, size))
        return;
    CHECK(json_parse(text.bytes, text.length, "written", &value, &err) == OK);
    if (utf8_valid(bytes, size, NULL))
        CHECK(json_string_length(value) == size && memcmp(json_string_value(value), bytes, size) == 0);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct json_lines *lines;
    json_t *value;
    int64_t line, before = 0;
    char path[64];
    int file = fuzz_file(bytes, size, path);
    enum status status = json_lines_open(&lines, arena, path, &err);
    while (status == OK) {
        status = json_lines_next(lines, &value, &line, &err);
        fuzz_check(status, &err);
        if (!value)
            break;
        CHECK(status == OK && line >= before);
        before = line;
        check_member(arena, value);
        json_decref(value);
    }
    json_lines_close(lines);
    close(file);
    err = (struct error){ 0 };
    status = json_parse((const char *)bytes, size, "input", &value, &err);
    fuzz_check(status, &err);
    json_decref(value);
    check_string(arena, (const char *)bytes, size);
    arena_destroy(arena);
    return 0;
}
