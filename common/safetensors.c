/* Reading one safetensors file: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps.
 *
 * The header comes from outside: every number is checked against the map before anything is computed from it, by subtraction where
 * an addition could overflow. Writing is in safetensors_write.c, folders of shards in safetensors_set.c.
 */
#include "common/safetensors.h"
#include "common/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_HEADER = 100000000 }; /* the format's own limit */

static const struct dtype {
    const char *name;
    int64_t bytes;
} dtypes[] = {
    { "F32", 4 }, { "BF16", 2 }, { "F16", 2 }, { "F64", 8 },  { "I64", 8 },     { "I32", 4 },     { "I16", 2 },     { "I8", 1 },  { "U64", 8 },
    { "U32", 4 }, { "U16", 2 },  { "U8", 1 },  { "BOOL", 1 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 }, { "F8_E8M0", 1 }, { "C64", 8 },
};

static const char damaged[] = "the file is damaged or was not written by a safetensors library: copy or download it again";

static const struct dtype *dtype_find(const char *name)
{
    for (size_t i = 0; i < COUNT(dtypes); i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    return NULL;
}

int64_t safetensors_dtype_bytes(const char *dtype)
{
    const struct dtype *found = dtype_find(dtype);
    return found ? found->bytes : 0;
}

static enum status bad(const struct safetensors *file, const char *tensor, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: tensor '%s': %s", damaged, file->map.path, tensor, what);
}

static enum status read_shape(const struct safetensors *file, struct safetensor *t, const json_t *shape, uint64_t *elements, struct error *err)
{
    if (!json_is_array(shape))
        return bad(file, t->name, "has no array 'shape'", err);
    if (json_array_size(shape) > SAFETENSORS_MAX_RANK)
        return bad(file, t->name, "has more than 8 dimensions", err);
    t->rank = (int)json_array_size(shape);
    *elements = 1;
    bool overflow = false, empty = false;
    for (int i = 0; i < t->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return bad(file, t->name, "a dimension of its shape is no integer of at least 0", err);
        t->shape[i] = json_integer_value(size);
        empty |= t->shape[i] == 0;
        overflow |= __builtin_mul_overflow(*elements, (uint64_t)t->shape[i], elements);
    }
    if (empty)
        *elements = 0;
    else if (overflow)
        return bad(file, t->name, "the product of its shape overflows 64 bits", err);
    return OK;
}

static enum status read_offsets(const struct safetensors *file, struct safetensor *t, const json_t *offsets, uint64_t data_begin, struct error *err)
{
    const uint64_t data_bytes = file->map.size - data_begin;
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0 ||
        json_integer_value(end) < 0)
        return bad(file, t->name, "'data_offsets' are not two integers of at least 0", err);
    const uint64_t from = (uint64_t)json_integer_value(begin), to = (uint64_t)json_integer_value(end);
    if (from > to)
        return fail_with(err, BAD_FILE, "%s: tensor '%s': data_offsets [%" PRIu64 ", %" PRIu64 "] run backwards", damaged, file->map.path, t->name, from, to);
    if (to > data_bytes)
        return fail_with(err, BAD_FILE, "%s: tensor '%s': data_offsets [%" PRIu64 ", %" PRIu64 "] in a file with %" PRIu64 " bytes of data",
                         "the file may be cut off: compare its size with the original, copy or download it again", file->map.path, t->name, from, to,
                         data_bytes);
    t->offset = data_begin + from;
    t->bytes = to - from;
    t->data = t->bytes ? file->map.bytes + t->offset : NULL;
    return OK;
}

static enum status read_tensor(const struct safetensors *file, struct safetensor *t, const json_t *entry, uint64_t data_begin, struct error *err)
{
    if (!json_is_object(entry))
        return bad(file, t->name, "its entry is no object", err);
    const char *spelled = json_string_value(json_object_get(entry, "dtype"));
    if (!spelled)
        return bad(file, t->name, "has no string 'dtype'", err);
    const struct dtype *dtype = dtype_find(spelled);
    if (!dtype)
        return fail_with(err, BAD_FILE, "%s: tensor '%s': unknown dtype '%.32s'", "convert the file to a dtype of whole bytes such as F32, BF16 or F16",
                         file->map.path, t->name, spelled);
    t->dtype = dtype->name;
    uint64_t elements = 0, needed;
    TRY(read_shape(file, t, json_object_get(entry, "shape"), &elements, err));
    TRY(read_offsets(file, t, json_object_get(entry, "data_offsets"), data_begin, err));
    if (__builtin_mul_overflow(elements, (uint64_t)dtype->bytes, &needed))
        return bad(file, t->name, "its size in bytes overflows 64 bits", err);
    if (needed != t->bytes)
        return fail_with(err, BAD_FILE, "%s: tensor '%s': its shape needs %" PRIu64 " bytes, its data_offsets hold %" PRIu64, damaged, file->map.path, t->name,
                         needed, t->bytes);
    return OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct safetensor *)a)->name, ((const struct safetensor *)b)->name);
}

