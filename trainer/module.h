/* Modules: files of their own beside the program, loaded by ranks alone, because the libraries behind them would make every start of graft slower, and need not
 * be there. Each offers one row, which begins with the version of the graft it was built with and its size.
 */
#ifndef GRAFT_TRAINER_MODULE_H
#define GRAFT_TRAINER_MODULE_H

#include "common/arena.h"

struct module_head {
    const char *version; /* GRAFT_VERSION */
    size_t bytes;        /* of what the row and the program share */
};

/* The row `symbol` of the module `file` beside the program, or where an installation has it; NULL, and in *why the reason. It stays loaded. */
const struct module_head *module_load(struct arena *arena, const char *file, const char *symbol, size_t bytes, const char **why);

#endif
