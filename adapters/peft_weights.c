/* Reading and writing an adapter's weights: the parameters under PEFT's keys, f32 in safetensors when written, any float type when read.
 *
 * Files of all ages of PEFT and of raw state dicts spell the same key in several ways; spell() tries them in order.
 */
#include "adapters/peft_files.h"

#include "autograd/cpu/rows.h"
#include "common/files.h"
#include "models/torch_pickle.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct reading {
    const struct adapter *adapter;
    const struct model *model;
    const char *folder;
    struct arena *scratch; /* of this reading */
    const char **filled;   /* by parameter: the key that filled it */
    struct error *err;
};

static const struct {
    const char *name;
    enum dtype dtype;
} types[] = { { "F32", F32 }, { "BF16", BF16 }, { "F16", F16 } };

static const char *type_name(enum dtype dtype)
{
    size_t i = 0;
    while (types[i].dtype != dtype)
        CHECK(++i < COUNT(types));
    return types[i].name;
}

static enum status float_type(const struct reading *r, const struct safetensor *stored, enum dtype *dtype)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (strcmp(stored->dtype, types[i].name) == 0) {
            *dtype = types[i].dtype;
            return OK;
        }
    return fail_with(r->err, BAD_FILE, "%s: tensor '%s' is of type %s", "adapters hold F32, BF16 or F16", r->folder, stored->name, stored->dtype);
}

static int64_t elements(const struct safetensor *stored)
{
    int64_t count = 1;
    for (int i = 0; i < stored->rank; i++)
        count *= stored->shape[i];
    return count;
}

/* The stored values as f32, in the scratch arena. */
static enum status values_of(const struct reading *r, const struct safetensor *stored, float **values)
{
    enum dtype dtype = F32;
    TRY(float_type(r, stored, &dtype));
    const int64_t count = elements(stored);
    void *aligned = arena_alloc(r->scratch, (size_t)stored->bytes);
    *values = arena_array(r->scratch, (size_t)count, sizeof **values);
    if (count > 0) {
        memcpy(aligned, stored->data, (size_t)stored->bytes);
        widen(*values, aligned, dtype, count);
    }
    for (int64_t i = 0; i < count; i++)
        if (!isfinite((*values)[i]))
            return fail_with(r->err, BAD_FILE, "%s: tensor '%s' holds %f at element %" PRId64,
                             "the training that wrote it diverged: use an adapter from before", r->folder, stored->name, (double)(*values)[i], i);
    return OK;
}

static const char *shape_text(struct arena *arena, int rank, const int64_t *shape)
{
    struct text text = text_new(arena);
    text_add_string(&text, "[");
    for (int i = 0; i < rank; i++)
        text_print(&text, "%s%" PRId64, i ? ", " : "", shape[i]);
    text_add_string(&text, "]");
    return text.bytes;
}

/* A parameter's shape in the file. */
static int shape_of(const struct adapter *adapter, const struct tensor *t, int64_t shape[2])
{
    const int rank = adapter->kind->is_vector(adapter, t) ? 1 : 2;
    shape[0] = rank == 1 ? t->cols : t->rows;
    shape[1] = t->cols;
    return rank;
}

/* " on NAME [out, in]": the frozen weight that a parameter belongs to; "" if it belongs to none. */
static const char *beside(const struct reading *r, const char *key)
{
    for (int i = 0; i < r->model->tensors; i++) {
        const struct tensor *t = r->model->tensor[i];
        const char *dot = strrchr(t->name, '.');
        const char *module = arena_print(r->scratch, ".%.*s.", (int)(dot - t->name), t->name);
        if (strcmp(dot, ".weight") == 0 && strstr(key, module))
            return arena_print(r->scratch, " on %s [%" PRId64 ", %" PRId64 "]", t->name, t->rows, t->cols);
    }
    return "";
}

static enum status refuse_shape(const struct reading *r, const struct safetensor *stored, const struct tensor *t, int rank, const int64_t *shape)
{
    const char *has = shape_text(r->scratch, stored->rank, stored->shape), *wanted = shape_text(r->scratch, rank, shape);
    if (elements(stored) == 0)
        return fail_with(r->err, BAD_FILE, "%s: tensor '%s' has shape %s and holds nothing",
                         "DeepSpeed and FSDP leave such tensors where the parts were not gathered: save the adapter again from the gathered state dict",
                         r->folder, stored->name, has);
    return fail_with(r->err, BAD_FILE, "%s: tensor '%s' has shape %s%s; the model and adapter_config.json ask for %s",
                     "the adapter belongs to another base model, or its two files to different adapters", r->folder, stored->name, has, beside(r, t->name),
                     wanted);
}

