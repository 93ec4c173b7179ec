/* HDF5 files of flat arrays, sealed. */
#include "common/hdf5_file.h"

#include <errno.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SEAL = 512 }; /* the smallest user block there is */

static const char title[] = "graft, sealed HDF5\n";
static const char cure[] = "delete the file: a token cache is made again, and a run goes on from the checkpoint before";

static hid_t type_of(enum hdf5_type type)
{
    const hid_t types[] = { [HDF5_TEXT] = H5T_NATIVE_UINT8,
                            [HDF5_INT32] = H5T_NATIVE_INT32,
                            [HDF5_INT64] = H5T_NATIVE_INT64,
                            [HDF5_FLOAT32] = H5T_NATIVE_FLOAT,
                            [HDF5_FLOAT64] = H5T_NATIVE_DOUBLE };
    return types[type];
}

static int64_t size_of(enum hdf5_type type)
{
    static const int64_t size[] = { [HDF5_TEXT] = 1, [HDF5_INT32] = 4, [HDF5_INT64] = 8, [HDF5_FLOAT32] = 4, [HDF5_FLOAT64] = 8 };
    return size[type];
}

/* libhdf5 opens by name only; this is the name of a file that is open and may have no other. */
static void name_of(char name[40], const struct output *output)
{
    snprintf(name, 40, "/proc/self/fd/%d", output->file);
}

static enum status cannot_write(struct error *err, const char *doing)
{
    return fail_with(err, DISK, "HDF5: %s: %s", "free some space or choose another folder, then run again", doing, errno ? strerror(errno) : "failed");
}

static enum status damaged(struct error *err, const char *path, const char *what)
{
    return fail_with(err, BAD_FILE, "%s: damaged: %s", cure, path, what);
}

/* Arrays begin at multiples of 8. The driver that uses stdio takes names as they are; the others resolve links, and a file that is being written has no name.
 */
static hid_t access_properties(void)
{
    const hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_stdio(properties);
    H5Pset_alignment(properties, 1, 8);
    return properties;
}

