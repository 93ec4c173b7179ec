/* What graft inspect says of an adapter folder, from its two files alone. */
#ifndef GRAFT_CLI_INSPECT_ADAPTER_H
#define GRAFT_CLI_INSPECT_ADAPTER_H

#include "common/files.h"

/* Method, base, sizes, settings, and per layer the Frobenius norms of what is trained: for a LoRA of A, B and of the update s B A, for all else of the tensors.
 * Any method; the folder need not fit a model that graft has. Errors: BAD_FILE. */
enum status inspect_adapter(struct arena *arena, const char *folder, struct output *out, struct error *err) MUST_USE;

#endif