/* Sorted by offset, each tensor begins where the one before ended, and the last ends with the file. */
static enum status check_cover(const struct safetensors *file, uint64_t data_begin, struct error *err)
{
    uint64_t reached = data_begin;
    for (int64_t i = 0; i < file->count; i++) {
        const struct safetensor *t = &file->tensor[i];
        if (t->offset < reached)
            return bad(file, t->name, "its bytes overlap those of another tensor", err);
        if (t->offset > reached)
            return bad(file, t->name, "there is a gap of unused bytes before it", err);
        reached = t->offset + t->bytes;
    }
    if (reached != file->map.size)
        return fail_with(err, BAD_FILE, "%s: %" PRIu64 " bytes behind the last tensor belong to none", damaged, file->map.path, file->map.size - reached);
    return OK;
}

static enum status check_metadata(const struct safetensors *file, json_t *metadata, struct error *err)
{
    const char *key;
    json_t *value;
    bool fine = json_is_object(metadata);
    json_object_foreach(metadata, key, value) fine &= json_is_string(value);
    if (!fine)
        return fail_with(err, BAD_FILE, "%s: '__metadata__' is no object of strings", damaged, file->map.path);
    return OK;
}

static enum status read_table(struct safetensors *file, struct arena *arena, json_t *header, uint64_t data_begin, struct error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(header))
        return fail_with(err, BAD_FILE, "%s: the header is no JSON object", damaged, file->map.path);
    file->tensor = NEW_ARRAY(arena, json_object_size(header), struct safetensor);
    json_object_foreach(header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            TRY(check_metadata(file, value, err));
            continue;
        }
        struct safetensor *t = &file->tensor[file->count];
        t->name = arena_text(arena, key, strlen(key));
        TRY(read_tensor(file, t, value, data_begin, err));
        file->count++;
    }
    qsort(file->tensor, (size_t)file->count, sizeof *file->tensor, by_offset);
    TRY(check_cover(file, data_begin, err));
    qsort(file->tensor, (size_t)file->count, sizeof *file->tensor, by_name);
    return OK;
}

enum status safetensors_open(struct safetensors *file, struct arena *arena, const char *path, struct error *err)
{
    *file = (struct safetensors){ 0 };
    TRY(map_open(&file->map, path, err));
    json_t *header = NULL;
    uint64_t length = 0;
    enum status status;
    if (file->map.size < sizeof length) {
        status = fail_with(err, BAD_FILE, "%s: %zu bytes, too short for a safetensors header",
                           "the download may be incomplete: compare its size with the original", path, file->map.size);
        goto done;
    }
    for (int i = 7; i >= 0; i--)
        length = length << 8 | file->map.bytes[i];
    if (length > LARGEST_HEADER || length > file->map.size - sizeof length) {
        status = fail_with(err, BAD_FILE, "%s: a header of %" PRIu64 " bytes in a file of %zu bytes",
                           "the file is cut off, or is no safetensors file (a Git LFS pointer?): copy or download it again", path, length, file->map.size);
        goto done;
    }
    status = json_parse((const char *)file->map.bytes + sizeof length, (size_t)length, path, &header, err);
    if (status == OK)
        status = read_table(file, arena, header, sizeof length + length, err);
done:
    json_decref(header);
    if (status != OK)
        safetensors_close(file);
    return status;
}

void safetensors_close(struct safetensors *file)
{
    map_close(&file->map);
    *file = (struct safetensors){ 0 };
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
    const struct safetensor wanted = { .name = name };
    return file->count ? bsearch(&wanted, file->tensor, (size_t)file->count, sizeof wanted, by_name) : NULL;
}
