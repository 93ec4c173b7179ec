/* Safetensors: what is written reads back, and no malformed header passes. Each malformed file is made here. */
#include "common/safetensors.h"
#include "tests/unit/scratch.h"

/* A file of that header and that many bytes of data. */
static const char *make_file(struct scratch *s, const char *name, const char *header, size_t data_bytes)
{
    size_t length = strlen(header);
    char *bytes = arena_alloc(s->arena, 8 + length + data_bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + length + i] = (char)i;
    return scratch_write(s, name, bytes, 8 + length + data_bytes);
}

#define F32_4(name, begin, end) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[" #begin "," #end "]}"

static const struct {
    const char *header;
    size_t data_bytes;
    const char *what;
} malformed[] = {
    { "", 0, "f:1:1:" },
    { "{", 0, "f:1:1:" },
    { "[]", 0, "the header is no JSON object" },
    { "17", 0, "the header is no JSON object" },
    { "{} {}", 0, "f:1:4: end of file expected" },
    { "{\"a\":1}", 0, "tensor 'a': its entry is no object" },
    { "{\"a\":{}}", 0, "tensor 'a': has no string 'dtype'" },
    { "{\"a\":{\"dtype\":4,\"shape\":[],\"data_offsets\":[0,4]}}", 4, "tensor 'a': has no string 'dtype'" },
    { "{\"a\":{\"dtype\":\"F31\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "tensor 'a': unknown dtype 'F31'" },
    { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor 'a': has no array 'shape'" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,16]}}", 16, "tensor 'a': has no array 'shape'" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}", 16, "tensor 'a': a dimension of its shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]}}", 16, "tensor 'a': a dimension of its shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"4\"],\"data_offsets\":[0,16]}}", 16, "tensor 'a': a dimension of its shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,16]}}", 16, "tensor 'a': has more than 8 dimensions" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "tensor 'a': the product of its shape overflows" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "tensor 'a': its size in bytes overflows" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[92233720368547758080]}}", 0, "tensor \'a\': a dimension of its shape" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}", 16, "tensor 'a': 'data_offsets' are not two integers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0]}}", 16, "tensor 'a': 'data_offsets' are not two integers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,8,16]}}", 16, "tensor 'a': 'data_offsets' are not two integers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":{\"0\":0,\"1\":16}}}", 16, "tensor 'a': 'data_offsets' are not two integers" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16.0]}}", 16, "tensor 'a': 'data_offsets' are not two integers" },
    { "{" F32_4("a", -16, 0) "}", 16, "tensor 'a': 'data_offsets' are not two integers" },
    { "{" F32_4("a", 16, 0) "}", 16, "tensor 'a': data_offsets [16, 0] run backwards" },
    { "{" F32_4("a", 0, 16) "}", 15, "tensor 'a': data_offsets [0, 16] in a file with 15 bytes of data" },
    { "{" F32_4("a", 9223372036854775791, 9223372036854775807) "}", 16, "tensor 'a': data_offsets [9223372036854775791" },
    { "{" F32_4("a", 0, 12) "}", 12, "tensor 'a': its shape needs 16 bytes, its data_offsets hold 12" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,4]}}", 4, "tensor 'a': its shape needs 0 bytes" },
    { "{" F32_4("a", 0, 16) "," F32_4("b", 8, 24) "}", 24, "tensor 'b': its bytes overlap" },
    { "{" F32_4("a", 0, 16) "," F32_4("b", 0, 16) "}", 16, "overlap" },
    { "{" F32_4("a", 0, 16) "," F32_4("b", 20, 36) "}", 36, "tensor 'b': there is a gap" },
    { "{" F32_4("a", 4, 20) "}", 20, "tensor 'a': there is a gap" },
    { "{" F32_4("a", 0, 16) "}", 17, "1 bytes behind the last tensor belong to none" },
    { "{}", 1, "1 bytes behind the last tensor" },
    { "{" F32_4("a", 0, 16) "," F32_4("a", 16, 32) "}", 32, "duplicate object key" },
    { "{\"__metadata__\":{\"format\":1}," F32_4("a", 0, 16) "}", 16, "'__metadata__' is no object of strings" },
    { "{\"__metadata__\":[]," F32_4("a", 0, 16) "}", 16, "'__metadata__' is no object of strings" },
    { "{\"a\\u0000b\":{}}", 0, "\\u0000" },
};

