/* Writing the merged folder: which tensors there are and in which file, their bytes, the configuration, and the copies of all other files. */
#include "adapters/merge.h"

#include "autograd/cpu/rows.h"
#include "common/json.h"
#include "common/safetensors.h"
#include "models/family.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A tensor of the merged folder. */
struct piece {
    const char *name;
    const struct tensor *frozen; /* NULL: a buffer that no model reads, copied as it is */
    const struct safetensor *stored;
    const char *dtype; /* in the merged folder */
    bool touched;
    uint64_t bytes;
    int shard;
};

struct merging {
    const struct adapter *adapter;
    const struct model *model;
    const struct merge_settings *settings;
    struct arena *arena;
    struct merge_result *result;
    struct piece *piece;
    int64_t pieces;
    int shards;
    struct output *output; /* of every file */
    int outputs, room;
    struct error *err;
};

static const struct {
    const char *name;
    enum dtype dtype;
} dtypes[] = { { "F32", F32 }, { "F16", F16 }, { "BF16", BF16 } }; /* from fine to coarse */

static int fineness(const char *dtype)
{
    int i = 0;
    while (strcmp(dtypes[i].name, dtype) != 0)
        i++;
    return i;
}

static bool folds(const struct merging *m, const struct tensor *frozen, const char *name)
{
    return m->adapter->kind->fold(m->adapter, frozen, name, 0, 0, NULL);
}

static void add_piece(struct merging *m, const char *name, const struct tensor *frozen, const struct safetensor *stored)
{
    struct piece *piece = &m->piece[m->pieces++];
    *piece = (struct piece){ .name = name, .frozen = frozen, .stored = stored, .dtype = stored->dtype };
    if (frozen && m->settings->dtype)
        piece->dtype = m->settings->dtype;
    piece->touched = frozen && folds(m, frozen, name);
    piece->bytes = stored->bytes / (uint64_t)safetensors_dtype_bytes(stored->dtype) * (uint64_t)safetensors_dtype_bytes(piece->dtype);
    m->result->tensors++;
    m->result->changed += piece->touched;
    m->result->bytes += piece->bytes;
    if (frozen && (piece->touched || strcmp(piece->dtype, stored->dtype) != 0) && fineness(piece->dtype) > fineness(m->result->coarsest))
        m->result->coarsest = piece->dtype;
}

static bool is_source(const struct model *model, const struct safetensor *stored)
{
    for (int i = 0; i < model->tensors; i++)
        if (model_stored(model, i) == stored)
            return true;
    return false;
}

/* to [cols, rows] = the transpose of from [rows, cols] */
static void turn(float *to, const float *from, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            to[c * rows + r] = from[r * cols + c];
}

/* Rows [first, first + rows) with the adapter in them, f32. A layer that is stored the other way round is folded whole, `turned` there and back; else that is
 * NULL. */
static void fold_rows(const struct merging *m, const struct tensor *frozen, const char *name, const struct safetensor *stored, int64_t first, int64_t rows,
                      float *values, float *turned, void *unaligned)
{
    const enum dtype from = dtypes[fineness(stored->dtype)].dtype;
    const int64_t count = rows * frozen->cols;
    const char *at = (const char *)stored->data + (size_t)(first * frozen->cols) * dtype_bytes(from);
    memcpy(unaligned, at, (size_t)count * dtype_bytes(from)); /* the file need not be aligned */
    widen(values, unaligned, from, count);
    if (turned)
        turn(turned, values, frozen->cols, rows);
    m->adapter->kind->fold(m->adapter, frozen, name, first, rows, turned ? turned : values);
    if (turned)
        turn(values, turned, rows, frozen->cols);
    map_forget(at, (size_t)count * dtype_bytes(from));
}

/* Whether the head of a tied model still equals its embedding once both are folded. */
static bool tie_holds(const struct merging *m, const char *head, const struct safetensor *stored)
{
    const struct tensor *embed = m->model->embed;
    bool equal = true;
    struct arena *scratch = arena_create_like(m->arena);
    float *one = NEW_ARRAY(scratch, embed->cols, float), *other = NEW_ARRAY(scratch, embed->cols, float);
    void *room = NEW_ARRAY(scratch, embed->cols, float);
    for (int64_t r = 0; r < embed->rows && equal && (folds(m, embed, embed->name) || folds(m, embed, head)); r++) {
        fold_rows(m, embed, embed->name, stored, r, 1, one, NULL, room);
        fold_rows(m, embed, head, stored, r, 1, other, NULL, room);
        equal = memcmp(one, other, (size_t)embed->cols * sizeof *one) == 0;
    }
    arena_destroy(scratch);
    return equal;
}

