/* Slopes of ALiBi: how much a head's scores fall with every position between query and key. */
#ifndef GRAFT_MODELS_ALIBI_H
#define GRAFT_MODELS_ALIBI_H

#include "models/model.h"

/* Fills slopes[heads], in the f32 steps of transformers' modeling files (5.23). */
void alibi_slopes(const struct model_config *config, float *slopes);

#endif
