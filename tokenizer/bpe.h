/* Byte pair encoding: a piece begins as characters, and neighbours merge, the merge that comes first in the file's list first.
 *
 * The order comes from a heap of candidates; a candidate that no longer fits when its turn comes is dropped. So a piece of n characters
 * costs n log n, which matters for Llama, whose pieces are whole texts.
 */
#ifndef GRAFT_TOKENIZER_BPE_H
#define GRAFT_TOKENIZER_BPE_H

#include "tokenizer/model.h"

extern const struct model_kind model_bpe;

#endif