static void malformed_headers_are_refused_by_name(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(malformed); i++) {
        struct safetensors file;
        const char *path = make_file(s, "f", malformed[i].header, malformed[i].data_bytes);
        enum status status = safetensors_open(&file, s->arena, path, &s->err);
        assert_holds(s->err.what, path);
        assert_failed(s, status, BAD_FILE, malformed[i].what);
        assert_null(file.map.bytes);
        safetensors_close(&file);
    }
}

static void lying_header_lengths_are_refused(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *what;
    } cases[] = {
        { "", 0, "0 bytes, too short" },
        { "\2\0\0\0\0\0\0", 7, "7 bytes, too short" },
        { "\3\0\0\0\0\0\0\0{}", 10, "a header of 3 bytes in a file of 10 bytes" },
        { "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "a header of 18446744073709551615 bytes" },
        { "\xF8\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "a header of 18446744073709551608 bytes" },
        { "\0\0\0\0\0\0\0\x80{}", 10, "a header of 9223372036854775808 bytes" },
        { "version https://git-lfs.github.com/spec/v1\n", 43, "a header of" },
        { "\0\0\0\0\0\0\0\0{}", 10, "f:1:1:" },
    };
    struct safetensors file;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_failed(s, safetensors_open(&file, s->arena, scratch_write(s, "f", cases[i].bytes, cases[i].size), &s->err), BAD_FILE, cases[i].what);
    assert_failed(s, safetensors_open(&file, s->arena, scratch_path(s, "none"), &s->err), BAD_FILE, "none: No such file");

    enum { DEEP = 100000 };
    char *deep = arena_alloc(s->arena, DEEP + 1);
    memset(deep, '[', DEEP);
    memcpy(deep, "{\"a\":", 5);
    assert_failed(s, safetensors_open(&file, s->arena, make_file(s, "f", deep, 0), &s->err), BAD_FILE, "maximum parsing depth");
}

static void fine_files_are_read(void **state)
{
    struct scratch *s = *state;
    struct safetensors file;
    const char *header = "{\"z\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                         "\"none\":{\"dtype\":\"I64\",\"shape\":[5,0,7],\"data_offsets\":[4,4]},"
                         "\"large none\":{\"dtype\":\"I64\",\"shape\":[9223372036854775807,0,9223372036854775807],\"data_offsets\":[16,16]},"
                         "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                         "\"__metadata__\":{\"format\":\"pt\"}}   ";
    assert_fine(s, safetensors_open(&file, s->arena, make_file(s, "f", header, 16), &s->err));
    assert_int_equal(file.count, 4);
    const struct safetensor *z = safetensors_find(&file, "z"), *none = safetensors_find(&file, "none");
    assert_non_null(z);
    assert_non_null(none);
    assert_string_equal(z->dtype, "BF16");
    assert_int_equal(z->rank, 2);
    assert_int_equal(z->shape[1], 3);
    assert_int_equal(z->bytes, 12);
    assert_int_equal(((const uint8_t *)z->data)[0], 4);
    assert_int_equal(z->offset, 8 + strlen(header) + 4);
    assert_int_equal(none->bytes, 0);
    assert_int_equal(safetensors_find(&file, "scalar")->rank, 0);
    assert_null(safetensors_find(&file, "__metadata__"));
    assert_null(safetensors_find(&file, "zz"));
    safetensors_close(&file);
    safetensors_close(&file);
    assert_fine(s, safetensors_open(&file, s->arena, make_file(s, "f", "{}", 0), &s->err));
    assert_int_equal(file.count, 0);
    assert_null(safetensors_find(&file, "z"));
    safetensors_close(&file);
}

static void element_sizes_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        int bytes;
    } cases[] = { { "F32", 4 },  { "BF16", 2 },    { "F16", 2 },     { "F64", 8 }, { "I64", 8 }, { "U8", 1 }, { "I8", 1 },
                  { "BOOL", 1 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 }, { "F4", 0 },  { "f32", 0 }, { "", 0 } };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(safetensors_dtype_bytes(cases[i].dtype), cases[i].bytes);
}

