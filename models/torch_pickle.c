/* What torch means by its pickles: storages, tensors that are views of them, and where the bytes of a storage lie.
 *
 * Reading the pickle only notes storages and tensors; bytes are looked for afterwards, as entries of the zip archive or one behind the other, and each tensor
 * is then held against the storage that it is a view of.
 */
#include "models/torch_pickle.h"

#include "common/text.h"
#include "models/pickle.h"
#include "models/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The checksums of a larger file are not looked at: opening a model would read all of its weights, which safetensors lets nobody check either. */
enum { LARGEST_PROVEN = 256 << 20 };

struct storage {
    const char *key, *dtype;
    int64_t elements;
    const uint8_t *bytes; /* in the map; NULL until it is found */
};

struct view {
    struct storage *storage;
    int64_t offset; /* in elements */
    int rank;
    int64_t shape[SAFETENSORS_MAX_RANK];
};

struct reading {
    struct arena *arena;
    const struct map *map;
    struct storage **storage;
    int64_t storages, room;
    struct error *err;
};

static const char storage_name[] = "a storage", tensor_name[] = "a tensor";

static enum status new_object(struct pickle *p, void *object, const char *what, struct pickle_value **result)
{
    TRY(pickle_new(p, PICKLE_OBJECT, 0, result));
    (*result)->object = object;
    (*result)->text = what;
    return OK;
}

static bool is_object(const struct pickle_value *value, const char *what)
{
    return value->kind == PICKLE_OBJECT && value->text == what;
}

/* ("storage", type, key, device, elements); the older form has a sixth for storages that are part of another. */
static enum status load_storage(struct pickle *p, const struct pickle_value *id, struct pickle_value **result)
{
    struct reading *r = p->self;
    struct pickle_value **item = id->item;
    if (id->kind != PICKLE_TUPLE || id->count < 5 || id->count > 6 || item[0]->kind != PICKLE_TEXT || strcmp(item[0]->text, "storage") != 0 ||
        item[1]->kind != PICKLE_GLOBAL || item[2]->kind != PICKLE_TEXT || item[3]->kind != PICKLE_TEXT || item[4]->kind != PICKLE_INTEGER)
        return pickle_refuse(p, "a persistent id that is not ('storage', type, key, device, elements)");
    if (!item[1]->global->meaning)
        return pickle_refuse(p, "a storage of type '%s'", item[1]->global->name);
    if (id->count == 6 && item[5]->kind != PICKLE_NONE)
        return pickle_refuse(p, "storage '%s' is a view of another", item[2]->text);
    if (item[4]->integer < 0 || item[4]->integer > INT64_MAX / 8)
        return pickle_refuse(p, "storage '%s' of %" PRId64 " elements", item[2]->text, item[4]->integer);
    struct storage *storage = NEW(r->arena, struct storage);
    *storage = (struct storage){ .key = item[2]->text, .dtype = item[1]->global->meaning, .elements = item[4]->integer };
    if (r->storages == r->room) {
        r->room = r->room ? 2 * r->room : 256;
        r->storage = arena_grow(r->arena, r->storage, (size_t)r->storages, (size_t)r->room, sizeof *r->storage);
    }
    r->storage[r->storages++] = storage;
    return new_object(p, storage, storage_name, result);
}

static enum status call_ordered_dict(struct pickle *p, const struct pickle_value *arguments, struct pickle_value **result)
{
    if (arguments->count)
        return pickle_refuse(p, "OrderedDict is called with %" PRId64 " arguments, where torch gives none", arguments->count);
    return pickle_new(p, PICKLE_DICT, 0, result);
}

static enum status read_sizes(struct pickle *p, const struct pickle_value *sizes, const struct pickle_value *strides, struct view *view)
{
    if (sizes->kind != PICKLE_TUPLE || strides->kind != PICKLE_TUPLE || sizes->count != strides->count || sizes->count > SAFETENSORS_MAX_RANK)
        return pickle_refuse(p, "a tensor whose sizes and strides are not two tuples of one length, at most %d", SAFETENSORS_MAX_RANK);
    view->rank = (int)sizes->count;
    bool empty = false;
    for (int i = 0; i < view->rank; i++) {
        const struct pickle_value *size = sizes->item[i], *stride = strides->item[i];
        if (size->kind != PICKLE_INTEGER || stride->kind != PICKLE_INTEGER || size->integer < 0)
            return pickle_refuse(p, "a tensor with a size or stride that is no whole number, or a size below 0");
        view->shape[i] = size->integer;
        empty |= size->integer == 0;
    }
    int64_t step = 1;
    for (int i = view->rank - 1; i >= 0 && !empty; i--) {
        if (view->shape[i] != 1 && strides->item[i]->integer != step)
            return pickle_refuse(p,
                                 "a tensor of storage '%s' with stride %" PRId64 " in dimension %d, where %" PRId64 " is contiguous: save tensor.contiguous()",
                                 view->storage->key, strides->item[i]->integer, i, step);
        if (__builtin_mul_overflow(step, view->shape[i], &step))
            return pickle_refuse(p, "a tensor whose sizes overflow 64 bits");
    }
    const int64_t count = empty ? 0 : step;
    if (view->offset < 0 || view->offset > view->storage->elements || count > view->storage->elements - view->offset)
        return pickle_refuse(p, "a tensor of %" PRId64 " elements from element %" PRId64 " of storage '%s', which has %" PRId64, count, view->offset,
                             view->storage->key, view->storage->elements);
    return OK;
}