/* Under what name the merged folder holds a piece: the live model's, but for a head that files call otherwise. */
static const char *name_in_files(const struct merging *m, const struct piece *piece)
{
    const struct family *family = m->model->config.family;
    const char *head = arena_print(m->arena, "%s.weight", family->head);
    return family->head_in_files && strcmp(piece->name, head) == 0 ? arena_print(m->arena, "%s.weight", family->head_in_files) : piece->name;
}

/* The model's tensors under the names of the live model, then what else the files hold. */
static void list_pieces(struct merging *m)
{
    const struct model *model = m->model;
    const char *head = arena_print(m->arena, "%s.weight", model->head_site.module);
    const bool tied = model->head == model->embed;
    const struct safetensor *stored_head = model_stored_head(model);
    int64_t most = model->tensors + 1;
    for (int f = 0; f < model->files.files; f++)
        most += model->files.file[f].count;
    m->piece = NEW_ARRAY(m->arena, most, struct piece);
    for (int i = 0; i < model->tensors; i++) {
        if (tied && model->tensor[i] == model->embed)
            m->result->untied = !tie_holds(m, head, model_stored(model, i));
        add_piece(m, model->tensor[i]->name, model->tensor[i], model_stored(model, i));
        if (model->tensor[i] == model->embed && m->result->untied)
            add_piece(m, head, model->embed, model_stored(model, i));
    }
    for (int f = 0; f < model->files.files; f++)
        for (int64_t i = 0; i < model->files.file[f].count; i++) {
            const struct safetensor *stored = &model->files.file[f].tensor[i];
            if (!is_source(model, stored) && stored != stored_head)
                add_piece(m, stored->name, NULL, stored);
        }
}

/* As transformers does: a file is closed when the next tensor would make it too large. */
static void cut_shards(struct merging *m)
{
    uint64_t bytes = 0;
    for (int64_t i = 0; i < m->pieces; i++) {
        if (bytes > 0 && bytes + m->piece[i].bytes > (uint64_t)m->settings->shard_bytes) {
            m->shards++;
            bytes = 0;
        }
        bytes += m->piece[i].bytes;
        m->piece[i].shard = m->shards;
    }
    m->shards++;
}

static const char *shard_name(const struct merging *m, int shard)
{
    return m->shards == 1 ? "model.safetensors" : arena_print(m->arena, "model-%05d-of-%05d.safetensors", shard + 1, m->shards);
}

/* Files that hold weights, or what was trained with them: never copied. */
static bool holds_weights(const char *name)
{
    static const char *const endings[] = { ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".index.json" };
    for (size_t i = 0; i < COUNT(endings); i++)
        if (text_ends(name, endings[i]))
            return true;
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the regular files of a folder, sorted; hidden ones left out. */
static enum status list_files(struct arena *arena, const char *folder, const char ***name, int *count, struct error *err)
{
    int room = 64;
    DIR *listing = opendir(folder);
    *name = NEW_ARRAY(arena, room, const char *);
    *count = 0;
    if (!listing)
        return fail_with(err, BAD_FILE, "%s: cannot be listed", "give a folder that this user may read", folder);
    for (const struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_name[0] == '.' || !file_exists(path_join(arena, folder, entry->d_name)))
            continue;
        if (*count == room) {
            *name = arena_grow(arena, *name, (size_t)*count, (size_t)room * 2, sizeof **name);
            room *= 2;
        }
        (*name)[(*count)++] = arena_text(arena, entry->d_name, strlen(entry->d_name));
    }
    closedir(listing);
    qsort(*name, (size_t)*count, sizeof **name, by_text);
    return OK;
}

static bool is_written(const struct merging *m, const char *name)
{
    for (int i = 0; i < m->outputs; i++)
        if (strcmp(m->result->written[i], path_join(m->arena, m->settings->folder, name)) == 0)
            return true;
    return false;
}

/* Begins a file of the merged folder. */
static enum status begin(struct merging *m, const char *name, struct output **out)
{
    const char *path = path_join(m->arena, m->settings->folder, name);
    struct stat about;
    CHECK(m->outputs < m->room);
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        return fail_with(m->err, EXISTS, "%s: is not a regular file", "choose another folder", path);
    if (!m->settings->overwrite && file_exists(path))
        return fail_with(m->err, EXISTS, "%s: already exists", "choose another folder or give --force", path);
    *out = &m->output[m->outputs];
    TRY(output_open(*out, m->arena, path, true, m->err));
    m->result->written[m->outputs++] = path;
    return OK;
}