static const float floats[6] = { 1, 2, 3, 4, 5, 6 };
static const uint16_t halves[3] = { 7, 8, 9 };
static const int64_t longs[2] = { -1, INT64_MAX };

static const struct safetensor tensors[] = {
    { .name = "bytes", .dtype = "U8", .rank = 1, .shape = { 3 }, .data = "xyz" },
    { .name = "b.weight", .dtype = "F32", .rank = 2, .shape = { 2, 3 }, .data = floats },
    { .name = "half", .dtype = "BF16", .rank = 1, .shape = { 3 }, .data = halves },
    { .name = "a\"\\\xC3\xA4", .dtype = "F32", .rank = 0, .data = floats },
    { .name = "empty", .dtype = "F32", .rank = 2, .shape = { 0, 3 } },
    { .name = "long", .dtype = "I64", .rank = 1, .shape = { 2 }, .data = longs },
};

static void written_files_read_back(void **state)
{
    struct scratch *s = *state;
    const char *path = scratch_path(s, "out.safetensors");
    assert_fine(s, safetensors_write(s->arena, path, tensors, COUNT(tensors), false, &s->err));
    assert_failed(s, safetensors_write(s->arena, path, tensors, COUNT(tensors), false, &s->err), EXISTS, "already exists");
    struct safetensors file;
    assert_fine(s, safetensors_open(&file, s->arena, path, &s->err));
    assert_int_equal(file.count, COUNT(tensors));
    for (size_t i = 0; i < COUNT(tensors); i++) {
        const struct safetensor *t = safetensors_find(&file, tensors[i].name);
        assert_non_null(t);
        assert_string_equal(t->dtype, tensors[i].dtype);
        assert_int_equal(t->rank, tensors[i].rank);
        assert_memory_equal(t->shape, tensors[i].shape, sizeof t->shape);
        assert_int_equal(t->offset % (uint64_t)safetensors_dtype_bytes(t->dtype), 0);
        if (t->bytes)
            assert_memory_equal(t->data, tensors[i].data, t->bytes);
    }
    assert_int_equal(scratch_entries(s), 1);
    safetensors_close(&file);
}

static void order_of_tensors_does_not_change_the_file(void **state)
{
    struct scratch *s = *state;
    struct safetensor reversed[COUNT(tensors)];
    char one[65], other[65];
    for (size_t i = 0; i < COUNT(tensors); i++)
        reversed[i] = tensors[COUNT(tensors) - 1 - i];
    assert_fine(s, safetensors_write(s->arena, scratch_path(s, "one"), tensors, COUNT(tensors), false, &s->err));
    assert_fine(s, safetensors_write(s->arena, scratch_path(s, "other"), reversed, COUNT(tensors), false, &s->err));
    assert_fine(s, hash_file(scratch_path(s, "one"), one, &s->err));
    assert_fine(s, hash_file(scratch_path(s, "other"), other, &s->err));
    assert_string_equal(one, other);
    struct map map;
    assert_fine(s, map_open(&map, scratch_path(s, "one"), &s->err));
    assert_memory_equal(map.bytes + 8, "{\"__metadata__\":{\"format\":\"pt\"},\"long\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},", 87);
    map_close(&map);
}

static void failed_writing_leaves_nothing(void **state)
{
    struct scratch *s = *state;
    assert_failed(s, safetensors_write(s->arena, "/dev/full", tensors, COUNT(tensors), true, &s->err), DISK, "No space left");
    assert_failed(s, safetensors_write(s->arena, scratch_path(s, "none/x"), tensors, 1, true, &s->err), DISK, "none/x");
    assert_int_equal(scratch_entries(s), 0);
}

static const char *make_index(struct scratch *s, const char *json)
{
    return scratch_write(s, "model.safetensors.index.json", json, strlen(json));
}

