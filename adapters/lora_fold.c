/* LoRA in the weights: what stands in W where the walk through the model adds to what W computes.
 *
 *     W + s B A                    a targeted layer; on the embedding W + s A^T B^T
 *     m / n (W + s B A)            DoRA, n the norm of each row; 0 where n is 0
 *     bias + s lora_bias           lora_bias; a layer without a bias has nowhere to put it
 *     the trained copy, the trained rows for some tokens, before anything is added
 */
#include "adapters/lora.h"

#include <math.h>
#include <string.h>

/* Rows of a frozen tensor that are being folded. */
struct fold {
    const struct lora *lora;
    struct device *device;
    struct arena *scratch;
    const struct tensor *frozen;
    const char *name; /* in the live model */
    int64_t first, rows;
    float *values; /* [rows, cols] */
};

static const float *values_of(const struct fold *f, const struct tensor *parameter)
{
    return tensor_values(f->device, f->scratch, parameter);
}

/* Whether this is the tensor `what` of a module. */
static bool is_named(const struct fold *f, const char *module, const char *what)
{
    const size_t length = strlen(module);
    return strncmp(f->name, module, length) == 0 && strcmp(f->name + length, what) == 0;
}

/* A tied head is its embedding under another name. */
static bool take_copies(const struct fold *f)
{
    const bool head = strcmp(f->name, f->frozen->name) != 0;
    bool touched = false;
    for (int i = 0; i < f->lora->copies.count; i++) {
        const struct copy *copy = &f->lora->copies.copy[i];
        if (copy->head != head || strcmp(copy->frozen->name, f->frozen->name) != 0)
            continue;
        touched = true;
        if (f->rows)
            memcpy(f->values, values_of(f, copy->value) + f->first * f->frozen->cols, (size_t)(f->rows * f->frozen->cols) * sizeof *f->values);
    }
    return touched;
}

static bool take_token_rows(const struct fold *f)
{
    const bool head = strcmp(f->name, f->lora->table->name) != 0;
    const int64_t width = f->frozen->cols;
    bool touched = false;
    for (int i = 0; i < f->lora->tokens.count; i++) {
        const struct token_rows *rows = &f->lora->tokens.rows[i];
        if (!(head ? rows->head : rows->looked_up) || strcmp(rows->frozen->name, f->frozen->name) != 0)
            continue;
        touched = true;
        const float *trained = f->rows ? values_of(f, rows->value) : NULL;
        for (int64_t k = 0; k < rows->value->rows; k++)
            if (rows->id[k] >= f->first && rows->id[k] - f->first < f->rows)
                memcpy(f->values + (rows->id[k] - f->first) * width, trained + k * width, (size_t)width * sizeof *trained);
    }
    return touched;
}

static void add_scaled(float *values, float factor, const float *row, int64_t count)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        values[c] += factor * row[c];
}

/* The norm is a sum in double: its own rounding stays far below that of what it divides. */
static void scale_to(float *values, float magnitude, int64_t count)
{
    double sum = 0;
    for (int64_t c = 0; c < count; c++)
        sum += (double)values[c] * (double)values[c];
    const float factor = sum > 0 ? (float)((double)magnitude / sqrt(sum)) : 0;
    for (int64_t c = 0; c < count; c++)
        values[c] *= factor;
}

static void add_update(const struct fold *f, const struct lora_module *m)
{
    const int64_t rank = m->rank, in = m->site->in;
    const float *a = values_of(f, m->a), *b = values_of(f, m->b) + f->first * rank;
    const float *magnitude = m->magnitude ? values_of(f, m->magnitude) + f->first : NULL;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < f->rows; r++) {
        for (int64_t k = 0; k < rank; k++)
            add_scaled(f->values + r * in, m->scale * b[r * rank + k], a + k * in, in);
        if (magnitude)
            scale_to(f->values + r * in, magnitude[r], in);
    }
}

static bool update_layers(const struct fold *f)
{
    bool touched = false;
    for (int i = 0; i < f->lora->modules; i++) {
        const struct lora_module *m = &f->lora->module[i];
        const bool weight = is_named(f, m->site->module, ".weight"), bias = m->bias && is_named(f, m->site->module, ".bias");
        touched |= weight || bias;
        if (weight && f->rows)
            add_update(f, m);
        if (bias && f->rows)
            add_scaled(f->values, m->scale, values_of(f, m->bias), m->bias->cols);
    }
    return touched;
}

/* A lies on its side: a column for each token. */
static bool update_embedding(const struct fold *f)
{
    const struct lora_module *m = f->lora->embedding;
    if (!m || strcmp(f->name, f->lora->table->name) != 0)
        return false;
    const float *a = f->rows ? values_of(f, m->a) : NULL, *b = f->rows ? values_of(f, m->b) : NULL;
    const int64_t width = f->frozen->cols;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < f->rows; r++)
        for (int64_t c = 0; c < width; c++) {
            float sum = 0;
            for (int64_t k = 0; k < m->rank; k++)
                sum += a[k * m->a->cols + f->first + r] * b[c * m->rank + k];
            f->values[r * width + c] += m->scale * sum;
        }
    return true;
}

bool lora_fold(const struct adapter *adapter, const struct tensor *frozen, const char *name, int64_t first, int64_t rows, float *values)
{
    const struct lora *lora = adapter->state;
    struct arena *scratch = arena_create_like(adapter->parameters->arena);
    const struct fold f = { lora, adapter->parameters->device, scratch, frozen, name, first, rows, values };
    bool touched = take_copies(&f);
    touched |= take_token_rows(&f);
    touched |= update_layers(&f);
    touched |= update_embedding(&f);
    arena_destroy(scratch);
    return touched;
}

enum status lora_fold_check(const struct adapter *adapter, const struct model *model, struct error *err)
{
    const struct lora *lora = adapter->state;
    for (int i = 0; i < lora->modules; i++) {
        const struct site *site = lora->module[i].site;
        if (!lora->module[i].bias || (site->projection != HEAD && model->layer[site->layer].bias[site->projection]))
            continue;
        return fail_with(err, BAD_FILE, "%s: cannot be merged: it has a bias for %s (lora_bias), and the base model has none there to add it to",
                         "give the adapter to generate, evaluate and score with --adapter", adapter->init_from, site->module);
    }
    return OK;
}
