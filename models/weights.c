/* Bytes for a described model, from the safetensors or torch.save files of its folder.
 *
 * What the file stores in the dtype of computation is used where it lies in the mapping, and so are the matrices of a narrower file: products and embeddings
 * widen what they read. Everything else is converted once, into one allocation. A file must hold exactly the tensors of its configuration: a tensor that nobody
 * asks for means that the model is another one than graft would compute.
 */
#include "autograd/cpu/rows.h"
#include "common/files.h"
#include "models/alibi.h"
#include "models/family.h"
#include "models/rope.h"
#include "models/torch_pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where a tensor of the model is stored. */
struct source {
    struct tensor *tensor;
    const struct safetensor *stored;
    const struct safetensors *file;
    enum dtype dtype;
    bool in_place, transposed;
};

static const struct safetensor *find_head(const struct model *model, const struct safetensors **file)
{
    const char *const names[] = { model->head_site.module, model->config.family->head_in_files };
    const struct safetensor *stored = NULL;
    for (size_t i = 0; i < COUNT(names) && names[i] && !stored; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s.weight", names[i]);
        stored = safetensors_set_find(&model->files, name, file);
    }
    return stored;
}

const struct safetensor *model_stored_head(const struct model *model)
{
    return find_head(model, NULL);
}

/* NULL if the files do not have it under any of its names. */
static const struct safetensor *find_stored(const struct model *model, const struct tensor *t, const struct safetensors **file)
{
    const struct safetensor *stored = safetensors_set_find(&model->files, t->name, file);
    const char *dot = strchr(model->config.family->embed, '.');
    const size_t prefix = dot ? (size_t)(dot + 1 - model->config.family->embed) : 0;
    if (!stored && prefix && strncmp(t->name, model->config.family->embed, prefix) == 0) /* saved from the class without a head */
        stored = safetensors_set_find(&model->files, t->name + prefix, file);
    if (!stored && t == model->head) /* of a tied model some writers keep the other name of the two */
        stored = find_head(model, file);
    return stored;
}

/* "[32, 64]" */
static const char *shape_text(char out[96], int rank, const int64_t *shape)
{
    int at = snprintf(out, 96, "[");
    for (int i = 0; i < rank && at < 70; i++)
        at += snprintf(out + at, 96 - (size_t)at, "%s%" PRId64, i > 0 ? ", " : "", shape[i]);
    snprintf(out + at, 96 - (size_t)at, "]");
    return out;
}

static enum status check_shape(const struct source *source, struct error *err)
{
    const struct safetensor *stored = source->stored;
    const struct tensor *t = source->tensor;
    /* norms and biases are vectors in the file and matrices of one row here */
    int64_t shape[2] = { source->transposed ? t->cols : t->rows, source->transposed ? t->rows : t->cols };
    int first = t->rows == 1 && stored->rank != 2, rank = 2 - first;
    char is[96], should[96];
    if (stored->rank == rank && memcmp(stored->shape, shape + first, (size_t)rank * sizeof *shape) == 0)
        return OK;
    return fail_with(err, BAD_MODEL, "%s: tensor '%s' has shape %s, but config.json makes it %s", "config.json and weights are of different models",
                     source->file->map.path, stored->name, shape_text(is, stored->rank, stored->shape), shape_text(should, rank, shape + first));
}

/* Products and embeddings widen what they read, so a matrix of a narrow file serves f32 arithmetic where it lies. */
static enum dtype dtype_in_memory(const struct tensor *t, enum dtype stored)
{
    return t->rows > 1 && t->dtype == F32 ? stored : t->dtype;
}

static enum status read_dtype(struct source *source, struct error *err)
{
    static const char *const names[] = { [F32] = "F32", [BF16] = "BF16", [F16] = "F16" };
    for (size_t i = 0; i < COUNT(names); i++)
        if (text_equal(names[i], source->stored->dtype)) {
            source->dtype = (enum dtype)i;
            if ((uintptr_t)source->stored->data % dtype_bytes(source->dtype) == 0)
                source->tensor->dtype = dtype_in_memory(source->tensor, source->dtype);
            source->in_place =
                !source->transposed && source->dtype == source->tensor->dtype && (uintptr_t)source->stored->data % dtype_bytes(source->dtype) == 0;
            return OK;
        }
    return fail_with(err, BAD_MODEL, "%s: tensor '%s' is %s: graft reads F32, BF16 and F16", "convert the model to one of these, or use an unquantised one",
                     source->file->map.path, source->stored->name, source->stored->dtype);
}

