/* What GPT-2 and the families that grew from its code have in common, as initialisers for struct family: how they spell sizes, and keys of no consequence. */
#ifndef GRAFT_MODELS_FAMILIES_GPT_LIKE_H
#define GRAFT_MODELS_FAMILIES_GPT_LIKE_H

#include "models/family.h"

#define GPT_SPELLING                                                                                                                                           \
    .spelling = {                                                                                                                                              \
        [KEY_WIDTH] = { "n_embd" },                                                                                                                            \
        [KEY_MLP_WIDTH] = { "n_inner" },                                                                                                                       \
        [KEY_LAYERS] = { "n_layer" },                                                                                                                          \
        [KEY_HEADS] = { "n_head" },                                                                                                                            \
        [KEY_POSITIONS] = { "n_positions" },                                                                                                                   \
        [KEY_EPS] = { "layer_norm_epsilon" },                                                                                                                  \
        [KEY_ACTIVATION] = { "activation_function" },                                                                                                          \
    }

#endif
