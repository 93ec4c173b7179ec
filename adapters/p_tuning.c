/* P-tuning: prompt tuning whose rows come out of a small network; PEFT's P_TUNING.
 *
 *     MLP    relu(relu(E W0^T + b0) W2^T + b2) W4^T + b4
 *     LSTM   relu(l W0^T + b0) W2^T + b2, l = a bidirectional LSTM over the P rows of E, dropout between its layers
 *
 * Source: Liu et al. 2021, "GPT Understands, Too"; peft 0.21 tuners/p_tuning.
 */
#include "adapters/start.h"
#include "adapters/virtual_tokens.h"

#include <math.h>

struct p_settings {
    struct virtual_settings shape;
    int encoder;
    int64_t hidden; /* 0: token_dim */
    int64_t layers;
    double dropout;
};

enum { ENCODER_MLP, ENCODER_LSTM };
static const char *const encoders[] = { "MLP", "LSTM", NULL };
enum { DENSE_LAYERS = 3, DEEPEST = 64 };

static const struct setting settings[] = {
    VIRTUAL_SETTINGS(struct p_settings),
    { .name = "encoder_reparameterization_type",
      .type = SETTING_CHOICE,
      .offset = offsetof(struct p_settings, encoder),
      .fallback = "MLP",
      .choices = encoders,
      .help = "the network that makes the rows" },
    { .name = "encoder_hidden_size",
      .type = SETTING_INT,
      .offset = offsetof(struct p_settings, hidden),
      .min = 1,
      .max = WIDEST_ENCODER,
      .help = "its width; as wide as token_dim if left out" },
    { .name = "encoder_num_layers",
      .type = SETTING_INT,
      .offset = offsetof(struct p_settings, layers),
      .fallback = "2",
      .min = 1,
      .max = DEEPEST,
      .help = "layers of the LSTM; an MLP always has three" },
    { .name = "encoder_dropout",
      .type = SETTING_REAL,
      .offset = offsetof(struct p_settings, dropout),
      .fallback = "0",
      .min = 0,
      .max = 0.999,
      .help = "between the layers of the LSTM, training only" },
};

struct p_tuning {
    struct tensor *embedding;
    struct lstm_weights (*lstm)[2]; /* [layers]: forward, reverse */
    int64_t layers;                 /* of the LSTM */
    struct dense dense[DENSE_LAYERS];
    int denses;
    float dropout;
    struct tensor *row_key; /* I32 [P, 1]: 0, 1, 2, .. */
};

static struct tensor *virtual_rows(void *self, struct pass *p)
{
    const struct p_tuning *t = self;
    struct tensor *x = t->embedding;
    for (int64_t i = 0; i < t->layers; i++) {
        if (i > 0 && p->draw)
            x = dropout(p->g, x, t->row_key, p->draw, t->dropout);
        x = lstm(p->g, x, t->lstm[i][0], t->lstm[i][1]);
    }
    for (int i = 0; i < t->denses; i++)
        x = virtual_layer(p->g, i > 0 ? activation(p->g, x, RELU) : x, t->dense[i]);
    return x;
}

static struct lstm_weights lstm_add(struct adapter *adapter, int64_t layer, const char *suffix, int64_t in, int64_t hidden)
{
    struct arena *arena = adapter->parameters->arena;
    const struct {
        const char *name;
        int64_t rows, cols;
    } rows[] = { { "weight_ih", 4 * hidden, in }, { "weight_hh", 4 * hidden, hidden }, { "bias_ih", 1, 4 * hidden }, { "bias_hh", 1, 4 * hidden } };
    struct tensor *t[COUNT(rows)];
    for (size_t i = 0; i < COUNT(rows); i++)
        t[i] = parameters_add(adapter->parameters, arena_print(arena, "prompt_encoder.default.lstm_head.%s_l%d%s", rows[i].name, (int)layer, suffix),
                              rows[i].rows, rows[i].cols);
    return (struct lstm_weights){ t[0], t[1], t[2], t[3] };
}