static enum status missing(const struct model *model, const struct tensor *t, struct error *err)
{
    if (t == model->head && !model->config.tied)
        return fail_with(err, BAD_MODEL, "%s: tensor '%s' is missing, and config.json says tie_word_embeddings false",
                         "if the head is the embedding, set tie_word_embeddings to true in config.json", model->config.folder, t->name);
    int more = -1;
    for (int i = 0; i < model->tensors; i++)
        more += find_stored(model, model->tensor[i], NULL) == NULL;
    char others[48] = "";
    if (more > 0)
        snprintf(others, sizeof others, " (and %d more)", more);
    return fail_with(err, BAD_MODEL, "%s: tensor '%s' [%" PRId64 ", %" PRId64 "] is missing from the weights%s",
                     "the folder is incomplete, or its config.json belongs to another model", model->config.folder, t->name, t->rows, t->cols, others);
}

bool model_is_transposed(const struct model *model, const struct tensor *t)
{
    for (int64_t i = 0; model->config.family->transposed && i < model->config.layers; i++)
        for (enum projection p = Q; p < HEAD; p++)
            if (model->layer[i].w[p] == t)
                return true;
    return false;
}

static enum status find_sources(const struct model *model, struct source *source, struct error *err)
{
    for (int i = 0; i < model->tensors; i++) {
        struct source *s = &source[i];
        s->tensor = model->tensor[i];
        s->transposed = model_is_transposed(model, s->tensor);
        s->stored = find_stored(model, s->tensor, &s->file);
        if (!s->stored)
            return missing(model, s->tensor, err);
        TRY(check_shape(s, err));
        TRY(read_dtype(s, err));
    }
    return OK;
}

static bool is_ignored(const struct family *family, const char *name)
{
    for (size_t i = 0; i < COUNT(family->ignored) && family->ignored[i]; i++)
        if (text_ends(name, family->ignored[i]))
            return true;
    return false;
}

static int by_address(const void *a, const void *b)
{
    const struct safetensor *const *x = a, *const *y = b;
    return (*x > *y) - (*x < *y);
}

/* Every tensor of the files is somebody's source, a buffer, or the head of a tied model. */
static enum status refuse_unexpected(const struct model *model, struct arena *arena, const struct source *source, struct error *err)
{
    const struct safetensor **used = NEW_ARRAY(arena, model->tensors, const struct safetensor *);
    for (int i = 0; i < model->tensors; i++)
        used[i] = source[i].stored;
    const struct safetensor *tied_head = model->config.tied ? find_head(model, NULL) : NULL; /* looked at by check_tied_head() */
    qsort(used, (size_t)model->tensors, sizeof *used, by_address);
    for (int f = 0; f < model->files.files; f++)
        for (int64_t i = 0; i < model->files.file[f].count; i++) {
            const struct safetensor *stored = &model->files.file[f].tensor[i];
            char shape[96];
            if (bsearch(&stored, used, (size_t)model->tensors, sizeof *used, by_address) || is_ignored(model->config.family, stored->name) ||
                stored == tied_head)
                continue;
            return fail_with(err, BAD_MODEL, "%s: tensor '%s' %s %s: a %s of this config.json has no such tensor",
                             "the model computes something that graft would leave out: use one of the families that graft knows", model->files.file[f].map.path,
                             stored->name, stored->dtype, shape_text(shape, stored->rank, stored->shape), model->config.model_type);
        }
    return OK;
}

/* transformers would silently use the embedding; which of the two was meant, only the author knows. */
static enum status check_tied_head(const struct model *model, const struct source *embed, struct error *err)
{
    const struct safetensors *file;
    const struct safetensor *head = model->config.tied ? find_head(model, &file) : NULL;
    if (!head || head == embed->stored)
        return OK;
    bool same = text_equal(head->dtype, embed->stored->dtype) && head->bytes == embed->stored->bytes;
    if (same && head->data == embed->stored->data)
        return OK; /* torch.save writes a storage once, however many names it has */
    same = same && memcmp(head->data, embed->stored->data, head->bytes) == 0;
    map_forget(head->data, head->bytes);
    map_forget(embed->stored->data, embed->stored->bytes);
    if (same)
        return OK;
    return fail_with(err, BAD_MODEL, "%s: tensor '%s' differs from the embedding, but config.json ties them (tie_word_embeddings true)",
                     "set tie_word_embeddings to false in config.json if the head is its own, else remove the tensor", file->map.path, head->name);
}