static enum status copy_file(struct merging *m, const char *folder, const char *name)
{
    struct output *out = NULL;
    struct map map;
    TRY(map_open(&map, path_join(m->arena, folder, name), m->err));
    enum status status = begin(m, name, &out);
    if (status == OK)
        output_write(out, map.bytes, map.size);
    map_close(&map);
    return status;
}

/* config.json, with what is no longer true in it set right. */
static enum status write_config(struct merging *m)
{
    struct output *out = NULL;
    json_t *json = NULL;
    const char *dtype = m->settings->dtype ? dtype_name(dtypes[fineness(m->settings->dtype)].dtype) : NULL;
    if (!dtype && !m->result->untied)
        return copy_file(m, m->model->config.folder, "config.json");
    TRY(json_read(path_join(m->arena, m->model->config.folder, "config.json"), &json, m->err));
    int failed = dtype ? json_object_set_new(json, json_object_get(json, "dtype") ? "dtype" : "torch_dtype", json_string(dtype)) : 0;
    if (m->result->untied)
        failed |= json_object_set_new(json, "tie_word_embeddings", json_false());
    char *text = failed ? NULL : json_print(json, JSON_INDENT(2));
    json_decref(json);
    enum status status = text ? begin(m, "config.json", &out) : fail_with(m->err, NO_MEMORY, "config.json: no memory to write it", "free some memory");
    if (status == OK)
        output_print(out, "%s\n", text);
    free(text);
    return status;
}

