/* What prefix tuning, prompt tuning and p-tuning have in common: rows of their own in front of every sequence.
 *
 * All three train an embedding [P, ..] and may run it through an encoder; what comes out, PEFT's `prompt_embeddings`, is all that use needs. So an adapter for
 * use has one parameter, those rows; one for training without an encoder too; one with an encoder has the encoder's, under the names they have in PEFT's
 * memory, and adapter_trainable.safetensors keeps them.
 */
#ifndef GRAFT_ADAPTERS_VIRTUAL_TOKENS_H
#define GRAFT_ADAPTERS_VIRTUAL_TOKENS_H

#include "adapters/adapter.h"

/* First in the settings of each method. 0: as the model says; attach fills in what it says. */
struct virtual_settings {
    int64_t tokens, token_dim, layers, heads, submodules;
};

enum { MOST_VIRTUAL_TOKENS = 65536, WIDEST_ENCODER = 1 << 20 };

#define VIRTUAL_ROW(section, member, text, most, about)                                                                                                        \
    {                                                                                                                                                          \
        .name = (text), .type = SETTING_INT, .offset = offsetof(section, shape.member), .min = 1, .max = (most), .help = (about)                               \
    }

/* The rows of the settings that all methods share. */
#define VIRTUAL_SETTINGS(section)                                                                                                                              \
    VIRTUAL_ROW(section, tokens, "num_virtual_tokens", MOST_VIRTUAL_TOKENS, "rows in front of every sequence; required"),                                      \
        VIRTUAL_ROW(section, token_dim, "token_dim", INT32_MAX, "width of a row; may be left out, and must be the model's"),                                   \
        VIRTUAL_ROW(section, layers, "num_layers", INT32_MAX, "likewise"), VIRTUAL_ROW(section, heads, "num_attention_heads", INT32_MAX, "likewise"),          \
        VIRTUAL_ROW(section, submodules, "num_transformer_submodules", INT32_MAX, "1: these models have a decoder only")

/* A layer y = x w^T + b of an encoder. */
struct dense {
    struct tensor *w, *b; /* [out, in], [1, out] */
};

/* Checks the settings against the model and fills in what they leave out: token_dim and heads as PEFT would. Errors: BAD_CONFIG with both values. */
enum status virtual_check(struct virtual_settings *shape, const struct model *model, int64_t token_dim, int64_t heads, struct error *err) MUST_USE;
/* The parameter that everything starts from, [P, cols]: named as in PEFT's memory if an encoder follows, else `prompt_embeddings`. */
struct tensor *virtual_embedding(struct adapter *adapter, int64_t tokens, int64_t cols);
/* Whether this adapter trains through an encoder, which its settings ask for with `encoder`: adapters for use have its result instead. */
bool virtual_encodes(struct adapter *adapter, bool encoder);
struct dense virtual_dense(struct adapter *adapter, const char *name, int64_t out, int64_t in);
struct tensor *virtual_layer(struct graph *g, struct tensor *x, struct dense layer);

/* Starts as PyTorch's nn.Linear: weight and bias within 1 / sqrt(in). */
void virtual_start_dense(const struct adapter *adapter, struct dense layer, uint64_t seed);

/* Exactly `tokens` ids of a text, special tokens of the tokenizer included, repeated or cut. Errors: BAD_CONFIG naming `setting`, those of the tokenizer. */
enum status virtual_text(int32_t **ids, struct arena *arena, const char *setting, const char *text, const char *tokenizer_folder, const struct model *model,
                         int64_t tokens, struct error *err) MUST_USE;

/* The members that all methods write. */
int virtual_describe(const struct virtual_settings *shape, json_t *json);
bool virtual_is_vector(const struct adapter *adapter, const struct tensor *parameter);
const char *virtual_rename(const struct adapter *adapter, struct arena *arena, const char *key);

#endif
