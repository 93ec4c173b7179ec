/* Rotary positions from a configuration: which frequencies, which amplitude, and whether they depend on length. */
#ifndef GRAFT_MODELS_ROPE_H
#define GRAFT_MODELS_ROPE_H

#include "models/model.h"

/* Fills inv_freq[rotary_size / 2] and returns the factor on cos and sin. Computed in the f32 and f64 steps of transformers' modeling_rope_utils.py (5.23). */
float rope_frequencies(const struct model_config *config, float *inv_freq);

/* How the base grows with the length of a sequence (rope_type dynamic); factor 0 for all other types. */
struct dynamic_rope rope_growth(const struct model_config *config);

#endif