/* (storage, offset, sizes, strides, ...): what follows says who wants gradients, and hooks, which must be none. */
static enum status call_rebuild_tensor(struct pickle *p, const struct pickle_value *arguments, struct pickle_value **result)
{
    struct pickle_value **item = arguments->item;
    if (arguments->count < 4 || arguments->count > 7 || !is_object(item[0], storage_name) || item[1]->kind != PICKLE_INTEGER)
        return pickle_refuse(p, "a tensor that is not made of (storage, offset, sizes, strides)");
    for (int64_t i = 5; i < arguments->count; i++)
        if (item[i]->kind != PICKLE_NONE && (item[i]->kind != PICKLE_DICT || item[i]->count))
            return pickle_refuse(p, "a tensor of storage '%s' with hooks or metadata", ((struct storage *)item[0]->object)->key);
    struct view *view = NEW(p->arena, struct view);
    *view = (struct view){ .storage = item[0]->object, .offset = item[1]->integer };
    TRY(read_sizes(p, item[2], item[3], view));
    return new_object(p, view, tensor_name, result);
}

/* (tensor, wants a gradient, hooks) */
static enum status call_rebuild_parameter(struct pickle *p, const struct pickle_value *arguments, struct pickle_value **result)
{
    if (arguments->count != 3 || !is_object(arguments->item[0], tensor_name) || arguments->item[2]->kind != PICKLE_DICT || arguments->item[2]->count)
        return pickle_refuse(p, "a parameter that is not made of (tensor, truth value, empty dict)");
    *result = arguments->item[0];
    return OK;
}

static const struct pickle_global globals[] = {
    { "collections", "OrderedDict", call_ordered_dict, NULL },
    { "torch._utils", "_rebuild_tensor_v2", call_rebuild_tensor, NULL },
    { "torch._utils", "_rebuild_tensor", call_rebuild_tensor, NULL },
    { "torch._utils", "_rebuild_parameter", call_rebuild_parameter, NULL },
    { "torch", "FloatStorage", NULL, "F32" },
    { "torch", "BFloat16Storage", NULL, "BF16" },
    { "torch", "HalfStorage", NULL, "F16" },
    { "torch", "DoubleStorage", NULL, "F64" },
    { "torch", "LongStorage", NULL, "I64" },
    { "torch", "IntStorage", NULL, "I32" },
    { "torch", "ShortStorage", NULL, "I16" },
    { "torch", "CharStorage", NULL, "I8" },
    { "torch", "ByteStorage", NULL, "U8" },
    { "torch", "BoolStorage", NULL, "BOOL" },
};

static struct pickle pickle_in(struct reading *r, size_t from, size_t to)
{
    return (struct pickle){ .path = r->map->path,
                            .bytes = r->map->bytes,
                            .size = to,
                            .at = from,
                            .global = globals,
                            .globals = COUNT(globals),
                            .persistent = load_storage,
                            .self = r,
                            .arena = r->arena,
                            .err = r->err };
}

static uint64_t bytes_of(const struct storage *storage)
{
    return (uint64_t)storage->elements * (uint64_t)safetensors_dtype_bytes(storage->dtype);
}

/* The archive's entries all lie in one folder, the one of data.pkl. */
static enum status find_program(const struct reading *r, const struct zip *zip, const struct zip_entry **program, int *folder)
{
    static const char name[] = "/data.pkl";
    *program = NULL;
    for (int64_t i = 0; i < zip->count; i++) {
        const char *slash = strchr(zip->entry[i].name, '/');
        if (!slash || strcmp(slash, name) != 0)
            continue;
        if (*program)
            return fail_with(r->err, BAD_FILE, "%s: both '%s' and '%s' are there", "torch.save writes one: save the dict of tensors again", r->map->path,
                             (*program)->name, zip->entry[i].name);
        *program = &zip->entry[i];
        *folder = (int)(slash - zip->entry[i].name);
    }
    if (!*program)
        return fail_with(r->err, BAD_FILE, "%s: a zip archive without data.pkl", "give a file that torch.save wrote", r->map->path);
    return OK;
}

