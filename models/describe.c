/* A model without data: every tensor and every linear layer with its name and shape, enough to record and plan.
 *
 * This is the one place that knows which tensors a model has; weights.c finds bytes for exactly these.
 */
#include "autograd/cpu/rows.h"
#include "models/family.h"
#include "models/rope.h"

#include <math.h>

/* Whether a block has this layer at all. */
static bool has_site(const struct model_config *config, enum projection projection)
{
    switch (projection) {
    case Q:
    case K:
    case V:
        return config->shape.qkv_blocks == 0;
    case QKV:
        return config->shape.qkv_blocks > 0;
    case GATE:
        return !config->shape.plain_mlp && !config->shape.fused_mlp;
    case UP:
        return !config->shape.fused_mlp;
    case GATE_UP:
        return config->shape.fused_mlp;
    default:
        return true;
    }
}

/* Columns and rows of a projection's weight. */
static void site_sizes(const struct model_config *config, enum projection projection, int64_t *in, int64_t *out)
{
    int64_t q = config->heads * config->head_size, kv = config->kv_heads * config->head_size;
    *in = projection == ATTENTION_OUT ? q : projection == DOWN ? config->mlp_width : config->width;
    *out = config->width;
    if (projection == Q)
        *out = q;
    if (projection == K || projection == V)
        *out = kv;
    if (projection == QKV)
        *out = q + 2 * kv;
    if (projection == GATE || projection == UP)
        *out = config->mlp_width;
    if (projection == GATE_UP)
        *out = 2 * config->mlp_width;
    if (projection == HEAD)
        *out = config->vocab;
}

static bool has_bias(const struct model_config *config, enum projection projection)
{
    switch (projection) {
    case Q:
    case K:
    case V:
    case QKV:
        return config->shape.qkv_bias;
    case ATTENTION_OUT:
        return config->shape.attention_out_bias;
    case GATE:
    case UP:
    case GATE_UP:
    case DOWN:
        return config->shape.mlp_bias;
    case HEAD:
        return config->shape.head_bias;
    default:
        return false;
    }
}

int64_t model_config_size(const struct model_config *config)
{
    const struct shape *shape = &config->shape;
    int64_t norm = config->width * (shape->norm_bias ? 2 : 1), table = config->vocab * config->width;
    int64_t layer = norm * (shape->one_norm ? 1 : 2) + (shape->head_norms ? 2 * config->head_size : 0), rest = norm * (shape->embed_norm ? 2 : 1);
    for (enum projection i = Q; i < HEAD; i++) {
        int64_t in, out;
        site_sizes(config, i, &in, &out);
        if (has_site(config, i))
            layer += in * out + (has_bias(config, i) ? out : 0);
    }
    rest += (shape->positions == LEARNED ? (config->first_position + config->max_positions) * config->width : 0) + (shape->head_bias ? config->vocab : 0);
    return table + config->layers * layer + rest + (config->tied ? 0 : table);
}

static struct tensor *add_tensor(struct model *model, struct arena *arena, const char *module, const char *part, int64_t rows, int64_t cols)
{
    struct tensor *t = tensor_new(arena, arena_print(arena, "%s.%s", module, part), model->dtype, WEIGHT, rows, cols, NULL);
    model->tensor[model->tensors++] = t;
    return t;
}

static void add_norm(struct model *model, struct arena *arena, const char *module, struct tensor **weight, struct tensor **bias)
{
    *weight = add_tensor(model, arena, module, "weight", 1, model->config.width);
    if (model->config.shape.norm_bias)
        *bias = add_tensor(model, arena, module, "bias", 1, model->config.width);
}

static const char *module_name(struct arena *arena, const char *pattern, int layer)
{
    return arena_print(arena, pattern, layer);
}

static struct tensor *add_site(struct model *model, struct arena *arena, struct site *site, int layer, enum projection projection, const char *pattern)
{
    *site = (struct site){ .layer = layer, .projection = projection, .module = module_name(arena, pattern, layer) };
    site_sizes(&model->config, projection, &site->in, &site->out);
    model->site[model->sites++] = site;
    return projection == HEAD && model->config.tied ? model->embed : add_tensor(model, arena, site->module, "weight", site->out, site->in);
}

