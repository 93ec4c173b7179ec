/* An adapter folder in a page: settings as they stand, and norms that show where training moved something. */
#include "cli/inspect_adapter.h"

#include "adapters/peft_files.h"
#include "adapters/targets.h"
#include "autograd/cpu/rows.h"
#include "common/json.h"
#include "common/pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ||BA|| comes from the products A A^T and B^T B, [rank, rank] each; beyond this rank they are left out. */
enum { LARGEST_RANK = 64 };

enum { NORM_A, NORM_B, NORM_UPDATE, NORM_OTHERS, NORMS };

struct norms {
    int64_t layer; /* -1: of no layer */
    double square[NORMS];
};

struct inspection {
    struct arena *arena;
    const char *where;
    json_t *config;
    struct safetensors_set set;
    struct pattern **alpha; /* of alpha_pattern's keys, in its order */
    struct norms *norms;    /* one for each tensor */
    int64_t count;
    bool missing; /* an update whose norm was left out */
    struct error *err;
};

/* As f32, in the scratch arena; NULL for types that no adapter is trained in. */
static float *values_of(struct arena *scratch, const struct safetensor *t, int64_t *count)
{
    static const char *const names[] = { [F32] = "F32", [BF16] = "BF16", [F16] = "F16" };
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], t->dtype) == 0) {
            *count = (int64_t)(t->bytes / dtype_bytes((enum dtype)i));
            void *aligned = arena_alloc(scratch, (size_t)t->bytes);
            float *values = NEW_ARRAY(scratch, *count, float);
            if (*count > 0) {
                memcpy(aligned, t->data, (size_t)t->bytes);
                widen(values, aligned, (enum dtype)i, *count);
            }
            return values;
        }
    return NULL;
}

static double dot(const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)a[i * a_step] * (double)b[i * b_step];
    return sum;
}

/* ||B A||^2 = sum over k, l of (A A^T)[k, l] (B^T B)[k, l], for A [rank, in] and B [out, rank]. */
static double update_square(const float *a, const float *b, int64_t rank, int64_t in, int64_t out)
{
    double sum = 0;
    for (int64_t k = 0; k < rank; k++)
        for (int64_t l = 0; l <= k; l++)
            sum += (k == l ? 1 : 2) * dot(a + k * in, 1, a + l * in, 1, in) * dot(b + k, rank, b + l, rank, out);
    return sum;
}

/* s of a module: alpha over the rank, or its root. */
static enum status scale_of(const struct inspection *i, const char *module, int64_t rank, double *scale)
{
    double alpha = 8; /* PEFT's default */
    bool stabilised = false, matches = false;
    const char *key;
    json_t *value;
    int number = 0;
    TRY(json_get_real(i->config, i->where, "lora_alpha", &alpha, i->err));
    TRY(json_get_bool(i->config, i->where, "use_rslora", &stabilised, i->err));
    json_object_foreach(json_object_get(i->config, "alpha_pattern"), key, value)
    {
        TRY(pattern_matches_end(i->alpha[number++], module, &matches, i->err));
        if (!matches || !json_is_number(value))
            continue;
        alpha = json_number_value(value);
        break;
    }
    *scale = alpha / (stabilised ? sqrt((double)rank) : (double)rank);
    return OK;
}

/* The tensor of the same module on the other side of the product: "….lora_A.…" and "….lora_B.…". */
static const struct safetensor *partner_of(const struct inspection *i, struct arena *scratch, const struct safetensor *a, const char **module)
{
    static const char part[] = ".lora_A.";
    const char *at = strstr(a->name, part);
    *module = at ? arena_text(scratch, a->name, (size_t)(at - a->name)) : NULL;
    return at ? safetensors_set_find(&i->set, arena_print(scratch, "%s.lora_B.%s", *module, at + sizeof part - 1), NULL) : NULL;
}

static enum status measure_update(struct inspection *i, struct arena *scratch, const struct safetensor *a, const float *values, struct norms *norms)
{
    const char *module;
    const struct safetensor *b = partner_of(i, scratch, a, &module);
    int64_t count = 0;
    double scale = 0;
    if (!b || a->rank != 2 || b->rank != 2 || b->shape[1] != a->shape[0])
        return OK;
    const float *others = a->shape[0] <= LARGEST_RANK ? values_of(scratch, b, &count) : NULL;
    i->missing |= !others;
    if (!others || a->shape[0] == 0)
        return OK;
    TRY(scale_of(i, module, a->shape[0], &scale));
    norms->square[NORM_UPDATE] = scale * scale * update_square(values, others, a->shape[0], a->shape[1], b->shape[0]);
    return OK;
}