static enum status fill_parameter(const struct reading *r, const struct safetensor *stored, struct tensor *t, const char **filled)
{
    int64_t shape[2];
    float *values;
    const int rank = shape_of(r->adapter, t, shape);
    if (*filled)
        return fail_with(r->err, BAD_FILE, "%s: tensors '%s' and '%s' are the same parameter", "keep one of the two", r->folder, *filled, stored->name);
    if (stored->rank != rank || memcmp(stored->shape, shape, (size_t)rank * sizeof *shape) != 0)
        return refuse_shape(r, stored, t, rank, shape);
    *filled = stored->name;
    TRY(values_of(r, stored, &values));
    tensor_upload(r->adapter->parameters->device, t, values);
    return OK;
}

/* The frozen tensor that PEFT stores along with a targeted head: "<module>.base_layer.weight" or "<module>.weight". */
static const struct tensor *frozen_of(const struct reading *r, const char *key)
{
    static const char root[] = "base_model.model.", infix[] = ".base_layer.";
    if (strncmp(key, root, sizeof root - 1) != 0)
        return NULL;
    const char *name = key + sizeof root - 1, *cut = strstr(name, infix);
    if (cut)
        name = arena_print(r->scratch, "%.*s.%s", (int)(cut - name), name, cut + sizeof infix - 1);
    for (int i = 0; i < r->model->tensors; i++)
        if (strcmp(r->model->tensor[i]->name, name) == 0)
            return r->model->tensor[i];
    const char *tied = arena_print(r->scratch, "%s.weight", r->model->head_site.module);
    return strcmp(name, tied) == 0 ? r->model->head : NULL;
}

/* A stored copy of a frozen tensor is fine if it says what the model says. */
static enum status compare_frozen(const struct reading *r, const struct safetensor *stored, const struct tensor *frozen)
{
    float *values, *widened;
    const int64_t count = frozen->rows * frozen->cols;
    TRY(values_of(r, stored, &values));
    const void *own = tensor_values(r->model->device, r->scratch, frozen);
    void *narrowed = arena_alloc(r->scratch, tensor_bytes(frozen));
    widened = arena_array(r->scratch, (size_t)count, sizeof *widened);
    bool same = elements(stored) == count && stored->rank > 0 && stored->shape[stored->rank - 1] == frozen->cols;
    if (same) {
        narrow(narrowed, values, frozen->dtype, count);
        widen(values, narrowed, frozen->dtype, count);
        widen(widened, own, frozen->dtype, count);
    }
    for (int64_t i = 0; same && i < count; i++)
        same = values[i] == widened[i];
    if (same)
        return OK;
    return fail_with(r->err, BAD_FILE, "%s: tensor '%s' is not what the model holds", "the adapter was made for a base model with other weights there",
                     r->folder, stored->name);
}

/* A raw state dict has the adapter's name behind these parts ("lora_A.default.weight", "lora_embedding_A.default"), PEFT's files do not. */
static const char *without_name(struct arena *arena, const char *key)
{
    static const char *const parts[] = { "lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector", "modules_to_save" };
    for (size_t i = 0; i < COUNT(parts); i++) {
        const char *part = arena_print(arena, ".%s.", parts[i]), *at = strstr(key, part);
        if (!at)
            continue;
        const char *name = at + strlen(part), *rest = strchr(name, '.');
        if (rest || (strcmp(name, "weight") != 0 && strcmp(name, "bias") != 0))
            return arena_print(arena, "%.*s%s", (int)(name - 1 - key), key, rest ? rest : "");
    }
    return key;
}

/* The trained copy of a module lies one level deeper in a raw state dict. */
static const char *without_copy(struct arena *arena, const char *key)
{
    static const char infix[] = ".modules_to_save.";
    const char *at = strstr(key, infix);
    return at ? arena_print(arena, "%.*s.%s", (int)(at - key), key, at + sizeof infix - 1) : key;
}

static const char *with_root(struct arena *arena, const char *key)
{
    static const char root[] = "base_model.model.";
    return text_starts(key, root) ? key : arena_print(arena, "%s%s", root, key);
}

/* The parameter's key that this key of the file stands for; else the key in PEFT's spelling; NULL: of no use. */
static const char *spell(const struct reading *r, const struct safetensors_set *set, const char *key)
{
    const struct parameters *parameters = r->adapter->parameters;
    if (parameters_find(parameters, key))
        return key;
    key = with_root(r->scratch, without_name(r->scratch, key));
    const char *plain = without_copy(r->scratch, key);
    if (plain != key && parameters_find(parameters, plain) && !safetensors_set_find(set, plain, NULL))
        return plain; /* with bias: all PEFT writes both, and the plain one is the saved one */
    return parameters_find(parameters, key) ? key : r->adapter->kind->rename(r->adapter, r->scratch, key);
}

