/* Loading what lies beside the program. */
#include "trainer/module.h"
#include "common/files.h"
#include "common/text.h"

#include <dlfcn.h>
#include <unistd.h>

const struct module_head *module_load(struct arena *arena, const char *file, const char *symbol, size_t bytes, const char **why)
{
    char program[4096];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    const char *const places[] = { file, arena_print(arena, "../lib/graft/%s", file) };
    void *module = NULL;
    *why = "the file is not there";
    for (size_t i = 0; i < COUNT(places) && !module; i++) {
        const char *path = path_join(arena, path_folder(arena, program), places[i]);
        if (!file_exists(path))
            continue;
        module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!module)
            *why = arena_print(arena, "%s", dlerror());
    }
    if (!module)
        return NULL;
    const struct module_head *head = dlsym(module, symbol);
    if (head && text_equal(head->version, GRAFT_VERSION) && head->bytes == bytes)
        return head;
    *why = "it belongs to another graft";
    return NULL;
}