const struct safetensor *model_stored(const struct model *model, int i)
{
    return model->source[i].stored;
}

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Frequencies of rotary positions, slopes of ALiBi: what the configuration alone decides. */
static size_t positions_bytes(const struct model *model)
{
    return model->inv_freq ? tensor_bytes(model->inv_freq) : model->slopes ? tensor_bytes(model->slopes) : 0;
}

static void fill_positions(struct model *model, struct arena *arena, struct device *device, bool fill)
{
    struct tensor *t = model->inv_freq ? model->inv_freq : model->slopes;
    if (!t)
        return;
    float *values = NEW_ARRAY(arena, t->cols, float);
    if (model->inv_freq)
        model->rope_amplitude = rope_frequencies(&model->config, values);
    else
        alibi_slopes(&model->config, values);
    t->data = model->converted;
    if (fill)
        tensor_upload(device, t, values);
}

static const struct container containers[] = { { "model.safetensors", safetensors_open }, { "pytorch_model.bin", torch_pickle_open } };

bool model_files_exist(struct arena *arena, const char *folder)
{
    for (size_t i = 0; i < COUNT(containers); i++) {
        const char *single = path_join(arena, folder, containers[i].name);
        if (file_exists(single) || file_exists(arena_print(arena, "%s.index.json", single)))
            return true;
    }
    return false;
}

enum status model_files_open(struct safetensors_set *set, struct arena *arena, const char *folder, struct error *err)
{
    return safetensors_set_open_first(set, arena, folder, containers, COUNT(containers), err);
}

/* Finds every tensor in the files and counts bytes. */
static enum status resolve(struct model *model, struct arena *arena, struct error *err)
{
    model->source = NEW_ARRAY(arena, model->tensors, struct source);
    TRY(find_sources(model, model->source, err));
    TRY(refuse_unexpected(model, arena, model->source, err));
    model->converted_bytes = aligned(positions_bytes(model));
    for (int i = 0; i < model->tensors; i++) {
        size_t bytes = tensor_bytes(model->tensor[i]);
        if (model->source[i].in_place) {
            model->tensor[i]->data = (void *)(uintptr_t)model->source[i].stored->data; /* the mapping is read-only, and so are weights */
            model->mapped_bytes += bytes;
        } else {
            model->converted_bytes += aligned(bytes);
        }
    }
    return check_tied_head(model, &model->source[0], err); /* model_describe() begins with the embedding */
}

/* By blocks through the cache: stored bytes (perhaps misaligned) to f32 to the dtype of computation. */
static void convert(struct device *device, void *to, const struct source *source)
{
    enum { BLOCK = 4096, FORGOTTEN_BLOCKS = 256 };
    float values[BLOCK], stored[BLOCK], narrowed[BLOCK];
    size_t size = dtype_bytes(source->dtype);
    int64_t count = source->tensor->rows * source->tensor->cols;
    for (int64_t done = 0; done < count; done += BLOCK) {
        int64_t here = count - done < BLOCK ? count - done : BLOCK;
        memcpy(stored, (const char *)source->stored->data + (size_t)done * size, (size_t)here * size);
        widen(values, stored, source->dtype, here);
        narrow(narrowed, values, source->tensor->dtype, here);
        size_t step = dtype_bytes(source->tensor->dtype);
        device->row->upload(device, (char *)to + (size_t)done * step, narrowed, (size_t)here * step);
        if ((done / BLOCK + 1) % FORGOTTEN_BLOCKS == 0) /* not at the end alone: a large tensor is not there twice */
            map_forget(source->stored->data, (size_t)(done + here) * size);
    }
    map_forget(source->stored->data, source->stored->bytes);
}

/* The same for a matrix stored the other way round, by tiles. */
static void convert_transposed(struct device *device, void *to, const struct source *source)
{
    enum { TILE = 64 };
    float rows[TILE * TILE], columns[TILE * TILE], narrowed[TILE * TILE], stored[TILE];
    const struct tensor *t = source->tensor;
    const size_t size = dtype_bytes(source->dtype), step = dtype_bytes(t->dtype);
    for (int64_t in = 0; in < t->cols; in += TILE) {
        const int64_t ins = t->cols - in < TILE ? t->cols - in : TILE;
        for (int64_t out = 0; out < t->rows; out += TILE) {
            const int64_t outs = t->rows - out < TILE ? t->rows - out : TILE;
            for (int64_t i = 0; i < ins; i++) {
                memcpy(stored, (const char *)source->stored->data + (size_t)((in + i) * t->rows + out) * size, (size_t)outs * size);
                widen(rows + i * TILE, stored, source->dtype, outs);
            }
            for (int64_t o = 0; o < outs; o++) {
                for (int64_t i = 0; i < ins; i++)
                    columns[i] = rows[i * TILE + o];
                narrow(narrowed, columns, t->dtype, ins);
                device->row->upload(device, (char *)to + (size_t)((out + o) * t->cols + in) * step, narrowed, (size_t)ins * step);
            }
        }
    }
    map_forget(source->stored->data, source->stored->bytes);
}

