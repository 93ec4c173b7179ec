/* HDF5 files of flat arrays, sealed: the only place that knows libhdf5.
 *
 * An array is one contiguous run of bytes in the file, so what is found is used where it lies, in the mapping: nothing is read before it is looked at, and what
 * was looked at can be forgotten (map_forget). The first 512 bytes, which HDF5 leaves to its users (the user block), hold a seal: size and SHA-256 of what
 * stands behind them. A file that was damaged or cut is refused before libhdf5 sees a byte of it; a seal is no signature, it does not say who wrote the file.
 * The same calls with the same values give the same bytes.
 */
#ifndef GRAFT_COMMON_HDF5_FILE_H
#define GRAFT_COMMON_HDF5_FILE_H

#include "common/files.h"

enum hdf5_type { HDF5_TEXT, HDF5_INT32, HDF5_INT64, HDF5_FLOAT32, HDF5_FLOAT64 };

struct hdf5_file {
    int64_t handle; /* of libhdf5; 0: closed */
    struct map map;
};

/* Begins a file in `output`, which must be fresh and no stream. Close whatever the outcome. Errors: DISK. */
enum status hdf5_create(struct hdf5_file *file, const struct output *output, struct error *err) MUST_USE;
/* Appends an array under a name that is new ("tokens/12"; groups are made). *at: where it begins, in bytes of the file. Errors: DISK. */
enum status hdf5_append(struct hdf5_file *file, const char *name, enum hdf5_type type, const void *values, int64_t count, int64_t *at,
                        struct error *err) MUST_USE;
/* Maps what was appended so far. Errors: DISK, and map_open's. */
enum status hdf5_map(struct hdf5_file *file, const struct output *output, struct error *err) MUST_USE;
/* Ends a file: all is written, and sealed. output_commit() is the caller's. Errors: DISK. */
enum status hdf5_seal(struct hdf5_file *file, const struct output *output, struct error *err) MUST_USE;

/* Whether a file begins as sealed ones do. */
bool hdf5_is_sealed(const char *path);
/* Maps and checks the seal. Close whatever the outcome. Errors: BAD_FILE. */
enum status hdf5_open(struct hdf5_file *file, const char *path, struct error *err) MUST_USE;
/* An array, in the mapping. Errors: BAD_FILE if there is none of that name and type, or it does not lie in the file. */
enum status hdf5_find(const struct hdf5_file *file, const char *name, enum hdf5_type type, const void **values, int64_t *count, struct error *err) MUST_USE;
bool hdf5_has(const struct hdf5_file *file, const char *name);
/* The mapping goes too, unless the caller took it (and zeroed file->map). Safe on a zeroed or closed file. */
void hdf5_close(struct hdf5_file *file);

#endif
