/* What prefix tuning, prompt tuning and p-tuning have in common. */
#include "adapters/virtual_tokens.h"
#include "adapters/start.h"

#include "tokenizer/tokenizer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum status virtual_check(struct virtual_settings *shape, const struct model *model, int64_t token_dim, int64_t heads, struct error *err)
{
    const struct model_config *c = &model->config;
    const struct {
        const char *name;
        int64_t *given, is;
    } rows[] = { { "token_dim", &shape->token_dim, token_dim },
                 { "num_layers", &shape->layers, c->layers },
                 { "num_attention_heads", &shape->heads, heads },
                 { "num_transformer_submodules", &shape->submodules, 1 } };
    if (shape->tokens == 0)
        return fail_with(err, BAD_CONFIG, "adapter.num_virtual_tokens: missing", "say how many rows stand in front of every sequence: 8 to 100 are usual");
    if (c->shape.positions != ALIBI && shape->tokens >= c->max_positions) /* a slope goes on for ever */
        return fail_with(err, BAD_CONFIG, "adapter.num_virtual_tokens: %" PRId64 ", the model has %" PRId64 " positions", "leave room for text", shape->tokens,
                         c->max_positions);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (*rows[i].given != 0 && *rows[i].given != rows[i].is)
            return fail_with(err, BAD_CONFIG,
                             "adapter.%s: %" PRId64 ", for this model it is %" PRId64 " (%" PRId64 " layers of width %" PRId64 ", %" PRId64
                             " heads and %" PRId64 " key heads of size %" PRId64 ")",
                             "leave the setting out; an adapter that says so was made for another base model", rows[i].name, *rows[i].given, rows[i].is,
                             c->layers, c->width, c->heads, c->kv_heads, c->head_size);
        *rows[i].given = rows[i].is;
    }
    return OK;
}

bool virtual_encodes(struct adapter *adapter, bool encoder)
{
    return adapter->encodes = encoder && !adapter->for_use;
}

struct tensor *virtual_embedding(struct adapter *adapter, int64_t tokens, int64_t cols)
{
    return parameters_add(adapter->parameters, adapter->encodes ? "prompt_encoder.default.embedding.weight" : "prompt_embeddings", tokens, cols);
}

struct dense virtual_dense(struct adapter *adapter, const char *name, int64_t out, int64_t in)
{
    struct arena *arena = adapter->parameters->arena;
    return (struct dense){ parameters_add(adapter->parameters, arena_print(arena, "prompt_encoder.default.%s.weight", name), out, in),
                           parameters_add(adapter->parameters, arena_print(arena, "prompt_encoder.default.%s.bias", name), 1, out) };
}

struct tensor *virtual_layer(struct graph *g, struct tensor *x, struct dense layer)
{
    return linear(g, x, layer.w, layer.b, NULL, 1);
}

void virtual_start_dense(const struct adapter *adapter, struct dense layer, uint64_t seed)
{
    const double bound = 1 / sqrt((double)layer.w->cols);
    start_uniform(adapter->parameters, layer.w, seed, bound);
    start_uniform(adapter->parameters, layer.b, seed, bound);
}

/* Ids of the text, cut or repeated to `tokens`. */
static enum status encode(int32_t *ids, struct arena *arena, const char *setting, const char *text, const struct tokenizer *tokenizer,
                          const struct model *model, int64_t tokens, struct error *err)
{
    struct tokens encoded;
    if (tokenizer_encode(tokenizer, arena, text, strlen(text), true, &encoded, err) != OK)
        return place_failure(err, arena_print(arena, "adapter.%s", setting));
    if (encoded.count == 0)
        return fail_with(err, BAD_CONFIG, "adapter.%s: '%.100s' has no tokens", "write a text that says what the task is", setting, text);
    for (int64_t i = 0; i < tokens; i++) {
        ids[i] = encoded.token[i % encoded.count].id;
        if (ids[i] >= model->config.vocab)
            return fail_with(err, BAD_CONFIG, "adapter.%s: its token %" PRId64 " has id %d, the model's vocabulary has %" PRId64 " rows",
                             "use the tokenizer that belongs to the model", setting, i % encoded.count, ids[i], model->config.vocab);
    }
    return OK;
}

enum status virtual_text(int32_t **ids, struct arena *arena, const char *setting, const char *text, const char *tokenizer_folder, const struct model *model,
                         int64_t tokens, struct error *err)
{
    struct tokenizer *tokenizer;
    struct arena *scratch = arena_create_like(arena);
    *ids = NEW_ARRAY(arena, tokens, int32_t);
    enum status status = tokenizer_open(&tokenizer, scratch, tokenizer_folder, err);
    if (status != OK)
        status = place_failure(err, arena_print(arena, "adapter.%s", setting));
    else
        status = encode(*ids, scratch, setting, text, tokenizer, model, tokens, err);
    tokenizer_close(tokenizer);
    arena_destroy(scratch);
    return status;
}

int virtual_describe(const struct virtual_settings *shape, json_t *json)
{
    return json_object_set_new(json, "num_attention_heads", json_integer(shape->heads)) | json_object_set_new(json, "num_layers", json_integer(shape->layers)) |
           json_object_set_new(json, "num_transformer_submodules", json_integer(shape->submodules)) |
           json_object_set_new(json, "num_virtual_tokens", json_integer(shape->tokens)) |
           json_object_set_new(json, "token_dim", json_integer(shape->token_dim));
}

bool virtual_is_vector(const struct adapter *adapter, const struct tensor *parameter)
{
    (void)adapter;
    return strstr(parameter->name, "bias") != NULL;
}

const char *virtual_rename(const struct adapter *adapter, struct arena *arena, const char *key)
{
    (void)adapter;
    (void)arena;
    return key;
}
