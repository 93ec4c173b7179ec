/* Folding an adapter into a copy of its base model: W + s B A where there was W, in f32 with one rounding, as a folder that needs no adapter.
 *
 * Tensors are walked once, a few rows at a time, so memory does not grow with the model. What the adapter does not touch keeps its bytes, and every file of the
 * model's folder that holds no weights is copied. A tied head and embedding that are no longer equal become two tensors, and config.json says so.
 * Source of the mathematics: peft 0.21 tuners/lora/layer.py (merge), which rounds twice where the base is narrow.
 */
#ifndef GRAFT_ADAPTERS_MERGE_H
#define GRAFT_ADAPTERS_MERGE_H

#include "adapters/adapter.h"
#include "common/files.h"

struct merge_settings {
    const char *folder;  /* to be written */
    const char *dtype;   /* of the weights: "F32", "BF16", "F16"; NULL: each as it is stored */
    int64_t shard_bytes; /* a file holds at most so many bytes of tensors, or one tensor */
    bool overwrite;      /* files of the same names */
};

struct merge_result {
    const char **written; /* paths, none before all are in place */
    int files;
    int64_t tensors, changed;
    uint64_t bytes;       /* of all tensors */
    const char *coarsest; /* dtype with the fewest digits among tensors that are not stored as they were; "F32" if there is none */
    bool untied;
};

/* Whether what is folded is what the adapter computes, before anything is rounded to a narrow dtype, where even a small effect shows: random inputs go through
 * every linear layer and the head with the adapter in its seam, and through the folded rows in double; every id is looked up with the adapter and in the folded
 * table; vectors are their trained copies. Errors: UNHEALTHY naming the layer, NO_MEMORY. */
enum status merge_check(const struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err) MUST_USE;

/* The folder appears with all its files or with none. The model must be loaded. Errors: BAD_FILE (the method cannot be folded; a value that the dtype cannot
 * hold), those of merge_check(), EXISTS (files that would be overwritten, or weights of another model that would stay beside), DISK. */
enum status merge_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const struct merge_settings *settings,
                        struct merge_result *result, struct error *err) MUST_USE;

#endif
