/* A prefix that begins as a text: the keys and values that the frozen model itself has for it. */
#ifndef GRAFT_ADAPTERS_PREFIX_TEXT_H
#define GRAFT_ADAPTERS_PREFIX_TEXT_H

#include "adapters/virtual_tokens.h"

/* Fills prompt_embeddings [P, 2 * layers * kv_heads * head_size] with the keys, rotated for positions 0 .. P - 1, and values of ids [P]: with them a prefix
 * does what the text in front of a sequence would. Errors: NO_MEMORY, kernel errors. */
enum status prefix_of_text(const struct adapter *adapter, struct tensor *prompt_embeddings, const struct model *model, const int32_t *ids,
                           struct error *err) MUST_USE;

#endif
