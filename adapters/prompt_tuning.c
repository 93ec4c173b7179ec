/* Prompt tuning: trained rows stand in front of every sequence as if they were embeddings of tokens; PEFT's PROMPT_TUNING.
 *
 * They have no ids of their own: ids behind the vocabulary name them. Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning";
 * peft 0.21 tuners/prompt_tuning.
 */
#include "adapters/start.h"
#include "adapters/virtual_tokens.h"

#include "autograd/cpu/rows.h"
#include "common/random.h"

struct prompt_settings {
    struct virtual_settings shape;
    int init;
    const char *text, *tokenizer;
};

enum { INIT_RANDOM, INIT_SAMPLE_VOCAB, INIT_TEXT };
static const char *const inits[] = { "RANDOM", "SAMPLE_VOCAB", "TEXT", NULL };

static const struct setting settings[] = {
    VIRTUAL_SETTINGS(struct prompt_settings),
    { .name = "prompt_tuning_init",
      .type = SETTING_CHOICE,
      .offset = offsetof(struct prompt_settings, init),
      .fallback = "RANDOM",
      .choices = inits,
      .help = "how the rows start: normal numbers, embeddings of random tokens, embeddings of prompt_tuning_init_text" },
    { .name = "prompt_tuning_init_text",
      .type = SETTING_TEXT,
      .offset = offsetof(struct prompt_settings, text),
      .help = "for TEXT: repeated or cut to num_virtual_tokens" },
    { .name = "tokenizer_name_or_path",
      .type = SETTING_PATH,
      .offset = offsetof(struct prompt_settings, tokenizer),
      .help = "for TEXT: a folder with tokenizer.json; the model's if left out" },
};

struct prompt_tuning {
    struct tensor *rows;
    const int32_t *text; /* [P], or NULL */
};

static struct tensor *virtual_rows(void *self, struct pass *p)
{
    (void)p;
    return ((const struct prompt_tuning *)self)->rows;
}

static enum status attach(struct adapter *adapter, struct arena *arena, const struct model *model, struct error *err)
{
    struct prompt_settings *set = adapter->settings;
    struct prompt_tuning *t = NEW(arena, struct prompt_tuning);
    TRY(virtual_check(&set->shape, model, model->config.width, model->config.heads, err));
    if (set->init == INIT_TEXT && !set->text)
        return fail_with(err, BAD_CONFIG, "adapter.prompt_tuning_init: TEXT, but prompt_tuning_init_text is missing", "say what the task is in a sentence");
    if (set->init != INIT_TEXT && set->text)
        return fail_with(err, BAD_CONFIG, "adapter.prompt_tuning_init_text: given, but prompt_tuning_init is %s", "write prompt_tuning_init: TEXT",
                         inits[set->init]);
    if (set->init == INIT_TEXT && !set->tokenizer)
        set->tokenizer = model->config.folder;
    t->rows = virtual_embedding(adapter, set->shape.tokens, model->config.width);
    if (set->init == INIT_TEXT && !adapter->init_from) {
        int32_t *ids;
        TRY(virtual_text(&ids, arena, "prompt_tuning_init_text", set->text, set->tokenizer, model, set->shape.tokens, err));
        t->text = ids;
    }
    adapter->state = t;
    adapter->seams = (struct seams){ .self = t, .virtual_rows = virtual_rows, .virtual_tokens = set->shape.tokens };
    return OK;
}

/* Embeddings of tokens: of the text, or of ids drawn with replacement. */
static void start_from_tokens(const struct adapter *adapter, const struct model *model, uint64_t seed)
{
    const struct prompt_tuning *t = adapter->state;
    const struct tensor *table = model->embed;
    const uint64_t stream = random_stream(t->rows->name);
    struct arena *scratch = arena_create_like(adapter->parameters->arena);
    const char *stored = tensor_values(model->device, scratch, table);
    float *values = NEW_ARRAY(scratch, t->rows->rows * t->rows->cols, float);
    for (int64_t r = 0; r < t->rows->rows; r++) {
        const int64_t id = t->text ? t->text[r] : (int64_t)random_below(seed, stream, (uint64_t)r, (uint64_t)table->rows);
        widen(values + r * table->cols, stored + (size_t)(id * table->cols) * dtype_bytes(table->dtype), table->dtype, table->cols);
        for (int64_t i = 0; i < table->cols; i++)
            values[r * table->cols + i] *= model->embed_scale; /* what stands there for a token is what the model would look up */
    }
    tensor_upload(adapter->parameters->device, t->rows, values);
    arena_destroy(scratch);
}

static enum status initialise(struct adapter *adapter, const struct model *model, uint64_t seed, struct error *err)
{
    const struct prompt_settings *set = adapter->settings;
    (void)err;
    if (set->init == INIT_RANDOM)
        start_normal(adapter->parameters, ((const struct prompt_tuning *)adapter->state)->rows, seed, 1);
    else
        start_from_tokens(adapter, model, seed);
    return OK;
}

static enum status describe(const struct adapter *adapter, const struct model *model, json_t *json, struct error *err)
{
    const struct prompt_settings *set = adapter->settings;
    (void)model;
    const int failed = virtual_describe(&set->shape, json) | json_object_set_new(json, "prompt_tuning_init", json_string(inits[set->init])) |
                       json_object_set_new(json, "prompt_tuning_init_text", set->text ? json_string(set->text) : json_null()) |
                       json_object_set_new(json, "tokenizer_name_or_path", set->tokenizer ? json_string(set->tokenizer) : json_null());
    return failed ? fail_with(err, BAD_CONFIG, "adapter: a setting that is no valid UTF-8 cannot be saved", "save the YAML file as UTF-8") : OK;
}

const struct adapter_kind adapter_prompt_tuning = {
    .peft_type = "PROMPT_TUNING",
    .setting = settings,
    .settings = COUNT(settings),
    .settings_bytes = sizeof(struct prompt_settings),
    .attach = attach,
    .initialise = initialise,
    .describe = describe,
    .is_vector = virtual_is_vector,
    .rename = virtual_rename,
};