enum status model_locate(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct error *err)
{
    TRY(model_describe(model, arena, config, dtype, err));
    enum status status = model_files_open(&model->files, arena, config->folder, err);
    if (status == OK)
        status = resolve(model, arena, err);
    if (status != OK)
        model_release(model);
    return status;
}

enum status model_foresee(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct error *err)
{
    if (model_files_exist(arena, config->folder))
        return model_locate(model, arena, config, dtype, err);
    TRY(model_describe(model, arena, config, dtype, err));
    model->foreseen = true;
    enum status status = model_files_foresee(&model->files, arena, model, err);
    if (status == OK)
        status = resolve(model, arena, err);
    if (status != OK)
        model_release(model);
    return status;
}

/* A device that does not see the host's memory takes all weights, also those that could be read in the mapping. */
static void leave_mapping(struct model *model)
{
    for (int i = 0; i < model->tensors; i++) {
        size_t bytes = tensor_bytes(model->tensor[i]);
        if (!model->source[i].in_place)
            continue;
        model->source[i].in_place = false;
        model->converted_bytes += aligned(bytes);
        model->mapped_bytes -= bytes;
    }
}

/* Every tensor gets its address; `fill`: and its bytes. */
static void place(struct model *model, struct arena *arena, struct device *device, bool fill)
{
    char *free_bytes = (char *)model->converted + aligned(positions_bytes(model));
    model->device = device;
    fill_positions(model, arena, device, fill);
    for (int i = 0; i < model->tensors; i++) {
        struct tensor *t = model->tensor[i];
        const struct source *source = &model->source[i];
        if (source->in_place)
            continue;
        t->data = free_bytes;
        if (fill)
            (source->transposed ? convert_transposed : convert)(device, t->data, source);
        free_bytes += aligned(tensor_bytes(t));
    }
}

enum status model_fill(struct model *model, struct arena *arena, struct device *device, struct error *err)
{
    CHECK(!model->foreseen);
    if (!device->row->host)
        leave_mapping(model);
    TRY(device_allocate(device, "weights in the dtype of computation", model->converted_bytes, &model->converted, err));
    place(model, arena, device, true);
    return OK;
}

void model_fill_shared(struct model *model, struct arena *arena, struct device *device, const struct shared *memory, bool fill)
{
    CHECK(!model->foreseen && device->row->host && memory->size == model->converted_bytes);
    model->shared = *memory;
    model->shared.file = -1; /* is for others to find it, and stays with the caller */
    model->converted = memory->bytes;
    place(model, arena, device, fill);
}

enum status model_load(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct device *device, struct error *err)
{
    TRY(model_locate(model, arena, config, dtype, err));
    enum status status = model_fill(model, arena, device, err);
    if (status != OK)
        model_release(model);
    return status;
}

void model_release(struct model *model)
{
    if (model->shared.bytes)
        shared_release(&model->shared);
    else if (model->device)
        device_release(model->device, model->converted, model->converted_bytes);
    safetensors_set_close(&model->files);
    *model = (struct model){ 0 };
}

/* A hash of hashes: one line per tensor, in the order of the walk. */
enum status model_hash(const struct model *model, char hex[65], struct error *err)
{
    struct arena *arena = arena_create_like(model->arena);
    struct text lines = text_new(arena);
    enum status status = OK;
    for (int i = 0; i < model->tensors && status == OK; i++) {
        const struct tensor *t = model->tensor[i];
        const struct safetensor *stored = find_stored(model, t, NULL);
        if (!stored) {
            status = missing(model, t, err);
            continue;
        }
        hash_mapped(stored->data, (size_t)stored->bytes, hex);
        text_print(&lines, "%s %s [%" PRId64 ", %" PRId64 "] %s\n", t->name, stored->dtype, t->rows, t->cols, hex);
    }
    if (status == OK)
        hash_bytes(lines.bytes, lines.length, hex);
    arena_destroy(arena);
    return status;
}