static enum status measure(struct inspection *i, const struct safetensor *t)
{
    struct norms *norms = &i->norms[i->count++];
    const struct names anywhere = { 0 };
    struct arena *scratch = arena_create_like(i->arena);
    int64_t count = 0;
    const float *values = values_of(scratch, t, &count);
    const int which = strstr(t->name, ".lora_A.") ? NORM_A : strstr(t->name, ".lora_B.") ? NORM_B : NORM_OTHERS;
    enum status status = OK;
    *norms = (struct norms){ .layer = name_layer(t->name, &anywhere) };
    if (values)
        norms->square[which] = dot(values, 1, values, 1, count);
    if (values && which == NORM_A)
        status = measure_update(i, scratch, t, values, norms);
    arena_destroy(scratch);
    return status;
}

static enum status compile_patterns(struct inspection *i)
{
    const char *key;
    json_t *value, *map = json_object_get(i->config, "alpha_pattern");
    int count = 0;
    i->alpha = NEW_ARRAY(i->arena, json_object_size(map), struct pattern *);
    json_object_foreach(map, key, value) TRY(pattern_new(&i->alpha[count++], i->arena, key, arena_print(i->arena, "%s: alpha_pattern", i->where), i->err));
    return OK;
}

static int by_layer(const void *a, const void *b)
{
    const struct norms *x = a, *y = b;
    return (x->layer > y->layer) - (x->layer < y->layer);
}

static void print_norms(struct inspection *i, struct output *out)
{
    static const char *const heads[NORMS] = { "|A|", "|B|", "|s B A|", "others" };
    if (i->count)
        qsort(i->norms, (size_t)i->count, sizeof *i->norms, by_layer);
    output_print(out, "  norms of layer");
    for (int n = 0; n < NORMS; n++)
        output_print(out, " %11s", heads[n]);
    output_print(out, "\n");
    for (int64_t first = 0, next; first < i->count; first = next) {
        struct norms sum = i->norms[first];
        for (next = first + 1; next < i->count && i->norms[next].layer == sum.layer; next++)
            for (int n = 0; n < NORMS; n++)
                sum.square[n] += i->norms[next].square[n];
        if (sum.layer < 0)
            output_print(out, "  of no layer   ");
        else
            output_print(out, "  %-14lld", (long long)sum.layer);
        for (int n = 0; n < NORMS; n++)
            output_print(out, " %11.5g", sqrt(sum.square[n]));
        output_print(out, "\n");
    }
    if (i->missing)
        output_print(out, "  (|s B A| is left out above rank %d)\n", LARGEST_RANK);
}

/* "1.1 MiB as F32, F16" */
static void print_sizes(const struct inspection *i, struct output *out)
{
    uint64_t bytes = 0;
    int64_t values = 0;
    char text[32];
    struct text dtypes = text_new(i->arena);
    for (int f = 0; f < i->set.files; f++)
        for (int64_t t = 0; t < i->set.file[f].count; t++) {
            const struct safetensor *tensor = &i->set.file[f].tensor[t];
            bytes += tensor->bytes;
            values += (int64_t)(tensor->bytes / (uint64_t)safetensors_dtype_bytes(tensor->dtype));
            if (!dtypes.length || !strstr(dtypes.bytes, tensor->dtype))
                text_print(&dtypes, "%s%s", dtypes.length ? ", " : "", tensor->dtype);
        }
    output_print(out, "  values         %lld in %lld tensors, %s%s%s\n", (long long)values, (long long)i->count, text_bytes(text, bytes),
                 dtypes.length ? " as " : "", dtypes.length ? dtypes.bytes : "");
}

static enum status inspect(struct inspection *i, const char *folder, struct output *out)
{
    const char *type = "?", *base = "?", *key;
    json_t *value;
    TRY(json_get_text(i->config, i->where, "peft_type", &type, i->err));
    TRY(json_get_text(i->config, i->where, "base_model_name_or_path", &base, i->err));
    TRY(peft_weights_open(&i->set, i->arena, folder, i->err));
    TRY(compile_patterns(i));
    int64_t tensors = 0;
    for (int f = 0; f < i->set.files; f++)
        tensors += i->set.file[f].count;
    i->norms = NEW_ARRAY(i->arena, tensors, struct norms);
    for (int f = 0; f < i->set.files; f++)
        for (int64_t t = 0; t < i->set.file[f].count; t++)
            TRY(measure(i, &i->set.file[f].tensor[t]));
    output_print(out, "%s: an adapter folder\n  method         %s\n  base           %s\n", folder,
                 text_make_printable(arena_text(i->arena, type, strlen(type))), text_make_printable(arena_text(i->arena, base, strlen(base))));
    print_sizes(i, out);
    json_object_foreach(i->config, key, value)
    {
        char *text = json_is_null(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (text)
            output_print(out, "  %-28s %s\n", text_make_printable(arena_text(i->arena, key, strlen(key))), text);
        free(text);
    }
    print_norms(i, out);
    return OK;
}

enum status inspect_adapter(struct arena *arena, const char *folder, struct output *out, struct error *err)
{
    struct inspection i = { .arena = arena, .where = path_join(arena, folder, "adapter_config.json"), .err = err };
    TRY(json_read(i.where, &i.config, err));
    enum status status = inspect(&i, folder, out);
    safetensors_set_close(&i.set);
    json_decref(i.config);
    return status;
}