static void add_lstm(struct adapter *adapter, struct arena *arena, struct p_tuning *t, const struct p_settings *set)
{
    t->layers = set->layers;
    t->lstm = arena_array(arena, (size_t)t->layers, sizeof *t->lstm);
    for (int64_t i = 0; i < t->layers; i++) {
        const int64_t in = i > 0 ? 2 * set->hidden : set->shape.token_dim;
        t->lstm[i][0] = lstm_add(adapter, i, "", in, set->hidden);
        t->lstm[i][1] = lstm_add(adapter, i, "_reverse", in, set->hidden);
    }
    t->dropout = (float)set->dropout;
    int32_t *numbers = NEW_ARRAY(arena, set->shape.tokens, int32_t);
    for (int64_t i = 0; i < set->shape.tokens; i++)
        numbers[i] = (int32_t)i;
    t->row_key = tensor_new(arena, "virtual rows", I32, WEIGHT, set->shape.tokens, 1, numbers);
}

static void add_dense(struct adapter *adapter, struct p_tuning *t, int64_t out, int64_t in)
{
    static const char *const names[DENSE_LAYERS] = { "mlp_head.0", "mlp_head.2", "mlp_head.4" };
    t->dense[t->denses] = virtual_dense(adapter, names[t->denses], out, in);
    t->denses++;
}

static enum status attach(struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err)
{
    struct p_settings *set = adapter->settings;
    struct p_tuning *t = NEW(arena, struct p_tuning);
    const int64_t width = model->config.width;
    TRY(virtual_check(&set->shape, model, width, model->config.heads, err));
    set->hidden = set->hidden ? set->hidden : width;
    const bool encodes = virtual_encodes(adapter, true);
    t->embedding = virtual_embedding(adapter, set->shape.tokens, width);
    if (encodes && set->encoder == ENCODER_LSTM) {
        add_lstm(adapter, arena, t, set);
        add_dense(adapter, t, 2 * set->hidden, 2 * set->hidden);
        add_dense(adapter, t, width, 2 * set->hidden);
    } else if (encodes) {
        add_dense(adapter, t, set->hidden, width);
        add_dense(adapter, t, set->hidden, set->hidden);
        add_dense(adapter, t, width, set->hidden);
    }
    adapter->state = t;
    adapter->seams = (struct seams){ .self = t, .virtual_rows = virtual_rows, .virtual_tokens = set->shape.tokens };
    return OK;
}

static enum status initialise(struct adapter *adapter, const struct model *model, uint64_t seed, struct error *err)
{
    const struct p_tuning *t = adapter->state;
    (void)model;
    (void)err;
    start_normal(adapter->parameters, t->embedding, seed, 1);
    for (int64_t i = 0; i < t->layers; i++)
        for (int direction = 0; direction < 2; direction++) {
            const struct lstm_weights w = t->lstm[i][direction];
            struct tensor *const all[] = { w.w_ih, w.w_hh, w.b_ih, w.b_hh };
            for (size_t k = 0; k < COUNT(all); k++)
                start_uniform(adapter->parameters, all[k], seed, 1 / sqrt((double)w.w_hh->cols));
        }
    for (int i = 0; i < t->denses; i++)
        virtual_start_dense(adapter, t->dense[i], seed);
    return OK;
}

static enum status describe(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err)
{
    const struct p_settings *set = adapter->settings;
    (void)model;
    const int failed = virtual_describe(&set->shape, json) | json_object_set_new(json, "encoder_dropout", json_real(set->dropout)) |
                       json_object_set_new(json, "encoder_hidden_size", json_integer(set->hidden)) |
                       json_object_set_new(json, "encoder_num_layers", json_integer(set->layers)) |
                       json_object_set_new(json, "encoder_reparameterization_type", json_string(encoders[set->encoder]));
    return failed ? fail_with(err, NO_MEMORY, "adapter_config.json: no memory to write it", "free some memory") : OK;
}

const struct adapter_kind adapter_p_tuning = {
    .peft_type = "P_TUNING",
    .setting = settings,
    .settings = COUNT(settings),
    .settings_bytes = sizeof(struct p_settings),
    .attach = attach,
    .initialise = initialise,
    .describe = describe,
    .is_vector = virtual_is_vector,
    .rename = virtual_rename,
};
