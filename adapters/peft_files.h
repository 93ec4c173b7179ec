/* An adapter's folder as PEFT keeps it: adapter_config.json, adapter_model.safetensors, README.md. */
#ifndef GRAFT_ADAPTERS_PEFT_FILES_H
#define GRAFT_ADAPTERS_PEFT_FILES_H

#include "adapters/adapter.h"
#include "common/files.h"
#include "common/safetensors.h"

struct peft_config {
    const char *path; /* of adapter_config.json */
    const struct adapter_kind *kind;
    struct yaml *settings; /* the members that are settings of the kind, as if they had stood in YAML */
};

/* Errors: BAD_FILE naming file, key and value: no such file, a method or a setting that graft has not. Keys unknown to graft may stand there if they say
 * nothing (null, false, empty). */
enum status peft_config_read(struct peft_config *config, struct arena *arena, const char *folder, struct error *err) MUST_USE;
/* The tensors of an adapter's folder: adapter_model.safetensors, its shards, or else adapter_model.bin of older days. To be closed with
 * safetensors_set_close(). */
enum status peft_weights_open(struct safetensors_set *set, struct arena *arena, const char *folder, struct error *err) MUST_USE;
/* What PEFT saves of an encoder is what it made, from which it cannot be had back: BAD_FILE if an adapter that encodes finds no
 * adapter_trainable.safetensors there to go on from. */
enum status peft_trainable_check(const struct adapter *adapter, struct arena *arena, const char *folder, struct error *err) MUST_USE;
/* Fills sealed parameters, from adapter_trainable.safetensors if an encoder is among them. Missing, unexpected and misshapen tensors are BAD_FILE, by name.
 * Stored copies of frozen tensors must equal the model's. */
enum status peft_weights_read(const struct adapter *adapter, const struct model *model, const char *folder, struct error *err) MUST_USE;

/* The writers; each begins its file, to be committed with the others. What they take from the arena must live as long. */
enum status peft_config_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                              struct error *err) MUST_USE;
enum status peft_weights_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                               struct error *err) MUST_USE;
enum status peft_trainable_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                                 struct error *err) MUST_USE;
enum status peft_card_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                            struct error *err) MUST_USE;

#endif
