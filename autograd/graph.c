/* Record: nodes and tensors in the order in which builders were called. Nothing here knows any op. */
#include "autograd/graph.h"
#include "autograd/op.h"

#include <stdio.h>

struct graph *graph_new(struct arena *arena, const int64_t capacity[EXTENTS], bool gradients)
{
    struct graph *g = NEW(arena, struct graph);
    g->arena = arena;
    g->gradients = gradients;
    for (int e = 0; e < EXTENTS; e++)
        g->capacity[e] = capacity[e];
    return g;
}

void graph_segment(struct graph *g, int segment)
{
    g->segment = segment;
}

struct tensor *tensor_new(struct arena *arena, const char *name, enum dtype dtype, enum role role, int64_t rows, int64_t cols, void *data)
{
    struct tensor *t = NEW(arena, struct tensor);
    *t = (struct tensor){
        .name = name, .dtype = dtype, .grad_dtype = dtype, .role = role, .extent = FIXED, .rows = rows, .cols = cols, .capacity = rows, .data = data, .id = -1
    };
    return t;
}

struct tensor *graph_tensor(struct graph *g, const char *name, enum dtype dtype, enum role role, enum extent extent, int64_t rows, int64_t cols)
{
    if (g->tensors == g->tensor_room) {
        int room = g->tensor_room ? 2 * g->tensor_room : 256;
        g->tensor = arena_grow(g->arena, g->tensor, (size_t)g->tensors, (size_t)room, sizeof *g->tensor);
        g->kept = arena_grow(g->arena, g->kept, (size_t)g->tensors, (size_t)room, sizeof *g->kept);
        g->tensor_room = room;
    }
    struct tensor *t = tensor_new(g->arena, name, dtype, role, rows, cols, NULL);
    t->extent = extent;
    t->id = g->tensors;
    g->tensor[g->tensors++] = t;
    return t;
}

struct tensor *graph_input(struct graph *g, const char *name, enum dtype dtype, enum extent extent, int64_t rows, int64_t cols)
{
    return graph_tensor(g, name, dtype, INPUT, extent, extent == FIXED ? rows : g->capacity[extent], cols);
}

struct tensor *graph_keep(struct graph *g, struct tensor *t)
{
    CHECK(t->id >= 0);
    g->kept[t->id] = true;
    return t;
}

void graph_append(struct graph *g, struct node *n)
{
    if (g->nodes == g->node_room) {
        int room = g->node_room ? 2 * g->node_room : 256;
        g->node = arena_grow(g->arena, g->node, (size_t)g->nodes, (size_t)room, sizeof(struct node *));
        g->node_room = room;
    }
    g->node[g->nodes++] = n;
}

struct node *record_node(struct graph *g, const struct op *op, int count, struct tensor *const in[])
{
    CHECK(count <= MAX_IN);
    struct node *n = NEW(g->arena, struct node);
    n->op = op;
    n->graph = g;
    n->stream = (uint32_t)g->nodes;
    n->segment = g->segment;
    for (int i = 0; i < count; i++)
        n->in[i] = in[i];
    graph_append(g, n);
    return n;
}

static struct tensor *add_output(struct node *n, int slot, enum dtype dtype, enum extent extent, int64_t rows, int64_t cols)
{
    CHECK(slot >= 0 && slot < MAX_OUT && !n->out[slot]);
    struct graph *g = n->graph;
    struct tensor *t = graph_tensor(g, n->op->name, dtype, ACTIVATION, extent, rows, cols);
    if (g->gradients && dtype != I32)
        for (int i = 0; i < MAX_IN; i++)
            t->wants_grad |= n->in[i] && n->in[i]->wants_grad;
    n->out[slot] = t;
    return t;
}

struct tensor *output(struct node *n, int slot, enum dtype dtype, const struct tensor *like, int64_t cols)
{
    return add_output(n, slot, dtype, like->extent, like->capacity, cols);
}

struct tensor *output_fixed(struct node *n, int slot, enum dtype dtype, int64_t rows, int64_t cols)
{
    return add_output(n, slot, dtype, FIXED, rows, cols);
}

struct tensor *no_gradient(struct tensor *t)
{
    t->wants_grad = false;
    return t;
}

void graph_fail(struct graph *g, const char *format, ...)
{
    if (g->error.code != OK)
        return;
    char what[sizeof g->error.what];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    enum status recorded = fail_with(&g->error, BAD_MODEL, "%s", "the model's sizes or the adapter's do not fit together", what);
    CHECK(recorded != OK);
}

void expect_shape(struct graph *g, const char *op, const struct tensor *t, int64_t rows, int64_t cols)
{
    if ((rows >= 0 && t->capacity != rows) || (cols >= 0 && t->cols != cols))
        graph_fail(g, "%s: %s is [%lld, %lld], expected [%lld, %lld]", op, t->name, (long long)t->capacity, (long long)t->cols, (long long)rows,
                   (long long)cols);
}

void expect_rows_of(struct graph *g, const char *op, const struct tensor *t, const struct tensor *like)
{
    if (t->extent != like->extent || t->capacity != like->capacity)
        graph_fail(g, "%s: %s has %lld rows, %s has %lld", op, t->name, (long long)t->capacity, like->name, (long long)like->capacity);
}
