/* Adapters: what is trained. One row per method; the base model is never touched, only its seams.
 *
 * An adapter is made from settings (YAML, or an adapter_config.json, read by the same rows), owns its parameters, fills struct seams, and is written and read
 * as PEFT does.
 */
#ifndef GRAFT_ADAPTERS_ADAPTER_H
#define GRAFT_ADAPTERS_ADAPTER_H

#include "autograd/parameters.h"
#include "common/settings.h"
#include "models/model.h"

struct tokenizer;

/* A trained row of the embedding, and of the head, that begins as the mean of frozen rows instead of as its own. */
struct row_start {
    int64_t id;
    const int32_t *from;
    int64_t count;
};

struct adapter {
    const struct adapter_kind *kind;
    const char *name; /* for messages; "default" unless given */
    void *settings;   /* the kind's settings struct */
    void *state;      /* the kind's own */
    struct parameters *parameters;
    struct seams seams;
    const char *base;                  /* base_model_name_or_path to be written */
    const char *init_from;             /* the PEFT folder to start from, or NULL */
    const struct row_start *row_start; /* set before adapter_start(), for a method that trains such rows */
    int row_starts;
    const struct tokenizer *tokenizer; /* set before adapter_save(): one with tokens of the adapter's own, which is saved along; NULL */
    bool for_use;                      /* not to be trained: instead of an encoder it has what the encoder made */
    bool encodes;                      /* set by attach: the parameters are an encoder's, and PEFT's file holds what it makes of them (seams.virtual_rows) */
};

enum { MOST_ALONG = 2 };

struct adapter_kind {
    const char *peft_type; /* "LORA" */
    const struct setting *setting;
    size_t settings, settings_bytes; /* number of rows; size of the struct they fill */
    /* Adds parameters for this model and fills seams. The parameters are not sealed yet. Errors: BAD_CONFIG (nothing matches, contradictions). */
    enum status (*attach)(struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err);
    /* Fills sealed parameters with the method's start; streams are named so that equal seeds give equal starts. */
    enum status (*initialise)(struct adapter *adapter, const struct model *model, uint64_t seed, struct error *err);
    /* Writes adapter_config.json's members into `json` (keys of the method, PEFT's spelling). */
    enum status (*describe)(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err);
    /* Whether a [1, n] parameter is a vector in PEFT's files (else every parameter is a matrix there). */
    bool (*is_vector)(const struct adapter *adapter, const struct tensor *parameter);
    /* PEFT's name of a parameter for a key of a file that spells it differently; NULL: the key is of no use and can be passed over; the key itself
     * otherwise. */
    const char *(*rename)(const struct adapter *adapter, struct arena *arena, const char *key);
    /* Rows [first, first + rows) of a frozen tensor with the adapter in them: `values`, f32 [rows, cols], holds them and is changed. `name` is that of the live
     * model; the head of a tied model is its embedding under another name. Returns whether the adapter touches the tensor; no rows: only that. NULL: the
     * method does not come down to other weights. */
    bool (*fold)(const struct adapter *adapter, const struct tensor *frozen, const char *name, int64_t first, int64_t rows, float *values);
    /* Whether all that the adapter computes can stand in tensors that this model has: BAD_FILE says what cannot. NULL: always. */
    enum status (*fold_check)(const struct adapter *adapter, const struct model *model, struct error *err);
    /* What PEFT's file holds for a parameter: the parameter, or a tensor in the arena with values for reading. NULL: every parameter as it is. */
    struct tensor *(*stored)(const struct adapter *adapter, struct arena *arena, struct tensor *parameter);
    /* The frozen tensors that PEFT stores along with the parameters, by number, and their keys; NULL: no more. */
    const struct tensor *(*along)(const struct adapter *adapter, struct arena *arena, const struct model *model, int number, const char **key);
    /* Whether two settings structs say the same in this row although they print differently. NULL: never. */
    bool (*agree)(struct arena *arena, const struct model *model, const struct setting *row, const void *a, const void *b);
};

extern const struct adapter_kind adapter_lora, adapter_prefix_tuning, adapter_prompt_tuning, adapter_p_tuning;

/* PEFT's fields common to all methods stand in the same map: peft_type, task_type, init_from. */
const struct adapter_kind *adapter_kind_find(const char *peft_type);
const char *const *adapter_kind_names(void);

/* From the YAML section `adapter` (may be NULL: a LORA with defaults is NOT assumed: BAD_CONFIG). `folder` is the YAML file's folder. With init_from, settings
 * come from that folder's adapter_config.json; what the YAML gives too must agree (BAD_CONFIG naming both values). Parameters are attached but neither sealed
 * nor filled: adapter_start() does that. */
enum status adapter_new(struct adapter **adapter, struct arena *arena, const struct yaml *section, const char *folder, const struct model *model,
                        struct error *err) MUST_USE;
/* The same without what only training needs: an adapter as it will be once it is trained and loaded. */
enum status adapter_new_for_use(struct adapter **adapter, struct arena *arena, const struct yaml *section, const char *folder, const struct model *model,
                                struct error *err) MUST_USE;
/* Seals (training or not) and fills: from init_from if given, else by the kind's initialise. */
enum status adapter_start(struct adapter *adapter, struct arena *arena, const struct model *model, struct device *device, bool training, uint64_t seed,
                          struct error *err) MUST_USE;
/* A PEFT folder, for use: new + start without training. Missing, unexpected and misshapen tensors are BAD_FILE, by name. */
enum status adapter_load(struct adapter **adapter, struct arena *arena, const char *folder, const struct model *model, struct device *device,
                         struct error *err) MUST_USE;
/* adapter_config.json, adapter_model.safetensors and README.md, adapter_trainable.safetensors where an encoder is trained, tokenizer.json and
 * tokenizer_config.json of adapter->tokenizer: whole or not at all each.
 * Existing files are replaced. */
enum status adapter_save(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct error *err) MUST_USE;
/* What stands in PEFT's file for an adapter that encodes: [P, cols] f32 in the arena. Errors: NO_MEMORY, kernel errors. */
enum status adapter_encode(const struct adapter *adapter, struct arena *arena, const struct model *model, struct tensor *encoded, struct error *err) MUST_USE;
/* Whether these can be attached at once: BAD_OPTION naming two that both put rows of their own in front of sequences, or both add to the head's output. */
enum status adapters_check(struct adapter *const *adapter, int count, struct error *err) MUST_USE;
void adapter_release(struct adapter *adapter); /* device memory; NULL is fine */
/* The resolved settings as YAML lines, for the saved configuration. */
void adapter_print(const struct adapter *adapter, struct text *out, int indent);
/* --help text of all methods. */
void adapter_help(struct text *out);
/* SHA-256 over names and values of the parameters. */
enum status adapter_hash(const struct adapter *adapter, char hex[65], struct error *err) MUST_USE;

#endif
