/* Any bytes as a data file (JSONL or an array) and as one JSON value; strings that were read are written and read again. */
#include "common/json.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

static void check_member(struct arena *arena, const json_t *value)
{
    struct error err = { 0 };
    int64_t number = 5, count;
    int32_t *ids;
    double real = 5;
    bool flag = false;
    const char *text = NULL;
    fuzz_check(json_get_int(value, "value", "a", 0, 9, &number, &err), &err);
    CHECK(number >= 0 && number <= 9);
    err = (struct error){ 0 };
    fuzz_check(json_get_real(value, "value", "a", &real, &err), &err);
    err = (struct error){ 0 };
    fuzz_check(json_get_bool(value, "value", "a", &flag, &err), &err);
    err = (struct error){ 0 };
    fuzz_check(json_get_text(value, "value", "a", &text, &err), &err);
    struct text written = text_new(arena);
    text_add_number(&written, real);
    CHECK(!text || utf8_valid(text, strlen(text), NULL));
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

/* The file, with blank lines in front so that it ends where a page does and a read behind it is a fault; a byte order mark stays first. */
static int padded_file(struct arena *arena, const uint8_t *bytes, size_t size, char path[64])
{
    const size_t page = 4096, blank = size > 0 && bytes[0] == 0xEF ? 0 : (page - size % page) % page;
    char *padded = arena_alloc(arena, blank + size);
    memset(padded, '\n', blank);
    if (size)
        memcpy(padded + blank, bytes, size);
    return fuzz_file(padded, blank + size, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct json_lines *lines;
    json_t *value;
    int64_t line, before = 0;
    char path[64];
    int file = padded_file(arena, bytes, size, path);
    enum status status = json_lines_open(&lines, arena, path, &err);
    while (status == OK) {
        status = json_lines_next(lines, &value, &line, &err);
        fuzz_check(status, &err);
        fuzz_accepted += status == OK && !value;
        if (!value)
            break;
        CHECK(status == OK && line >= before);
        before = line;
        check_member(arena, value);
        json_decref(value);
    }
    json_lines_close(lines);
    err = (struct error){ 0 };
    fuzz_check(json_read(path, &value, &err), &err);
    json_decref(value);
    close(file);
    err = (struct error){ 0 };
    status = json_parse((const char *)bytes, size, "input", &value, &err);
    fuzz_check(status, &err);
    json_decref(value);
    check_string(arena, (const char *)bytes, size);
    arena_destroy(arena);
    return 0;
}
