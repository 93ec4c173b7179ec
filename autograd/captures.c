/* Walk, capture or replay: a small table of keys and of what was captured for them. */
#include "autograd/captures.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CAPTURES = 16, LEAST_STEPS = 8 };

enum stage { UNUSED, SEEN, CAPTURED, NOT_CAPTURED };

struct capture {
    enum stage stage;
    uint64_t last_use;
    uint64_t *key;
    int64_t words;
    void *work; /* CAPTURED: the device's */
};

struct captures {
    struct capture capture[MOST_CAPTURES];
    uint64_t uses, programs;
};

static int by_address(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return (*x > *y) - (*x < *y);
}

static bool is_outside(const struct tensor *t)
{
    return t && t->id < 0;
}

static int64_t gather_outside(const struct program *p, struct tensor **to)
{
    int64_t count = 0;
    for (int i = 0; i < p->count; i++)
        for (int j = 0; j < MAX_IN; j++) {
            struct tensor *t = p->step[i].node->in[j];
            if (is_outside(t) && to)
                to[count] = t;
            count += is_outside(t);
        }
    return count;
}

/* The tensors that outlive graphs, whose owners may move them; all others follow the arena. */
static void find_outside(struct program *p)
{
    int64_t count = gather_outside(p, NULL), different = 0;
    p->outside = NEW_ARRAY(p->graph->arena, count, struct tensor *);
    gather_outside(p, p->outside);
    qsort(p->outside, (size_t)count, sizeof *p->outside, by_address);
    for (int64_t i = 0; i < count; i++)
        if (different == 0 || p->outside[different - 1] != p->outside[i])
            p->outside[different++] = p->outside[i];
    p->outsides = different;
    p->key = NEW_ARRAY(p->graph->arena, 2 + EXTENTS + 2 * different, uint64_t);
}

/* All that can differ between two runs: which program, where its arena is, live rows, where its outside tensors and their gradients are. Returns the words. */
static int64_t make_key(struct program *p)
{
    int64_t words = 0;
    p->key[words++] = p->number;
    p->key[words++] = (uintptr_t)p->bound;
    for (int e = 0; e < EXTENTS; e++)
        p->key[words++] = (uint64_t)p->rows[e];
    for (int64_t i = 0; i < p->outsides; i++) {
        const struct tensor *t = p->outside[i];
        p->key[words++] = (uintptr_t)t->data;
        p->key[words++] = t->grad ? (uintptr_t)t->grad->data : 0;
    }
    return words;
}

static void forget(struct device *device, struct capture *c)
{
    if (c->stage == CAPTURED)
        device->row->forget(device, c->work);
    free(c->key);
    *c = (struct capture){ 0 };
}

/* The place of this key, or the one unused for longest for it; NULL: no memory for another key. */
static struct capture *place_of(struct device *device, const uint64_t *key, int64_t words)
{
    const size_t bytes = (size_t)words * sizeof *key;
    struct capture *oldest = device->captures->capture;
    for (struct capture *c = oldest; c < device->captures->capture + MOST_CAPTURES; c++) {
        if (c->stage != UNUSED && c->words == words && memcmp(c->key, key, bytes) == 0)
            return c;
        if (c->last_use < oldest->last_use)
            oldest = c;
    }
    forget(device, oldest);
    oldest->key = malloc(bytes);
    if (!oldest->key)
        return NULL;
    memcpy(oldest->key, key, bytes);
    oldest->words = words;
    return oldest;
}

/* What goes wrong here is no error of the program: the walk that follows would find it too. */
static enum stage capture(struct capture *c, const struct program *p, struct device *device,
                          enum status (*walk)(const struct program *p, struct device *device))
{
    struct error *err = device->err, aside = { 0 };
    device->err = &aside;
    enum status status = device->row->capture(device);
    if (status == OK) {
        status = walk(p, device);
        enum status ended = device->row->captured(device, &c->work);
        if (ended == OK && status != OK)
            device->row->forget(device, c->work);
        status = status == OK ? ended : status;
    }
    device->err = err;
    return status == OK ? CAPTURED : NOT_CAPTURED;
}

enum status captures_run(struct program *p, struct device *device, enum status (*walk)(const struct program *p, struct device *device))
{
    if (!device->captures && p->count >= LEAST_STEPS)
        device->captures = calloc(1, sizeof *device->captures);
    if (!device->captures || p->count < LEAST_STEPS)
        return walk(p, device);
    if (!p->number) {
        p->number = ++device->captures->programs;
        find_outside(p);
    }
    struct capture *c = place_of(device, p->key, make_key(p));
    if (!c)
        return walk(p, device);
    c->last_use = ++device->captures->uses;
    if (c->stage == SEEN)
        c->stage = capture(c, p, device, walk);
    if (c->stage == CAPTURED)
        return device->row->replay(device, c->work);
    if (c->stage == UNUSED)
        c->stage = SEEN;
    return walk(p, device);
}

void captures_release(struct device *device)
{
    for (int i = 0; device->captures && i < MOST_CAPTURES; i++)
        forget(device, &device->captures->capture[i]);
    free(device->captures);
    device->captures = NULL;
}
