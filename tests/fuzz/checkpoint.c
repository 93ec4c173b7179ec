/* Arrays of a checkpoint, each behind "====", in the order of `array`: put into a sealed file, and read. What is read as a checkpoint is then compared with
 * itself, key by key. (libhdf5 sees no file that graft did not seal, so it gets only sound ones here.)
 */
#include "tests/fuzz/fuzz_folder.h"
#include "trainer/changes.h"
#include "trainer/checkpoint.h"

static const struct {
    const char *name;
    enum hdf5_type type;
    size_t size;
} array[] = {
    { "kind", HDF5_TEXT, 1 },     { "numbers", HDF5_INT64, 8 },  { "reals", HDF5_FLOAT64, 8 }, { "identity", HDF5_TEXT, 1 },
    { "config", HDF5_TEXT, 1 },   { "names", HDF5_TEXT, 1 },     { "shapes", HDF5_INT64, 8 },  { "value", HDF5_FLOAT32, 4 },
    { "first", HDF5_FLOAT32, 4 }, { "second", HDF5_FLOAT32, 4 }, { "best", HDF5_FLOAT32, 4 },
};

static void write_arrays(struct arena *arena, struct output *output, struct part rest, struct error *err)
{
    struct hdf5_file file;
    int64_t at;
    CHECK(output_open(output, arena, path_join(arena, fuzz_folder(), "checkpoint.h5"), true, err) == OK);
    CHECK(hdf5_create(&file, output, err) == OK);
    for (size_t i = 0; i < COUNT(array) && rest.bytes; i++) {
        const struct part part = fuzz_next(&rest);
        void *values = memcpy(arena_alloc(arena, part.size), part.bytes, part.size);
        CHECK(hdf5_append(&file, array[i].name, array[i].type, values, (int64_t)(part.size / array[i].size), &at, err) == OK);
    }
    CHECK(hdf5_seal(&file, output, err) == OK);
    hdf5_close(&file);
}

static volatile float sum;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct output output;
    struct checkpoint checkpoint;
    char path[64];
    write_arrays(arena, &output, (struct part){ (const char *)bytes, size }, &err);
    snprintf(path, sizeof path, "/proc/self/fd/%d", output.file);
    enum status status = checkpoint_open(&checkpoint, arena, path, &err);
    fuzz_check(status, &err);
    fuzz_accepted += status == OK;
    for (int64_t i = 0; status == OK && i < checkpoint.count; i++)
        sum = checkpoint.value[i] + checkpoint.first[i] + checkpoint.second[i] + (checkpoint.best ? checkpoint.best[i] : 0);
    if (status == OK) {
        const struct described run = { checkpoint.config, &checkpoint.identity };
        const enum status same = changes_check(arena, "checkpoint", &run, &run, &(struct allowed){ 0 }, &err);
        fuzz_check(same, &err);
        CHECK(same == OK || same == BAD_CONFIG);
    }
    checkpoint_close(&checkpoint);
    output_discard(&output);
    arena_destroy(arena);
    return 0;
}
