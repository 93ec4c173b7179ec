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
#include "adapters/tokens.h"

struct lora_module {
    const struct site *site; /* NULL: the embedding's */
    int64_t rank;
    double alpha;
    float scale;
    struct tensor *a, *b;             /* [rank, in], [out, rank] */
    struct tensor *start_a, *start_b; /* pissa: A and B as they began, frozen; NULL */
    struct tensor *bias;              /* lora_bias: [1, out], inside the scaled term; NULL */
    struct tensor *magnitude;         /* use_dora: [1, out]; NULL */
};

struct lora {
    struct targets targets;
    struct lora_module *module;
    int modules;
    struct lora_module **by_place; /* [layers * HEAD + 1], the head last; NULL where there is no LoRA */
    struct lora_module *embedding; /* a [rank, vocab], b [width, rank]; NULL */
    const struct tensor *table;    /* the frozen embedding */
    const struct family *family;
    struct copies copies;
    struct tokens tokens;
    float dropout;
};

extern const char lora_root[]; /* in front of every key */

/* The number of a site in by_place. */
int lora_place(const struct model_config *config, const struct site *site);
bool lora_targets(const struct lora *lora, const char *module);

/* What rank and alpha are multiplied by in PEFT's files: of pissa the start is stored too, and the scale stays. */
struct stored_factors {
    int64_t rank;
    double alpha;
};
struct stored_factors lora_stored_factors(const struct lora_settings *set);

/* The seams (lora_walk.c). */
struct tensor *lora_linear_seam(void *self, struct pass *p, const struct frozen *frozen, struct tensor *y);
struct low_rank lora_head_seam(void *self, struct pass *p, struct tensor *hidden); /* only where the head is targeted */
struct tensor *lora_embed_seam(void *self, struct pass *p, struct tensor *h);
struct tensor *lora_weight_seam(void *self, struct pass *p, struct tensor *w);

/* Members of struct adapter_kind (lora_files.c). */
enum status lora_describe(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err);
bool lora_is_vector(const struct adapter *adapter, const struct tensor *parameter);
const struct tensor *lora_along(const struct adapter *adapter, struct arena *arena, const struct model *model, int number, const char **key);
const char *lora_rename(const struct adapter *adapter, struct arena *arena, const char *key);
struct tensor *lora_stored(const struct adapter *adapter, struct arena *arena, struct tensor *parameter);

/* Fills A and B of every module as init_lora_weights says. A value depends on the seed, the parameter's name and the element's number only. */
void lora_start(const struct lora *lora, struct parameters *parameters, const struct model *model, struct start start, uint64_t seed);
/* The row `fold` of struct adapter_kind. */
bool lora_fold(const struct adapter *adapter, const struct tensor *frozen, const char *name, int64_t first, int64_t rows, float *values);
enum status lora_fold_check(const struct adapter *adapter, const struct model *model, struct error *err);
/* The same for a LoRA on the embedding. */
void embedding_start(const struct lora_module *m, struct parameters *parameters, enum lora_start start, uint64_t seed);
/* Fills the magnitudes: the norms of the rows of W + s B A as A and B stand. Errors: NO_MEMORY, LIBRARY. */
enum status magnitudes_start(const struct lora *lora, struct parameters *parameters, const struct model *model, struct error *err);

#endif