static const char *const tokenizer_files[] = { "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                               "chat_template.jinja" };

/* The tokenizer of an adapter that has one takes the place of the model's. */
static bool from_adapter(const struct merging *m, const char *name)
{
    const char *folder = m->adapter->init_from;
    for (size_t i = 0; i < COUNT(tokenizer_files); i++)
        if (strcmp(name, tokenizer_files[i]) == 0)
            return folder && file_exists(path_join(m->arena, folder, tokenizer_files[0])) && file_exists(path_join(m->arena, folder, name));
    return false;
}

static enum status copy_others(struct merging *m)
{
    const char *const folder[] = { m->model->config.folder, m->adapter->init_from };
    for (int f = 0; f < 2 && folder[f]; f++) {
        const char **name;
        int count = 0;
        TRY(list_files(m->arena, folder[f], &name, &count, m->err));
        for (int i = 0; i < count; i++)
            if (from_adapter(m, name[i]) == (f == 1) && strcmp(name[i], "config.json") != 0 && !holds_weights(name[i]))
                TRY(copy_file(m, folder[f], name[i]));
    }
    return OK;
}

/* The bytes of a piece as they are in the files. */
static void copy_piece(struct output *out, const struct piece *piece)
{
    const uint64_t most = 64 << 20;
    for (uint64_t done = 0; done < piece->bytes; done += most) {
        const uint64_t here = piece->bytes - done < most ? piece->bytes - done : most;
        output_write(out, (const char *)piece->stored->data + done, (size_t)here);
        map_forget((const char *)piece->stored->data + done, (size_t)here);
    }
}

/* The rows of a piece, some at a time: widened, folded, rounded once. */
static enum status fold_piece(struct merging *m, struct output *out, const struct piece *piece)
{
    enum { VALUES = 1 << 20 };
    const bool transposed = model_is_transposed(m->model, piece->frozen);
    const int64_t cols = piece->frozen->cols, most = transposed ? piece->frozen->rows : cols < VALUES ? VALUES / cols : 1;
    const enum dtype to = dtypes[fineness(piece->dtype)].dtype;
    struct arena *scratch = arena_create_like(m->arena);
    float *values = NEW_ARRAY(scratch, most * cols, float), *stored = NEW_ARRAY(scratch, most * cols, float);
    float *turned = transposed ? NEW_ARRAY(scratch, most * cols, float) : NULL;
    enum status status = OK;
    for (int64_t first = 0; first < piece->frozen->rows && status == OK; first += most) {
        const int64_t rows = piece->frozen->rows - first < most ? piece->frozen->rows - first : most, count = rows * cols;
        fold_rows(m, piece->frozen, piece->name, piece->stored, first, rows, values, turned, stored);
        narrow(stored, values, to, count);
        output_write(out, stored, (size_t)count * dtype_bytes(to));
        widen(values, stored, to, count);
        for (int64_t i = 0; i < count && status == OK; i++)
            if (!isfinite(values[i]))
                status = fail_with(m->err, BAD_FILE, "tensor '%s': row %" PRId64 " is not finite as %s",
                                   "merge with --dtype float32 or bfloat16, or check the weights", piece->name, first + i / (transposed ? rows : cols),
                                   dtype_name(to));
    }
    arena_destroy(scratch);
    return status;
}

static enum status write_shard(struct merging *m, int shard)
{
    struct output *out = NULL;
    struct safetensor *tensor = NEW_ARRAY(m->arena, m->pieces, struct safetensor);
    int64_t count = 0;
    enum status status = OK;
    for (int64_t i = 0; i < m->pieces; i++)
        if (m->piece[i].shard == shard) {
            tensor[count] = *m->piece[i].stored;
            tensor[count].name = name_in_files(m, &m->piece[i]);
            tensor[count].dtype = m->piece[i].dtype;
            tensor[count++].data = &m->piece[i];
        }
    TRY(begin(m, shard_name(m, shard), &out));
    safetensors_print_header(out, m->arena, tensor, count);
    for (int64_t i = 0; i < count && status == OK; i++) {
        const struct piece *piece = tensor[i].data;
        if (piece->touched || strcmp(piece->dtype, piece->stored->dtype) != 0)
            status = fold_piece(m, out, piece);
        else
            copy_piece(out, piece);
    }
    return status;
}

static enum status write_index(struct merging *m)
{
    struct output *out = NULL;
    struct text text = text_new(m->arena);
    TRY(begin(m, "model.safetensors.index.json", &out));
    text_print(&text, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {", m->result->bytes);
    for (int64_t i = 0; i < m->pieces; i++) {
        text_add_string(&text, i ? ",\n    " : "\n    ");
        const char *name = name_in_files(m, &m->piece[i]);
        text_add_json(&text, name, strlen(name));
        text_print(&text, ": \"%s\"", shard_name(m, m->piece[i].shard));
    }
    text_add_string(&text, "\n  }\n}\n");
    output_write(out, text.bytes, text.length);
    return OK;
}

/* Weights that are there already and get no successor would be read along with the merged ones. */
static enum status refuse_leftovers(struct merging *m)
{
    const char **name;
    int count = 0;
    TRY(list_files(m->arena, m->settings->folder, &name, &count, m->err));
    for (int i = 0; i < count; i++)
        if (holds_weights(name[i]) && !is_written(m, name[i]))
            return fail_with(m->err, EXISTS, "%s: holds %s, which would stay beside the merged weights", "remove it, or choose another folder",
                             m->settings->folder, name[i]);
    return OK;
}

static enum status write_all(struct merging *m)
{
    enum status status = write_config(m);
    if (status == OK)
        status = copy_others(m);
    for (int i = 0; i < m->shards && status == OK; i++)
        status = write_shard(m, i);
    if (status == OK && m->shards > 1)
        status = write_index(m);
    if (status == OK)
        status = refuse_leftovers(m);
    if (status == OK)
        status = output_commit_all(m->output, m->outputs);
    m->result->files = status == OK ? m->outputs : 0;
    return status;
}

enum status merge_write(const struct adapter *adapter, struct arena *arena, const struct model *model, const struct merge_settings *settings,
                        struct merge_result *result, struct error *err)
{
    const char **name;
    int count = 0;
    *result = (struct merge_result){ .coarsest = "F32" };
    if (!adapter->kind->fold)
        return fail_with(err, BAD_FILE, "%s: an adapter of type %s cannot be merged: it changes more than weights",
                         "give it to generate, evaluate and score with --adapter", adapter->init_from, adapter->kind->peft_type);
    if (adapter->kind->fold_check)
        TRY(adapter->kind->fold_check(adapter, model, err));
    TRY(merge_check(adapter, arena, model, err));
    TRY(list_files(arena, model->config.folder, &name, &count, err));
    TRY(folder_make(settings->folder, err));
    struct merging m = { .adapter = adapter, .model = model, .settings = settings, .arena = arena, .result = result, .err = err };
    list_pieces(&m);
    cut_shards(&m);
    m.room = m.shards + count + 2 + (int)COUNT(tokenizer_files);
    m.output = NEW_ARRAY(arena, m.room, struct output);
    result->written = NEW_ARRAY(arena, m.room, const char *);
    enum status status = write_all(&m);
    for (int i = 0; i < m.outputs; i++)
        output_discard(&m.output[i]);
    return status;
}
