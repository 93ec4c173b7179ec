/* A folder of weights: model.safetensors, model.safetensors.index.json, and the shards a and b. Whatever the index promises, a set that opens holds every
 * tensor once.
 */
#include "common/safetensors.h"
#include "tests/fuzz/fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct safetensors_set set;
    fuzz_put_safetensors("model.safetensors", fuzz_next(&rest));
    fuzz_put("model.safetensors.index.json", fuzz_next(&rest));
    fuzz_put_safetensors("a.safetensors", fuzz_next(&rest));
    fuzz_put_safetensors("b.safetensors", fuzz_next(&rest));
    enum status status = safetensors_set_open(&set, arena, fuzz_folder(), "model", &err);
    fuzz_check(status, &err);
    CHECK((status == OK) == (set.files > 0));
    fuzz_accepted += status == OK;
    for (int f = 0; f < set.files; f++)
        for (int64_t i = 0; i < set.file[f].count; i++) {
            const struct safetensors *in = NULL;
            const struct safetensor *t = &set.file[f].tensor[i];
            CHECK(safetensors_set_find(&set, t->name, &in) == t && in == &set.file[f]);
            CHECK(t->offset <= in->map.size && t->bytes <= in->map.size - t->offset);
        }
    CHECK(!safetensors_set_find(&set, "no such tensor", NULL) || set.files > 0);
    safetensors_set_close(&set);
    arena_destroy(arena);
    return 0;
}
