/* An adapter folder: adapter_config.json and the weights beside it, as one file or as index and shard, loaded onto a tiny model. */
#include "adapters/adapter.h"
#include "tests/fuzz/fuzz_folder.h"
#include "tests/fuzz/fuzz_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct adapter *adapter;
    fuzz_put("adapter_config.json", fuzz_next(&rest));
    fuzz_put_safetensors("adapter_model.safetensors", fuzz_next(&rest));
    fuzz_put("adapter_model.safetensors.index.json", fuzz_next(&rest));
    fuzz_put_safetensors("a.safetensors", fuzz_next(&rest));
    enum status status = adapter_load(&adapter, arena, fuzz_folder(), fuzz_model(), &fuzz_device, &err);
    fuzz_check(status, &err);
    CHECK((status == OK) == (adapter != NULL));
    if (adapter) {
        char hash[65];
        struct text text = text_new(arena);
        fuzz_accepted++;
        CHECK(adapter_hash(adapter, hash, &err) == OK);
        adapter_print(adapter, &text, 2);
    }
    adapter_release(adapter);
    arena_destroy(arena);
    return 0;
}
