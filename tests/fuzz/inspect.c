/* A folder to be told what it is: adapter_config.json, adapter weights, config.json, model weights, the same in a torch.save file, its index; each behind
 * "====".
 */
#include "cli/commands.h"
#include "tests/fuzz/fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct common_options *options = arena_alloc(arena, command_inspect.bytes);
    const char *folder = fuzz_folder();
    fuzz_put("adapter_config.json", fuzz_next(&rest));
    fuzz_put_safetensors("adapter_model.safetensors", fuzz_next(&rest));
    fuzz_put("config.json", fuzz_next(&rest));
    fuzz_put_safetensors("model.safetensors", fuzz_next(&rest));
    fuzz_put("pytorch_model.bin", fuzz_next(&rest));
    fuzz_put("pytorch_model.bin.index.json", fuzz_next(&rest));
    options->device = "cpu";
    options->arguments = (struct list){ .item = &folder, .count = 1 };
    enum status status = command_inspect.run(&(struct cli){ .arena = arena, .err = &err }, options);
    fuzz_check(status, &err);
    fuzz_accepted += status == OK;
    arena_destroy(arena);
    return 0;
}