static enum status check_byte_order(const struct reading *r, const struct zip *zip, const char *folder, int length)
{
    struct zip_entry *order = zip_find(zip, arena_print(r->arena, "%.*s/byteorder", length, folder));
    if (order && (order->bytes != 6 || memcmp(r->map->bytes + order->offset, "little", 6) != 0))
        return fail_with(r->err, BAD_FILE, "%s: entry '%s' does not say 'little'", "save the file on a machine with little-endian numbers", r->map->path,
                         order->name);
    return OK;
}

static enum status read_zip(struct reading *r, struct pickle_value **root)
{
    struct zip zip;
    const struct zip_entry *program;
    int folder = 0;
    TRY(zip_read(&zip, r->arena, r->map, r->err));
    TRY(find_program(r, &zip, &program, &folder));
    TRY(zip_check(&zip, zip_find(&zip, program->name), r->err));
    TRY(check_byte_order(r, &zip, program->name, folder));
    struct pickle p = pickle_in(r, (size_t)program->offset, (size_t)(program->offset + program->bytes));
    TRY(pickle_read(&p, root));
    if (p.at != p.size)
        return pickle_refuse(&p, "%zu bytes behind its end", p.size - p.at);
    for (int64_t i = 0; i < r->storages; i++) {
        struct storage *storage = r->storage[i];
        const char *name = arena_print(r->arena, "%.*s/data/%s", folder, program->name, storage->key);
        struct zip_entry *entry = zip_find(&zip, name);
        if (!entry)
            return fail_with(r->err, BAD_FILE, "%s: entry '%.200s' is missing", "the file is damaged: copy or download it again", r->map->path, name);
        if (entry->bytes != bytes_of(storage))
            return fail_with(r->err, BAD_FILE, "%s: entry '%.200s' of %" PRIu64 " bytes for %" PRId64 " elements of %s",
                             "the file is damaged: copy or download it again", r->map->path, name, entry->bytes, storage->elements, storage->dtype);
        if (r->map->size <= LARGEST_PROVEN)
            TRY(zip_check(&zip, entry, r->err));
        storage->bytes = r->map->bytes + entry->offset;
    }
    return OK;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(struct storage *const *)a)->key, (*(struct storage *const *)b)->key);
}

/* The storages of that key, which all mean the same bytes, get theirs. */
static enum status place_storage(struct reading *r, struct pickle *p, const char *key)
{
    const struct storage wanted = { .key = key }, *pointer = &wanted;
    struct storage **found = r->storages ? bsearch(&pointer, r->storage, (size_t)r->storages, sizeof *r->storage, by_key) : NULL;
    if (!found)
        return pickle_refuse(p, "no tensor is of storage '%s'", key);
    while (found > r->storage && strcmp(found[-1]->key, key) == 0)
        found--;
    const uint64_t bytes = bytes_of(*found);
    uint64_t elements = 0;
    if ((*found)->bytes)
        return pickle_refuse(p, "storage '%s' is there twice", key);
    if (p->size - p->at < sizeof elements || p->size - p->at - sizeof elements < bytes)
        return pickle_refuse(p, "storage '%s' of %" PRIu64 " bytes reaches beyond the end of the file", key, bytes);
    for (int i = 7; i >= 0; i--)
        elements = elements << 8 | p->bytes[p->at + (size_t)i];
    if (elements != (uint64_t)(*found)->elements)
        return pickle_refuse(p, "storage '%s' has %" PRIu64 " elements here and %" PRId64 " in the dict", key, elements, (*found)->elements);
    const struct storage *first = *found;
    for (; found < r->storage + r->storages && strcmp((*found)->key, key) == 0; found++) {
        if ((*found)->dtype != first->dtype || (*found)->elements != first->elements)
            return pickle_refuse(p, "storage '%s' is of two types or sizes", key);
        (*found)->bytes = p->bytes + p->at + sizeof elements;
    }
    p->at += sizeof elements + (size_t)bytes;
    return OK;
}

/* The dict that says how the writing machine stores numbers. */
static enum status check_system(struct pickle *p)
{
    struct pickle_value *system;
    TRY(pickle_read(p, &system));
    for (int64_t i = 0; system->kind == PICKLE_DICT && i < system->count; i += 2)
        if (strcmp(system->item[i]->text, "little_endian") == 0 && system->item[i + 1]->kind == PICKLE_BOOL && system->item[i + 1]->integer)
            return OK;
    return pickle_refuse(p, "the writing machine does not say that its numbers are little-endian");
}

