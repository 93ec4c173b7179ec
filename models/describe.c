/* A model without data: every tensor and every linear layer with its name and shape, enough to record and plan.
 *
 * This is the one place that knows which tensors a model has; weights.c finds bytes for exactly these.
 */
#include "models/family.h"
#include "models/rope.h"

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
    if (projection == GATE || projection == UP)
        *out = config->mlp_width;
    if (projection == HEAD)
        *out = config->vocab;
}

static bool has_bias(const struct model_config *config, enum projection projection)
{
    switch (projection) {
    case Q:
    case K:
    case V:
        return config->qkv_bias;
    case ATTENTION_OUT:
        return config->attention_out_bias;
    case GATE:
    case UP:
    case DOWN:
        return config->mlp_bias;
    default:
        return false;
    }
}

int64_t model_config_size(const struct model_config *config)
{
    int64_t layer = 2 * config->width, table = config->vocab * config->width;
    for (enum projection i = Q; i < HEAD; i++) {
        int64_t in, out;
        site_sizes(config, i, &in, &out);
        layer += in * out + (has_bias(config, i) ? out : 0);
    }
    return table + config->layers * layer + config->width + (config->tied ? 0 : table);
}

static struct tensor *add_tensor(struct model *model, struct arena *arena, const char *module, const char *part, int64_t rows, int64_t cols)
{
    struct tensor *t = tensor_new(arena, arena_print(arena, "%s.%s", module, part), model->dtype, WEIGHT, rows, cols, NULL);
    model->tensor[model->tensors++] = t;
    return t;
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
    const struct family *family = model->config.family;
    for (int i = 0; i < 2; i++)
        layer->norm[i] = add_tensor(model, arena, module_name(arena, family->norm[i], index), "weight", 1, model->config.width);
    for (enum projection i = Q; i < HEAD; i++) {
        layer->w[i] = add_site(model, arena, &layer->site[i], index, i, family->projection[i]);
        if (has_bias(&model->config, i))
            layer->bias[i] = add_tensor(model, arena, layer->site[i].module, "bias", 1, layer->site[i].out);
    }
}

enum status model_describe(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct error *err)
{
    const struct family *family = config->family;
    *model = (struct model){ .arena = arena, .config = *config, .dtype = dtype, .rope_amplitude = 1, .dynamic_rope = rope_growth(config) };
    if (dtype != F32 && dtype != BF16)
        return fail_with(err, BAD_CONFIG, "dtype %s: graft does not compute with it on this device", "use float32 or bfloat16", dtype_name(dtype));
    model->layer = NEW_ARRAY(arena, config->layers, struct layer);
    model->site = NEW_ARRAY(arena, config->layers * HEAD + 1, struct site *);
    model->tensor = NEW_ARRAY(arena, config->layers * (2 + 2 * HEAD) + 3, struct tensor *);
    model->embed = add_tensor(model, arena, family->embed, "weight", config->vocab, config->width);
    for (int i = 0; i < (int)config->layers; i++)
        add_layer(model, arena, i);
    model->final_norm = add_tensor(model, arena, family->final_norm, "weight", 1, config->width);
    model->head = add_site(model, arena, &model->head_site, -1, HEAD, family->head);
    model->inv_freq = tensor_new(arena, "inv_freq", F32, WEIGHT, 1, config->head_size / 2, NULL);
    return OK;
}

enum status model_dtype(const char *setting, const struct model_config *config, const struct device *device, enum dtype *dtype, struct error *err)
{
    (void)config, (void)device; /* a CPU computes every model in either; bf16 is widened where the hardware lacks it */
    if (text_equal(setting, "auto") || text_equal(setting, "float32")) {
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