static enum status take(const struct reading *r, const struct safetensors_set *set, const struct safetensor *stored)
{
    const struct parameters *parameters = r->adapter->parameters;
    const char *key = spell(r, set, stored->name);
    if (!key)
        return OK;
    for (int i = 0; i < parameters->tensors; i++)
        if (strcmp(parameters->tensor[i]->name, key) == 0)
            return fill_parameter(r, stored, parameters->tensor[i], &r->filled[i]);
    const struct tensor *frozen = frozen_of(r, key);
    if (frozen)
        return compare_frozen(r, stored, frozen);
    return fail_with(r->err, BAD_FILE, "%s: unexpected tensor '%s'", "adapter_config.json does not ask for it: are both files of one adapter?", r->folder,
                     stored->name);
}

static enum status take_all(const struct reading *r, const struct safetensors_set *set)
{
    for (int f = 0; f < set->files; f++)
        for (int64_t i = 0; i < set->file[f].count; i++)
            TRY(take(r, set, &set->file[f].tensor[i]));
    for (int i = 0; i < r->adapter->parameters->tensors; i++)
        if (!r->filled[i])
            return fail_with(r->err, BAD_FILE, "%s: tensor '%s' is missing", "adapter_config.json asks for it: are both files of one adapter, and complete?",
                             r->folder, r->adapter->parameters->tensor[i]->name);
    return OK;
}

enum status peft_weights_open(struct safetensors_set *set, struct arena *arena, const char *folder, struct error *err)
{
    static const struct container containers[] = { { "adapter_model.safetensors", safetensors_open }, { "adapter_model.bin", torch_pickle_open } };
    return safetensors_set_open_first(set, arena, folder, containers, COUNT(containers), err);
}

enum status peft_trainable_check(const struct adapter *adapter, struct arena *arena, const char *folder, struct error *err)
{
    const char *path = path_join(arena, folder, "adapter_trainable.safetensors");
    if (!adapter->encodes || file_exists(path))
        return OK;
    return fail_with(err, BAD_FILE, "%s: no such file; training of this %s adapter cannot go on without its encoder",
                     "start from a folder that graft trained; this one can be used (generate, score, evaluate), or leave init_from out to begin anew", path,
                     adapter->kind->peft_type);
}

enum status peft_weights_read(const struct adapter *adapter, const struct model *model, const char *folder, struct error *err)
{
    struct safetensors_set set;
    struct arena *scratch = arena_create_like(adapter->parameters->arena);
    struct reading r = { .adapter = adapter, .model = model, .folder = folder, .scratch = scratch, .err = err };
    r.filled = NEW_ARRAY(scratch, adapter->parameters->tensors, const char *);
    enum status status =
        adapter->encodes ? safetensors_set_open(&set, scratch, folder, "adapter_trainable", err) : peft_weights_open(&set, scratch, folder, err);
    if (status == OK)
        status = take_all(&r, &set);
    safetensors_set_close(&set);
    arena_destroy(scratch);
    return status;
}

/* The parameters under their names. */
static enum status write_parameters(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *path, struct output *out,
                                    struct error *err)
{
    const struct parameters *parameters = adapter->parameters;
    struct safetensor *file = NEW_ARRAY(arena, parameters->tensors + MOST_ALONG, struct safetensor);
    int count = parameters->tensors;
    for (int i = 0; i < parameters->tensors; i++) {
        struct tensor *t = parameters->tensor[i];
        if (adapter->kind->stored)
            t = adapter->kind->stored(adapter, arena, t);
        file[i] = (struct safetensor){ .name = t->name, .dtype = "F32", .data = tensor_values(parameters->device, arena, t) };
        file[i].rank = shape_of(adapter, t, file[i].shape);
    }
    const char *key = NULL;
    const struct tensor *along;
    for (int i = 0; adapter->kind->along && i < MOST_ALONG && (along = adapter->kind->along(adapter, arena, model, i, &key)); i++)
        file[count++] = (struct safetensor){ .name = key,
                                             .dtype = type_name(along->dtype),
                                             .rank = 2,
                                             .shape = { along->rows, along->cols },
                                             .data = tensor_values(parameters->device, arena, along) };
    TRY(output_open(out, arena, path, true, err));
    safetensors_print(out, arena, file, count);
    return OK;
}

enum status peft_trainable_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                                 struct error *err)
{
    return write_parameters(adapter, arena, model, path_join(arena, folder, "adapter_trainable.safetensors"), out, err);
}

enum status peft_weights_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const char *folder, struct output *out,
                               struct error *err)
{
    const char *path = path_join(arena, folder, "adapter_model.safetensors");
    struct tensor encoded;
    if (!adapter->encodes)
        return write_parameters(adapter, arena, model, path, out, err);
    TRY(adapter_encode(adapter, arena, model, &encoded, err));
    const struct safetensor file = { .name = "prompt_embeddings", .dtype = "F32", .rank = 2, .shape = { encoded.rows, encoded.cols }, .data = encoded.data };
    TRY(output_open(out, arena, path, true, err));
    safetensors_print(out, arena, &file, 1);
    return OK;
}
