/* What the readers of config.json share: how a value is refused, which keys are known, and the parts that have a file of their own.
 *
 * Every reader fails closed: what would be computed differently from transformers is BAD_MODEL, with path, key, value and cure.
 */
#ifndef GRAFT_MODELS_HF_CONFIG_H
#define GRAFT_MODELS_HF_CONFIG_H

#include "common/json.h"
#include "models/family.h"

/* BAD_MODEL: "path: key 'key' = value: what". The value is the object's member of that name, "absent" if it has none. */
enum status config_refuse(const json_t *object, const char *path, const char *key, const char *what, const char *cure, struct error *err) MUST_USE;

/* The name under which this file says something about a key; the family's usual one where it is silent. Spellings that contradict each other are BAD_MODEL. */
enum status config_spelling(const struct family *family, const json_t *json, const char *path, enum config_key key, const char **name,
                            struct error *err) MUST_USE;

/* Whether a key is of the library that wrote the file, and of no model. */
bool config_is_of_library(const char *key);

/* null, false, 0, "", [] or {}, or absent: says nothing. */
bool config_is_trivial(const json_t *value);

/* Refuses keys that change the mathematics in a way graft does not compute; names in one warning those that nobody knows. */
enum status config_check_keys(struct arena *arena, const json_t *json, const char *path, const struct family *family, struct error *err) MUST_USE;

/* config->rope from rope_scaling or rope_parameters, rope_theta and original_max_position_embeddings. Needs head_size and max_positions. */
enum status config_read_rope(struct model_config *config, const json_t *json, const char *path, struct error *err) MUST_USE;

/* rotary_dim of GPT-J and CodeGen: so many dimensions of a head are rotated, with the plain frequencies whatever other keys say. */
enum status config_read_rotary_dim(struct model_config *config, const json_t *json, const char *path, struct error *err) MUST_USE;

/* The first key by which transformers would drop something in training, NULL if there is none. */
const char *config_dropout(const json_t *json, const struct family *family);

#endif
