/* Prefix tuning: trained keys and values in front of those of every sequence, in every layer; PEFT's PREFIX_TUNING.
 *
 *     prompt_embeddings [P, 2 * layers * t] = E        or, with prefix_projection,        tanh(E W0^T + b0) W2^T + b2, E [P, t]
 *
 * t = kv_heads * head_size; layer i takes columns of slot 2i as keys and of slot 2i + 1 as values. The keys are not rotated, text begins at position P, and a
 * sliding window leaves prefix keys behind like any others: PEFT does the same, so its adapters expect it. Source: Li & Liang 2021, "Prefix-Tuning"; peft 0.21
 * tuners/prefix_tuning.
 */
#include "adapters/prefix_text.h"
#include "adapters/start.h"

#include <inttypes.h>

struct prefix_settings {
    struct virtual_settings shape;
    int64_t hidden; /* 0: token_dim */
    bool projection;
    int init_weights;
    const char *text; /* graft's own start */
};

enum { INIT_RANDOM, INIT_ZERO };
static const char *const inits[] = { "random", "zero", NULL };

static const struct setting settings[] = {
    VIRTUAL_SETTINGS(struct prefix_settings),
    { .name = "prefix_projection",
      .type = SETTING_BOOL,
      .offset = offsetof(struct prefix_settings, projection),
      .fallback = "false",
      .help = "train an embedding and two layers that make the prefix" },
    { .name = "encoder_hidden_size",
      .type = SETTING_INT,
      .offset = offsetof(struct prefix_settings, hidden),
      .min = 1,
      .max = WIDEST_ENCODER,
      .help = "width between the two layers of prefix_projection; as wide as token_dim if left out" },
    { .name = "init_weights",
      .type = SETTING_CHOICE,
      .offset = offsetof(struct prefix_settings, init_weights),
      .fallback = "random",
      .choices = inits,
      .help =
          "zero: keys and values of 0 at the start, which only take attention away; without prefix_projection all rows then stay equal, as if there were one; "
          "random is what PEFT does without this setting" },
    { .name = "prefix_init_text",
      .type = SETTING_TEXT,
      .offset = offsetof(struct prefix_settings, text),
      .help = "start from the keys and values of this text, repeated or cut to num_virtual_tokens; graft's own, without prefix_projection only" },
};

struct prefix_tuning {
    int64_t token_dim, layers;
    struct tensor *embedding;
    struct dense first, last; /* with a projection */
    const int32_t *text;      /* [P], or NULL */
};

static struct tensor *virtual_rows(void *self, struct pass *p)
{
    const struct prefix_tuning *t = self;
    return t->last.w ? virtual_layer(p->g, activation(p->g, virtual_layer(p->g, t->embedding, t->first), TANH), t->last) : t->embedding;
}

static struct tensor *slot(const struct prefix_tuning *t, struct pass *p, int64_t which)
{
    return cast(p->g, take_columns(p->g, p->virtual_rows, (struct columns){ which * t->token_dim, t->token_dim, 1, 0 }), p->model->dtype);
}

static struct prefix prefix_of(void *self, struct pass *p, int layer)
{
    return (struct prefix){ slot(self, p, 2 * layer), slot(self, p, 2 * layer + 1) };
}

static enum status check_text(const struct prefix_settings *set, struct error *err)
{
    if (!set->text || (!set->projection && set->init_weights == INIT_RANDOM))
        return OK;
    return fail_with(err, BAD_CONFIG, "adapter.prefix_init_text: given together with %s", "keep one of the two: the start can be one thing only",
                     set->projection ? "prefix_projection" : "init_weights: zero");
}

static enum status check_keys(const struct model *model, struct error *err)
{
    const struct model_config *c = &model->config;
    if (!c->shape.keys_spread)
        return OK;
    return fail_with(err, BAD_CONFIG,
                     "adapter.peft_type: PREFIX_TUNING, but PEFT gives a %s with new_decoder_architecture one prefix per query head (%" PRId64
                     "), and graft has one per key head (%" PRId64 ")",
                     "use LORA, PROMPT_TUNING or P_TUNING with this model", c->model_type, c->heads, c->kv_heads);
}

static enum status attach(struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err)
{
    struct prefix_settings *set = adapter->settings;
    struct prefix_tuning *t = NEW(arena, struct prefix_tuning);
    TRY(check_keys(model, err));
    TRY(virtual_check(&set->shape, model, model->config.kv_heads * model->config.head_size, model->config.kv_heads, err));
    TRY(check_text(set, err));
    set->hidden = set->hidden ? set->hidden : set->shape.token_dim;
    t->token_dim = set->shape.token_dim;
    t->layers = set->shape.layers;
    const int64_t all = 2 * t->layers * t->token_dim;
    const bool encodes = virtual_encodes(adapter, set->projection);
    t->embedding = virtual_embedding(adapter, set->shape.tokens, encodes ? t->token_dim : all);
    if (encodes) {
        t->first = virtual_dense(adapter, "transform.0", set->hidden, t->token_dim);
        t->last = virtual_dense(adapter, "transform.2", all, set->hidden);
    }
    if (set->text && !adapter->init_from) {
        int32_t *ids;
        TRY(virtual_text(&ids, arena, "prefix_init_text", set->text, model->config.folder, model, set->shape.tokens, err));
        t->text = ids;
    }
    adapter->state = t;
    adapter->seams = (struct seams){ .self = t, .virtual_rows = virtual_rows, .prefix = prefix_of, .first_position = set->shape.tokens };
    return OK;
}

/* Parameters are zero when they are sealed. */
static enum status initialise(struct adapter *adapter, const struct model *model, uint64_t seed, struct error *err)
{
    const struct prefix_settings *set = adapter->settings;
    const struct prefix_tuning *t = adapter->state;
    const bool zero = set->init_weights == INIT_ZERO;
    if (t->text)
        return prefix_of_text(adapter, t->embedding, model, t->text, err);
    if (t->last.w || !zero)
        start_normal(adapter->parameters, t->embedding, seed, 1);
    if (t->last.w) {
        virtual_start_dense(adapter, t->first, seed);
        if (!zero)
            virtual_start_dense(adapter, t->last, seed);
    }
    return OK;
}

static enum status describe(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err)
{
    const struct prefix_settings *set = adapter->settings;
    (void)model;
    int failed = virtual_describe(&set->shape, json) | json_object_set_new(json, "encoder_hidden_size", json_integer(set->hidden)) |
                 json_object_set_new(json, "prefix_projection", json_boolean(set->projection));
    if (set->init_weights == INIT_ZERO) /* a later addition of PEFT's */
        failed |= json_object_set_new(json, "init_weights", json_string("zero"));
    return failed ? fail_with(err, NO_MEMORY, "adapter_config.json: no memory to write it", "free some memory") : OK;
}

const struct adapter_kind adapter_prefix_tuning = {
    .peft_type = "PREFIX_TUNING",
    .setting = settings,
    .settings = COUNT(settings),
    .settings_bytes = sizeof(struct prefix_settings),
    .attach = attach,
    .initialise = initialise,
    .describe = describe,
    .is_vector = virtual_is_vector,
    .rename = virtual_rename,
};