enum status hdf5_create(struct hdf5_file *file, const struct output *output, struct error *err)
{
    char name[40];
    *file = (struct hdf5_file){ 0 };
    CHECK(output->file >= 0 && !output->is_stream && output->buffered == 0);
    name_of(name, output);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* failures are reported by their return value */
    errno = 0;
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = access_properties();
    H5Pset_userblock(creation, SEAL);
    H5Pset_obj_track_times(creation, false);
    const hid_t handle = H5Fcreate(name, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    if (handle < 0)
        return cannot_write(err, "the file cannot be begun");
    file->handle = handle;
    return OK;
}

enum status hdf5_append(struct hdf5_file *file, const char *name, enum hdf5_type type, const void *values, int64_t count, int64_t *at, struct error *err)
{
    const hsize_t extent = (hsize_t)count;
    errno = 0;
    const hid_t links = H5Pcreate(H5P_LINK_CREATE), creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &extent, NULL);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_obj_track_times(creation, false);
    H5Pset_layout(creation, H5D_CONTIGUOUS);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    const hid_t array = H5Dcreate2(file->handle, name, type_of(type), space, links, creation, H5P_DEFAULT);
    bool done = array >= 0 && (count == 0 || H5Dwrite(array, type_of(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    *at = done && count > 0 ? (int64_t)H5Dget_offset(array) : 0;
    done = (array < 0 || H5Dclose(array) >= 0) && done && *at >= 0;
    H5Sclose(space);
    H5Pclose(creation);
    H5Pclose(links);
    return done ? OK : cannot_write(err, "writing failed");
}

enum status hdf5_map(struct hdf5_file *file, const struct output *output, struct error *err)
{
    char name[40];
    name_of(name, output);
    errno = 0;
    if (H5Fflush(file->handle, H5F_SCOPE_GLOBAL) < 0)
        return cannot_write(err, "writing failed");
    map_close(&file->map);
    return map_open(&file->map, name, err);
}

static void write_seal(char seal[SEAL], const struct map *map)
{
    char hex[65];
    memset(seal, 0, SEAL);
    hash_mapped(map->bytes + SEAL, map->size - SEAL, hex);
    snprintf(seal, SEAL, "%s%zu\n%s\n", title, map->size, hex);
}

enum status hdf5_seal(struct hdf5_file *file, const struct output *output, struct error *err)
{
    char name[40], seal[SEAL];
    name_of(name, output);
    errno = 0;
    const hid_t handle = file->handle;
    file->handle = 0;
    if (H5Fclose(handle) < 0)
        return cannot_write(err, "writing failed");
    map_close(&file->map);
    TRY(map_open(&file->map, name, err));
    write_seal(seal, &file->map);
    return pwrite(output->file, seal, SEAL, 0) == SEAL ? OK : cannot_write(err, "writing failed");
}

bool hdf5_is_sealed(const char *path)
{
    struct map map;
    struct error ignored = { .code = OK };
    const bool opened = map_open(&map, path, &ignored) == OK;
    const bool sealed = opened && map.size >= SEAL && memcmp(map.bytes, title, sizeof title - 1) == 0;
    if (opened)
        map_close(&map);
    return sealed;
}

enum status hdf5_open(struct hdf5_file *file, const char *path, struct error *err)
{
    char seal[SEAL];
    *file = (struct hdf5_file){ 0 };
    TRY(map_open(&file->map, path, err));
    if (file->map.size < SEAL)
        return damaged(err, path, "too short for a seal");
    write_seal(seal, &file->map);
    if (memcmp(seal, file->map.bytes, SEAL) != 0)
        return damaged(err, path, "its bytes are not those that were sealed");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    const hid_t access = access_properties(), handle = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (handle < 0)
        return damaged(err, path, "libhdf5 cannot read it");
    file->handle = handle;
    return OK;
}

bool hdf5_has(const struct hdf5_file *file, const char *name)
{
    return H5Lexists(file->handle, name, H5P_DEFAULT) > 0;
}

/* Where a contiguous array of that type lies; false if there is none. */
static bool locate(hid_t array, enum hdf5_type type, haddr_t *at, hsize_t *extent)
{
    const hid_t space = H5Dget_space(array), stored = H5Dget_type(array), creation = H5Dget_create_plist(array);
    const bool fits = space >= 0 && stored >= 0 && creation >= 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                      H5Sget_simple_extent_dims(space, extent, NULL) == 1 && H5Tequal(stored, type_of(type)) > 0 && H5Pget_layout(creation) == H5D_CONTIGUOUS &&
                      H5Pget_external_count(creation) == 0;
    *at = fits && *extent > 0 ? H5Dget_offset(array) : 0;
    if (space >= 0)
        H5Sclose(space);
    if (stored >= 0)
        H5Tclose(stored);
    if (creation >= 0)
        H5Pclose(creation);
    return fits;
}

enum status hdf5_find(const struct hdf5_file *file, const char *name, enum hdf5_type type, const void **values, int64_t *count, struct error *err)
{
    haddr_t at = 0;
    hsize_t extent = 0;
    const hid_t array = H5Dopen2(file->handle, name, H5P_DEFAULT);
    const bool found = array >= 0 && locate(array, type, &at, &extent);
    if (array >= 0)
        H5Dclose(array);
    const uint64_t size = (uint64_t)size_of(type);
    if (!found || at > file->map.size || at % size != 0 || extent > (file->map.size - at) / size)
        return fail_with(err, BAD_FILE, "%s: no array '%s' of the right kind", cure, file->map.path, name);
    *values = file->map.bytes + at;
    *count = (int64_t)extent;
    return OK;
}

void hdf5_close(struct hdf5_file *file)
{
    if (file->handle > 0)
        H5Fclose(file->handle);
    map_close(&file->map);
    *file = (struct hdf5_file){ 0 };
}