static void shards_are_one_set(void **state)
{
    struct scratch *s = *state;
    struct safetensors_set set;
    const struct safetensors *file = NULL;
    make_file(s, "one", "{" F32_4("a", 0, 16) "}", 16);
    make_file(s, "two", "{" F32_4("b", 0, 16) "," F32_4("c", 16, 32) "}", 32);
    make_index(s, "{\"metadata\":{\"total_size\":48},\"weight_map\":{\"c\":\"two\",\"a\":\"one\",\"b\":\"two\"}}");
    assert_fine(s, safetensors_set_open(&set, s->arena, s->folder, "model", &s->err));
    assert_int_equal(set.files, 2);
    assert_non_null(safetensors_set_find(&set, "a", NULL));
    const struct safetensor *c = safetensors_set_find(&set, "c", &file);
    assert_non_null(c);
    assert_holds(file->map.path, "/two");
    assert_int_equal(((const uint8_t *)c->data)[0], 16);
    assert_null(safetensors_set_find(&set, "d", NULL));
    safetensors_set_close(&set);
    safetensors_set_close(&set);

    make_file(s, "model.safetensors", "{" F32_4("single", 0, 16) "}", 16);
    assert_fine(s, safetensors_set_open(&set, s->arena, s->folder, "model", &s->err));
    assert_int_equal(set.files, 1);
    assert_non_null(safetensors_set_find(&set, "single", NULL));
    safetensors_set_close(&set);
}

static void broken_indexes_are_refused_by_name(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *index, *what;
    } cases[] = {
        { "{", "model.safetensors.index.json:1:" },
        { "[]", "has no object 'weight_map'" },
        { "{}", "has no object 'weight_map'" },
        { "{\"weight_map\":{}}", "has no object 'weight_map'" },
        { "{\"weight_map\":{\"a\":1}}", "tensor 'a': its shard is no file name" },
        { "{\"weight_map\":{\"a\":\"\"}}", "shard '' is no plain file name" },
        { "{\"weight_map\":{\"a\":\"..\"}}", "shard '..' is no plain file name" },
        { "{\"weight_map\":{\"a\":\"../one\"}}", "shard '../one' is no plain file name" },
        { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "shard '/etc/passwd' is no plain file name" },
        { "{\"weight_map\":{\"a\":\"x/one\"}}", "shard 'x/one' is no plain file name" },
        { "{\"weight_map\":{\"a\":\"one\",\"b\":\"gone\"}}", "the shard 'gone' that it names is missing" },
        { "{\"weight_map\":{\"a\":\"one\",\"b\":\"one\",\"c\":\"two\"}}", "tensor 'b' is not in the shard 'one'" },
        { "{\"weight_map\":{\"a\":\"one\",\"c\":\"copy\"}}", "tensor 'a' is in two shards" },
    };
    make_file(s, "one", "{" F32_4("a", 0, 16) "}", 16);
    make_file(s, "two", "{" F32_4("b", 0, 16) "," F32_4("c", 16, 32) "}", 32);
    make_file(s, "copy", "{" F32_4("a", 0, 16) "," F32_4("c", 16, 32) "}", 32);
    struct safetensors_set set;
    for (size_t i = 0; i < COUNT(cases); i++) {
        make_index(s, cases[i].index);
        assert_failed(s, safetensors_set_open(&set, s->arena, s->folder, "model", &s->err), BAD_FILE, cases[i].what);
        assert_int_equal(set.files, 0);
    }
    assert_failed(s, safetensors_set_open(&set, s->arena, s->folder, "adapter_model", &s->err), BAD_FILE,
                  "holds no weights: none of adapter_model.safetensors, adapter_model.safetensors.index.json");
    assert_failed(s, safetensors_set_open(&set, s->arena, scratch_path(s, "none"), "model", &s->err), BAD_FILE, "none: no such folder");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(malformed_headers_are_refused_by_name),
        SCRATCH_TEST(lying_header_lengths_are_refused),
        SCRATCH_TEST(fine_files_are_read),
        cmocka_unit_test(element_sizes_are_known),
        SCRATCH_TEST(written_files_read_back),
        SCRATCH_TEST(order_of_tensors_does_not_change_the_file),
        SCRATCH_TEST(failed_writing_leaves_nothing),
        SCRATCH_TEST(shards_are_one_set),
        SCRATCH_TEST(broken_indexes_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
