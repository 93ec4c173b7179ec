/* Writing one safetensors file, byte for byte the same for the same tensors in any order. */
#include "common/json.h"
#include "common/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Wide elements first keeps every tensor aligned to its own element without padding. */
static int by_alignment(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    int64_t x_bytes = safetensors_dtype_bytes(x->dtype), y_bytes = safetensors_dtype_bytes(y->dtype);
    if (x_bytes != y_bytes)
        return x_bytes > y_bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static uint64_t size_of(const struct safetensor *t)
{
    int64_t bytes = safetensors_dtype_bytes(t->dtype);
    CHECK(bytes > 0 && t->rank >= 0 && t->rank <= SAFETENSORS_MAX_RANK);
    for (int i = 0; i < t->rank; i++)
        CHECK(t->shape[i] >= 0 && !__builtin_mul_overflow(bytes, t->shape[i], &bytes));
    return (uint64_t)bytes;
}

static struct text header_of(struct arena *arena, const struct safetensor *tensor, int64_t count)
{
    struct text header = text_new(arena);
    uint64_t offset = 0;
    text_add_string(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int64_t i = 0; i < count; i++) {
        const struct safetensor *t = &tensor[i];
        text_add_string(&header, ",");
        text_add_json(&header, t->name, strlen(t->name));
        text_print(&header, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype);
        for (int d = 0; d < t->rank; d++)
            text_print(&header, "%s%" PRId64, d ? "," : "", t->shape[d]);
        text_print(&header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, offset + t->bytes);
        offset += t->bytes;
    }
    text_add_string(&header, "}");
    while (header.length % 8)
        text_add_string(&header, " ");
    return header;
}

void safetensors_print_header(struct output *out, struct arena *scratch, struct safetensor *tensor, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        tensor[i].bytes = size_of(&tensor[i]);
    qsort(tensor, (size_t)count, sizeof *tensor, by_alignment);
    for (int64_t i = 1; i < count; i++)
        CHECK(strcmp(tensor[i - 1].name, tensor[i].name) != 0);
    struct text header = header_of(scratch, tensor, count);
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)header.length >> 8 * i);
    output_write(out, length, sizeof length);
    output_write(out, header.bytes, header.length);
}

void safetensors_print(struct output *out, struct arena *scratch, const struct safetensor *tensor, int64_t count)
{
    struct safetensor *sorted = NEW_ARRAY(scratch, count, struct safetensor);
    if (count)
        memcpy(sorted, tensor, (size_t)count * sizeof *sorted);
    for (int64_t i = 0; i < count; i++)
        CHECK(tensor[i].data || size_of(&tensor[i]) == 0);
    safetensors_print_header(out, scratch, sorted, count);
    for (int64_t i = 0; i < count; i++)
        output_write(out, sorted[i].data, (size_t)sorted[i].bytes);
}

enum status safetensors_write(struct arena *arena, const char *path, const struct safetensor *tensor, int64_t count, bool overwrite, struct error *err)
{
    struct output out = { 0 };
    struct arena *scratch = arena_create_like(arena);
    enum status status = output_open(&out, scratch, path, overwrite, err);
    if (status == OK) {
        safetensors_print(&out, scratch, tensor, count);
        status = output_commit(&out);
    }
    output_discard(&out);
    arena_destroy(scratch);
    return status;
}
