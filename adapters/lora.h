/* LoRA: y = x W^T + s (drop(x) A^T) B^T, with A [rank, in], B [out, rank] trained and W frozen.
 *
 * The frozen result is the tensor that the second product adds into, so the update costs two thin products and nothing else. s = alpha / rank, or
 * alpha / sqrt(rank) with use_rslora; rank and alpha may differ from module to module. Source: Hu et al. 2021, "LoRA"; peft 0.21 tuners/lora/layer.py.
 */
#ifndef GRAFT_ADAPTERS_LORA_H
#define GRAFT_ADAPTERS_LORA_H

#include "adapters/adapter.h"
#include "adapters/copies.h"
#include "adapters/lora_settings.h"

struct lora_module {
    const struct site *site;
    int64_t rank;
    double alpha;
    float scale;
    struct tensor *a, *b; /* [rank, in], [out, rank] */
};

struct lora {
    struct targets targets;
    struct lora_module *module;
    int modules;
    struct lora_module **by_place; /* [layers * HEAD + 1], the head last; NULL where there is no LoRA */
    struct copies copies;
    float dropout;
};

/* Fills A and B of every module as init_lora_weights says. A value depends on the seed, the parameter's name and the element's number only. */
void lora_start(const struct lora *lora, struct parameters *parameters, enum lora_start start, uint64_t seed);
/* The row `fold` of struct adapter_kind. */
bool lora_fold(const struct adapter *adapter, const struct tensor *frozen, const char *name, int64_t first, int64_t rows, float *values);

#endif