/* Magic number, version and system as pickles of their own; the dict; the list of storages' keys; the storages in that order. */
static const uint8_t legacy_head[] = { 0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.', 0x80, 2, 'M', 0xe9, 3, '.' };

static enum status read_legacy(struct reading *r, struct pickle_value **root)
{
    struct pickle_value *keys;
    struct pickle p = pickle_in(r, sizeof legacy_head, r->map->size);
    TRY(check_system(&p));
    TRY(pickle_read(&p, root));
    TRY(pickle_read(&p, &keys));
    if (keys->kind != PICKLE_LIST)
        return pickle_refuse(&p, "%s where the list of storages should be", pickle_kind_name(keys->kind));
    if (r->storages)
        qsort(r->storage, (size_t)r->storages, sizeof(struct storage *), by_key);
    for (int64_t i = 0; i < keys->count; i++) {
        if (keys->item[i]->kind != PICKLE_TEXT)
            return pickle_refuse(&p, "%s where the key of a storage should be", pickle_kind_name(keys->item[i]->kind));
        TRY(place_storage(r, &p, keys->item[i]->text));
    }
    if (p.at != p.size)
        return pickle_refuse(&p, "%zu bytes behind the last storage belong to none", p.size - p.at);
    for (int64_t i = 0; i < r->storages; i++)
        if (!r->storage[i]->bytes)
            return pickle_refuse(&p, "storage '%s' is missing", r->storage[i]->key);
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct safetensor *)a)->name, ((const struct safetensor *)b)->name);
}

static enum status make_table(struct safetensors *file, struct reading *r, const struct pickle_value *root)
{
    static const char cure[] = "save the plain dict of tensors, as model.state_dict() gives it";
    if (root->kind != PICKLE_DICT)
        return fail_with(r->err, BAD_FILE, "%s: holds %s, not a dict of tensors", cure, r->map->path,
                         root->kind == PICKLE_OBJECT ? root->text : pickle_kind_name(root->kind));
    file->tensor = NEW_ARRAY(r->arena, root->count / 2, struct safetensor);
    for (int64_t i = 0; i < root->count; i += 2) {
        const struct pickle_value *key = root->item[i], *value = root->item[i + 1];
        if (!is_object(value, tensor_name))
            return fail_with(r->err, BAD_FILE, "%s: '%.200s' is %s, not a tensor", cure, r->map->path, key->text,
                             value->kind == PICKLE_OBJECT ? value->text : pickle_kind_name(value->kind));
        const struct view *view = value->object;
        const uint64_t element = (uint64_t)safetensors_dtype_bytes(view->storage->dtype);
        struct safetensor *t = &file->tensor[file->count++];
        *t = (struct safetensor){ .name = key->text, .dtype = view->storage->dtype, .rank = view->rank, .bytes = element };
        for (int d = 0; d < t->rank; d++) {
            t->shape[d] = view->shape[d];
            t->bytes *= (uint64_t)view->shape[d];
        }
        t->offset = (uint64_t)(view->storage->bytes - r->map->bytes) + (uint64_t)view->offset * element;
        t->data = t->bytes ? r->map->bytes + t->offset : NULL;
    }
    qsort(file->tensor, (size_t)file->count, sizeof *file->tensor, by_name);
    for (int64_t i = 1; i < file->count; i++)
        if (strcmp(file->tensor[i - 1].name, file->tensor[i].name) == 0)
            return fail_with(r->err, BAD_FILE, "%s: tensor '%.200s' is there twice", cure, r->map->path, file->tensor[i].name);
    return OK;
}

enum status torch_pickle_open(struct safetensors *file, struct arena *arena, const char *path, struct error *err)
{
    static const char zip_head[] = "PK\3\4";
    *file = (struct safetensors){ 0 };
    TRY(map_open(&file->map, path, err));
    struct reading r = { .arena = arena, .map = &file->map, .err = err };
    struct pickle_value *root = NULL;
    enum status status;
    if (file->map.size > sizeof legacy_head && memcmp(file->map.bytes, legacy_head, sizeof legacy_head) == 0)
        status = read_legacy(&r, &root);
    else if (file->map.size > 4 && memcmp(file->map.bytes, zip_head, 4) == 0)
        status = read_zip(&r, &root);
    else
        status = fail_with(err, BAD_FILE, "%s: %zu bytes that begin neither as torch.save's zip archives nor as its older files",
                           "the file is cut off, or is no torch file (a Git LFS pointer?): copy or download it again", path, file->map.size);
    if (status == OK)
        status = make_table(file, &r, root);
    if (status != OK)
        safetensors_close(file);
    return status;
}
