/* The safetensors container: a JSON header with names, dtypes, shapes and offsets, then the bytes.
 *
 * Reading maps the file; tensors point into the map. Everything in the header is checked against the map before it is used:
 * header size, dtype, shape product, offsets (inside, no overlap, no gaps, end = size), duplicate names.
 * Source of the format: huggingface/safetensors 0.8.
 */
#ifndef GRAFT_COMMON_SAFETENSORS_H
#define GRAFT_COMMON_SAFETENSORS_H

#include "common/arena.h"
#include "common/files.h"
#include "common/status.h"

#include <stdint.h>

enum { SAFETENSORS_MAX_RANK = 8 };

struct safetensor {
    const char *name;
    const char *dtype; /* as the file spells it: "F32", "BF16", "F16", "I64", ... */
    int rank;
    int64_t shape[SAFETENSORS_MAX_RANK];
    uint64_t offset, bytes; /* offset is from the start of the file */
    const void *data;       /* in the map; aligned only if the writer of the file aligned it; NULL if the tensor is empty */
};

struct safetensors {
    struct map map;
    struct safetensor *tensor; /* sorted by name */
    int64_t count;
};

enum status safetensors_open(struct safetensors *file, struct arena *arena, const char *path, struct error *err) MUST_USE;
void safetensors_close(struct safetensors *file);
/* NULL if absent. */
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);

/* What a folder's weights may be called, and what reads such a file: "model.safetensors" with safetensors_open(). */
struct container {
    const char *name;
    enum status (*open)(struct safetensors *file, struct arena *arena, const char *path, struct error *err);
};

/* A folder's weights: one file, or the shards that an index beside it names (each tensor must be in the shard the index says; names in one place only). */
struct safetensors_set {
    struct safetensors *file;
    int files;
};
/* The first of the containers that is there, as NAME or as NAME.index.json: what comes first wins. */
enum status safetensors_set_open_first(struct safetensors_set *set, struct arena *arena, const char *folder, const struct container *container, int containers,
                                       struct error *err) MUST_USE;
/* STEM.safetensors or its shards alone. */
enum status safetensors_set_open(struct safetensors_set *set, struct arena *arena, const char *folder, const char *stem, struct error *err) MUST_USE;
void safetensors_set_close(struct safetensors_set *set);
/* The tensor of that name in any file, NULL if absent; *file (may be NULL) gets the file it is in. */
const struct safetensor *safetensors_set_find(const struct safetensors_set *set, const char *name, const struct safetensors **file);

/* The content of a file: metadata {"format": "pt"}, dtypes by alignment descending then names, header padded so that data
 * begins at a multiple of 8. Each tensor needs name, dtype, rank, shape and data; bytes and offset are
 * computed. */
void safetensors_print(struct output *out, struct arena *scratch, const struct safetensor *tensor, int64_t count);
/* The header alone, and `tensor` in the order in which the caller is to write the bytes; data is looked at by nobody. */
void safetensors_print_header(struct output *out, struct arena *scratch, struct safetensor *tensor, int64_t count);
/* A file of that content, whole or not at all. */
enum status safetensors_write(struct arena *arena, const char *path, const struct safetensor *tensor, int64_t count, bool overwrite,
                              struct error *err) MUST_USE;

/* Bytes of one element, 0 for an unknown dtype. */
int64_t safetensors_dtype_bytes(const char *dtype);

#endif