static void add_layer(struct model *model, struct arena *arena, int index)
{
    struct layer *layer = &model->layer[index];
    const struct model_config *config = &model->config;
    for (int i = 0; i < (config->shape.one_norm ? 1 : 2); i++)
        add_norm(model, arena, module_name(arena, config->norm[i], index), &layer->norm[i], &layer->norm_bias[i]);
    for (int i = 0; i < 2 && config->shape.head_norms; i++)
        layer->head_norm[i] = add_tensor(model, arena, module_name(arena, config->family->head_norm[i], index), "weight", 1, config->head_size);
    for (enum projection i = Q; i < HEAD; i++) {
        if (!has_site(config, i))
            continue;
        layer->w[i] = add_site(model, arena, &layer->site[i], index, i, config->family->projection[i]);
        if (has_bias(config, i))
            layer->bias[i] = add_tensor(model, arena, layer->site[i].module, "bias", 1, layer->site[i].out);
    }
}

/* Source: transformers models/gemma, where the factor has the dtype of the weights. */
static float embed_scale(const struct model_config *config, enum dtype dtype)
{
    float scale = config->shape.embed_scaled ? (float)sqrt((double)config->width) : 1, held;
    narrow(&held, &scale, dtype, 1);
    widen(&scale, &held, dtype, 1);
    return scale;
}

enum status model_describe(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct error *err)
{
    const struct family *family = config->family;
    *model = (struct model){ .arena = arena, .config = *config, .dtype = dtype, .rope_amplitude = 1, .dynamic_rope = rope_growth(config) };
    if (dtype != F32 && dtype != BF16)
        return fail_with(err, BAD_CONFIG, "dtype %s: graft does not compute with it on this device", "use float32 or bfloat16", dtype_name(dtype));
    model->embed_scale = embed_scale(config, dtype);
    model->layer = NEW_ARRAY(arena, config->layers, struct layer);
    model->site = NEW_ARRAY(arena, config->layers * HEAD + 1, struct site *);
    model->tensor = NEW_ARRAY(arena, config->layers * (6 + 2 * HEAD) + 8, struct tensor *);
    model->embed = add_tensor(model, arena, family->embed, "weight", config->vocab, config->width);
    if (config->shape.positions == LEARNED)
        model->position_table = add_tensor(model, arena, family->position_table, "weight", config->first_position + config->max_positions, config->width);
    if (config->shape.embed_norm)
        add_norm(model, arena, family->embed_norm, &model->embed_norm, &model->embed_norm_bias);
    for (int i = 0; i < (int)config->layers; i++)
        add_layer(model, arena, i);
    add_norm(model, arena, family->final_norm, &model->final_norm, &model->final_norm_bias);
    model->head = add_site(model, arena, &model->head_site, -1, HEAD, family->head);
    if (config->shape.head_bias)
        model->head_bias = add_tensor(model, arena, family->head, "bias", 1, config->vocab);
    if (config->shape.positions == ROTARY)
        model->inv_freq = tensor_new(arena, "inv_freq", F32, WEIGHT, 1, config->rotary_size / 2, NULL);
    if (config->shape.positions == ALIBI)
        model->slopes = tensor_new(arena, "slopes", F32, WEIGHT, 1, config->heads, NULL);
    return OK;
}

enum status model_dtype(const char *setting, const struct model_config *config, const struct device *device, enum dtype *dtype, struct error *err)
{
    (void)config; /* a CPU computes every model in either; bf16 is widened where the hardware lacks it */
    if (text_equal(setting, "auto")) {
        *dtype = device->kind == CUDA ? BF16 : F32;
        return OK;
    }
    if (text_equal(setting, "float32")) {
        *dtype = F32;
        return OK;
    }
    if (text_equal(setting, "bfloat16")) {
        *dtype = BF16;
        return OK;
    }
    if (text_equal(setting, "float16"))
        return fail_with(err, BAD_CONFIG, "dtype float16: CPUs do not compute in it", "use float32 or bfloat16; files stored in float16 can be read in both");
    return fail_with(err, BAD_CONFIG, "dtype '%s' is unknown", "use auto, float32 or bfloat16", setting);
}
