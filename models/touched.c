/* Which bytes of the mapped weights a program brings into memory: of the tensors that a step reads all, of the table that ids look up the rows of these ids.
 *
 * What no step reads (a head that an adapter trains a copy of) never becomes resident. A page that is looked at brings its neighbours: the kernel maps a window
 * at once where the file is in its cache, so rows count by windows. Windows are counted from where the file begins: the kernel aligns them by addresses, which
 * are drawn anew for each process, and what is foreseen should not be.
 */
#include "common/files.h"
#include "models/family.h"

enum { WINDOW = 64 << 10 }; /* Linux: fault_around_bytes as it is by default */

/* The file that a tensor is used from in place; NULL: none. */
static const struct map *map_of(const struct model *model, const struct tensor *t)
{
    for (int f = 0; f < model->files.files; f++) {
        const struct map *map = &model->files.file[f].map;
        if ((const uint8_t *)t->data >= map->bytes && (const uint8_t *)t->data < map->bytes + map->size)
            return map;
    }
    return NULL;
}

void model_forget(const struct model *model, const struct tensor *t)
{
    if (map_of(model, t))
        map_forget(t->data, tensor_bytes(t));
}

/* By a lookup alone, in full, or not at all. */
enum reading { NOT_READ, LOOKED_UP, READ };

static enum reading reading_of(const struct program *program, const struct tensor *t)
{
    enum reading reading = NOT_READ;
    for (int s = 0; s < program->count && reading != READ; s++) {
        const struct node *n = program->step[s].node;
        for (int i = 0; i < MAX_IN; i++)
            if (n->in[i] == t)
                reading = n->op == &op_embed ? LOOKED_UP : READ;
    }
    return reading;
}

static size_t windows_of(const struct tensor *table, const struct map *map, const bool *used)
{
    const size_t row = (size_t)table->cols * dtype_bytes(table->dtype), start = (size_t)((const uint8_t *)table->data - map->bytes);
    size_t bytes = 0, next = 0; /* the first window that is not counted yet */
    for (int64_t id = 0; id < table->rows; id++) {
        const size_t begin = start + (size_t)id * row, first = begin / WINDOW, last = (begin + row - 1) / WINDOW;
        for (size_t w = first > next ? first : next; used[id] && w <= last; w++) {
            bytes += WINDOW;
            next = w + 1;
        }
    }
    return bytes < tensor_bytes(table) ? bytes : tensor_bytes(table);
}

size_t model_touched_bytes(const struct model *model, const struct program *program, const bool *used)
{
    size_t bytes = 0;
    for (int i = 0; i < model->tensors; i++) {
        const struct tensor *t = model->tensor[i];
        const struct map *map = t->data ? map_of(model, t) : NULL;
        const enum reading reading = map ? reading_of(program, t) : NOT_READ;
        if (reading != NOT_READ)
            bytes += reading == LOOKED_UP && used && t == model->embed ? windows_of(t, map, used) : tensor_bytes(t); /* positions may all come */
    }
    return bytes;
}
